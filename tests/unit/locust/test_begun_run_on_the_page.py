"""What Locust's page is told while a run that it has started is prepared."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, jsonify

from fmload.locust.webui.start import Tried, install


@pytest.mark.parametrize(("state", "begins", "told"), [
    ("ready", True, "spawning"), ("ready", False, "ready"), ("running", True, "running"),
    ("stopped", False, "stopped")])
def test_the_page_does_not_go_back_to_the_form_while_a_run_is_prepared(state: str, begins: bool, told: str) -> None:
    app, runner = Flask("locust"), SimpleNamespace(state=state, shape_greenlet=object() if begins else None)

    @app.route("/stats/requests")
    def stats() -> Any:
        return jsonify({"state": runner.state, "stats": []})

    @app.route("/other")
    def other() -> Any:
        return jsonify({"state": runner.state})

    install(SimpleNamespace(app=app, environment=SimpleNamespace(runner=runner)), lambda form: Tried(True, ""))
    client = app.test_client()
    assert client.get("/stats/requests").json == {"state": told, "stats": []}
    assert client.get("/other").json == {"state": state}
