"""A worker that Locust has stopped is there again at once for the next run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from locust.env import Environment
from locust.runners import WorkerRunner

from fmload.locust import plugin


def test_a_worker_that_was_given_users_while_its_run_ended_does_not_wait_for_them_after_the_stop(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin.gevent, "spawn", lambda *_: None)
    runner: Any = object.__new__(WorkerRunner)
    runner.client_id, runner.custom_messages, runner.greenlet = "w", {}, []
    environment = Environment()
    worker: Any = SimpleNamespace(environment=environment, runner=runner, link=SimpleNamespace(send=lambda _: None),
                                  _finished=None, _on_flush=None, _on_refused=None, _on_challenge=None)
    plugin.Plugin._serve(worker)
    environment.stop_timeout = 60.0  # of a message to spawn users that came behind the flush
    environment.events.test_stop.fire(environment=environment)
    assert environment.stop_timeout == 0.0
