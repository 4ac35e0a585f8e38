"""What a worker of another version does to a master that waits, that runs, and whose run has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fmload.locust import plugin
from fmload.protocol.messages import Hello


@pytest.mark.parametrize(("controller", "collector", "gives_up", "events"), [
    (False, False, True, 0), (True, True, False, 1), (False, True, False, 0)], ids=["waits", "runs", "has ended"])
def test_only_a_master_that_waits_gives_up(controller: bool, collector: bool, gives_up: bool, events: int,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[Any] = []
    told: list[Any] = []
    monkeypatch.setattr(plugin.gevent, "spawn_later", lambda after_s, what: given_up.append(what))
    master: Any = SimpleNamespace(
        link=SimpleNamespace(greet=lambda worker, hello: "another version"), _give_up=lambda: None,
        environment=SimpleNamespace(parsed_options=SimpleNamespace(headless=True)),
        controller=SimpleNamespace() if controller else None,
        collector=SimpleNamespace(event=lambda *what: told.append(what)) if collector else None)
    plugin.Plugin._greet(master, "w", Hello(99, "9.9"))
    assert (bool(given_up), len(told)) == (gives_up, events)
