"""The start form: its fields in the order in which people need them, and the endpoint tried before a run begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, json, jsonify, request
from locust.runners import STATE_INIT, STATE_SPAWNING, STATE_STOPPED

_STARTS_FROM = (STATE_INIT, STATE_STOPPED)

@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a trial: `told` for people; `good` when a run may begin."""

    good: bool
    told: str


Try = Callable[[Mapping[str, str]], Tried]


def install(web_ui: Any, try_it: Try) -> None:
    """Try what `/swarm` is asked for before Locust starts it. After the guard: it refuses first."""
    web_ui.app.jinja_env.policies["json.dumps_kwargs"] = {"sort_keys": False}  # fields in the order of the options
    before = web_ui.app.before_request_funcs.setdefault(None, [])
    before.append(lambda: _before(web_ui, try_it))
    web_ui.app.after_request(lambda response: _after(web_ui.environment.runner, response))


def _before(web_ui: Any, try_it: Try) -> Response | None:
    """In Locust's own form of a refusal, which its page shows above the button."""
    if request.method != "POST" or not request.path.endswith("/swarm"):
        return None
    if web_ui.environment.runner.state not in _STARTS_FROM:
        return None  # an edit of the run that is on
    found = try_it(request.form)
    return None if found.good else jsonify({"success": False, "message": found.told})


def _after(runner: Any, response: Response) -> Response:
    """While a run is prepared Locust calls it ready, and its page goes back to the form and asks no more."""
    begins = request.path.endswith("/stats/requests") and runner.state == STATE_INIT and runner.shape_greenlet
    told = response.get_json(silent=True) if begins else None
    if isinstance(told, dict) and told.get("state") == STATE_INIT:
        response.set_data(json.dumps({**told, "state": STATE_SPAWNING}))
    return response


def answer(try_it: Try) -> Response:
    """Of the button *Try the endpoint*."""
    found = try_it(request.form)
    return jsonify({"success": found.good, "message": found.told or "this endpoint is tried when the run begins"})
