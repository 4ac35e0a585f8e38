"""A worker that builds many endpoints is heard of meanwhile."""

from __future__ import annotations

import gevent
import pytest

from fmload.config.schema import EndpointSpec
from fmload.worker import dispatcher


def test_a_timer_that_is_due_fires_between_two_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = EndpointSpec.model_validate({"name": "e", "protocol": "openai", "url": "http://h:1/v1"})
    signs, heard = [], []
    monkeypatch.setattr(dispatcher, "build", lambda _: heard.append(len(signs)))
    sign_of_life = gevent.get_hub().loop.timer(0)
    sign_of_life.start(signs.append, 1)
    for _ in range(3):
        dispatcher._built(spec)
    sign_of_life.close()
    assert heard[-1] == 1
