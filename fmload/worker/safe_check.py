"""SAFE_CHECK: a content-safety step before and after each request, as in llama-recipes' benchmarks, timed apart.

A request is due when its prompt has been checked: `scheduled_ns` moves by the time of the check, so that neither TTFT
nor E2E latency, scheduled or not, knows of it. A prompt that is found unsafe is not sent: outcome `cancelled`, neither
success nor failure of the endpoint. A check that fails lets the text pass. What was found lies in the record's
`detail` under "safe_check": `{"before": {"verdict", "s", "error"}, "after": {…}}`.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

import gevent
import orjson
from gevent import GreenletExit

from fmload.base.errors import FmloadError
from fmload.base.redaction import redacted
from fmload.config.safe_check import CheckSpec, Latency, SafeCheckSpec
from fmload.endpoints.failures import http_failure
from fmload.endpoints.payloads import filled, follow
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import SAFE_CHECK, Record, noted
from fmload.wire.exchange import Exchange, HttpRequest, Timeouts, Wire
from fmload.wire.http1 import Http1Wire
from fmload.wire.url import split_url, with_query

_TRIES = 1000
_MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)

Verdict = Literal["safe", "unsafe", "failed", "stopped"]  # failed: the service gave none; stopped: by the run's end


class Found(NamedTuple):
    """What one check found, and why it failed."""

    verdict: Verdict
    error: str | None = None


Check = Callable[[str, str], Found]  # the text, and a seed of its own; blocks the calling greenlet alone


class Send(Protocol):
    """Sends the request that was due at this instant, and gives what came of it."""

    def __call__(self, *, scheduled_ns: int) -> tuple[Record, Reading]: ...


class SafeCheck:
    """The two steps of one worker. Raises FmloadError for a service whose key is not set."""

    def __init__(self, spec: SafeCheckSpec, seed: int, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._before, self._after = _check_of(spec.before), _check_of(spec.after)
        self._seed, self._clock_ns = seed, clock_ns

    def around(self, prompt: Prompt, scheduled_ns: int, send: Send,
               unsent: Callable[..., Record]) -> tuple[Record, Reading]:
        """Check the prompt, send it unless it is unsafe, check the answer. `unsent` makes the record of a request
        that is not sent. A greenlet that is killed in a check returns too: `cancelled` when nothing was sent."""
        notes: dict[str, Any] = {}
        if self._before is not None:
            found, took_ns = self._timed(self._before, prompt.as_text(), f"before/{prompt.id}")
            notes["before"] = _note(found, took_ns)
            scheduled_ns += took_ns
            if found.verdict in ("unsafe", "stopped"):
                record = unsent(scheduled_ns=scheduled_ns)
                record.outcome = "cancelled"
                record.error = ("not sent: the safety check found the prompt unsafe" if found.verdict == "unsafe"
                                else "the run ended while the prompt was checked")
                record.end_ns = scheduled_ns
                return _noted(record, notes), Reading()
        record, reading = send(scheduled_ns=scheduled_ns)
        if self._after is not None and record.outcome == "ok":
            notes["after"] = _note(*self._timed(self._after, reading.said("answer"), f"after/{prompt.id}"))
        return _noted(record, notes), reading

    def _timed(self, check: Check, text: str, seed: str) -> tuple[Found, int]:
        began_ns = self._clock_ns()
        try:
            found = check(text, f"{self._seed}/{seed}")
        except GreenletExit:
            found = Found("stopped")
        return found, self._clock_ns() - began_ns


def _note(found: Found, took_ns: int) -> dict[str, Any]:
    note: dict[str, Any] = {"verdict": found.verdict, "s": took_ns / 1e9}
    return note if found.error is None else {**note, "error": found.error}


def _noted(record: Record, notes: Mapping[str, Any]) -> Record:
    """The record with what was found beside the server's own account."""
    record.detail = noted(record.detail, SAFE_CHECK, notes)
    return record


def _check_of(spec: CheckSpec | None) -> Check | None:
    if spec is None:
        return None
    return _simulated(spec.latency) if spec.latency is not None else Service(spec)


# -- a simulated check --------------------------------------------------------------------------------------------


def _simulated(latency: Latency) -> Check:
    def check(text: str, seed: str) -> Found:
        gevent.sleep(draw_s(latency, random.Random(seed)))
        return Found("safe")
    return check


def draw_s(latency: Latency, draw: random.Random) -> float:
    """One time in seconds, within `min` and `max`; a draw outside is drawn again, so the tails are cut off."""
    most = math.inf if latency.max_s is None else latency.max_s
    for _ in range(_TRIES):
        drawn = _draw_s(latency, draw)
        if latency.min_s <= drawn <= most:
            return drawn
    return min(max(drawn, latency.min_s), most)


def _draw_s(latency: Latency, draw: random.Random) -> float:
    mean, stddev = latency.mean_s or 0.0, latency.stddev_s
    match latency.drawn:
        case "fixed":
            return mean
        case "uniform":
            return draw.uniform(latency.min_s, latency.max_s or latency.min_s)
        case "normal":
            return draw.gauss(mean, stddev)
        case "exponential":
            return draw.expovariate(1 / mean) if mean else 0.0
        case "lognormal":
            spread = math.log1p((stddev / mean) ** 2) if mean else 0.0
            return draw.lognormvariate(math.log(mean) - spread / 2, math.sqrt(spread)) if mean else 0.0


# -- a check service ----------------------------------------------------------------------------------------------


class Service:
    """A check service: the text is posted as JSON, the verdict read from the reply."""

    def __init__(self, spec: CheckSpec, wire: Wire | None = None) -> None:
        limit_s = spec.timeout_s
        self._spec = spec
        self._wire = wire or Http1Wire(Timeouts(limit_s, limit_s, limit_s, limit_s))
        self._address, path, query = split_url(spec.url or "")
        self._target = with_query(path or "/", query)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **spec.headers, **_key(spec)}

    def __call__(self, text: str, seed: str) -> Found:
        body = orjson.dumps(filled(self._spec.body, {"$text": text}))
        exchange = self._wire.exchange(self._address, HttpRequest("POST", self._target, self._headers, body), bool)
        failure = exchange.failure or http_failure(exchange)
        if failure is not None:
            return Found("failed", redacted(failure.message))
        return self._verdict(exchange)

    def _verdict(self, exchange: Exchange) -> Found:
        try:
            value = follow(orjson.loads(exchange.body), self._spec.verdict.split("."))
        except _MALFORMED:
            return Found("failed", f"no '{self._spec.verdict}' in the reply of {exchange.address}")
        return Found("safe" if value == self._spec.safe_when else "unsafe")


def _key(spec: CheckSpec) -> dict[str, str]:
    if spec.api_key_env is None:
        return {}
    key = os.environ.get(spec.api_key_env, "").strip()
    if not key:
        raise FmloadError(f"load.safe_check: the environment variable {spec.api_key_env} is not set",
                          hint=f"export {spec.api_key_env}=…, on every worker's host")
    return {spec.api_key_header: f"Bearer {key}" if spec.api_key_header == "Authorization" else key}
