"""The safety steps around a request: timed apart, unsafe prompts unsent, failures harmless."""

from __future__ import annotations

import random
import statistics
from typing import Any

import orjson
import pytest
from gevent import GreenletExit

from fmload.base.errors import FmloadError
from fmload.config.safe_check import CheckSpec, Latency, SafeCheckSpec
from fmload.model.outcome import Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading
from fmload.model.record import Record
from fmload.wire.exchange import Address, Exchange, HttpRequest
from fmload.worker import safe_check
from fmload.worker.safe_check import Found, SafeCheck, Service, draw_s

PROMPT = Prompt("p1", "s", text="How do I bake bread?")
SERVICE = {"url": "http://check:8000/v1/check/?x=1"}


def record(**columns: Any) -> Record:
    return Record(**{"request_id": "r", "worker": "w", "stage": 0, "endpoint": "e", "prompt_set": "s",
                     "prompt_id": "p1", **columns})


class Steps:
    """Checks that take 300 and 200 ns of a clock of their own and find what they are told to find."""

    def __init__(self, before: Any = None, after: Any = None) -> None:
        self.now_ns, self.seen, self.sent_at = 1000, [], None
        self.found = {"before": before, "after": after}

    def around(self, monkeypatch: pytest.MonkeyPatch, **answer: Any) -> Record:
        checks = iter([(self.found[step], took) for step, took in (("before", 300), ("after", 200))])
        monkeypatch.setattr(safe_check, "_check_of", lambda spec: self._check(*next(checks)))
        steps = SafeCheck(SafeCheckSpec.model_construct(), 7, lambda: self.now_ns)
        done, _ = steps.around(PROMPT, 1000, lambda *, scheduled_ns: self._send(scheduled_ns, answer), record)
        return done

    def _check(self, found: Any, took_ns: int) -> Any:
        def check(text: str, seed: str) -> Found:
            self.seen.append(text)
            self.now_ns += took_ns
            if isinstance(found, BaseException):
                raise found
            return Found(*found)
        return check if found else None

    def _send(self, scheduled_ns: int, answer: dict[str, Any]) -> tuple[Record, Reading]:
        self.sent_at = scheduled_ns
        return record(scheduled_ns=scheduled_ns, **answer), Reading([Chunk(1, text="Mix "), Chunk(2, text="flour.")])


def noted(one: Record) -> dict[str, Any]:
    return orjson.loads(one.detail or "{}")["safe_check"]  # type: ignore[no-any-return]


def test_both_texts_are_checked_and_the_request_is_due_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(("safe",), ("unsafe",))
    done = steps.around(monkeypatch, detail='{"timings": 1}')
    assert steps.seen == ["How do I bake bread?", "Mix flour."]
    assert (steps.sent_at, done.scheduled_ns, done.outcome) == (1300, 1300, "ok")
    assert noted(done) == {"before": {"verdict": "safe", "s": 3e-7}, "after": {"verdict": "unsafe", "s": 2e-7}}
    assert orjson.loads(done.detail or "")["timings"] == 1


def test_an_unsafe_prompt_is_not_sent_and_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(("unsafe",), ("safe",))
    done = steps.around(monkeypatch)
    assert steps.sent_at is None
    assert (done.outcome, done.send_ns, done.end_ns) == ("cancelled", None, 1300)
    assert done.error == "not sent: the safety check found the prompt unsafe"
    assert "after" not in noted(done)


def test_a_check_that_fails_lets_the_text_pass_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Steps(("failed", "no route"), None).around(monkeypatch)
    assert (done.outcome, noted(done)["before"]) == ("ok", {"verdict": "failed", "s": 3e-7, "error": "no route"})


def test_a_request_that_failed_has_no_answer_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "after" not in noted(Steps(("safe",), ("safe",)).around(monkeypatch, outcome="truncated"))


def test_the_runs_end_inside_a_check_keeps_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Steps(None, GreenletExit()).around(monkeypatch)
    assert (done.outcome, noted(done)["after"]["verdict"]) == ("ok", "stopped")
    unsent = Steps(GreenletExit(), None).around(monkeypatch)
    assert (unsent.outcome, unsent.send_ns) == ("cancelled", None)


class FakeWire:
    """Answers every request with one exchange, and keeps what was asked."""

    def __init__(self, status: int = 200, body: bytes = b'{"safe": true}', failure: Failure | None = None) -> None:
        self.answer = Exchange("http://check:8000", status=status, body=body, complete=True, failure=failure)
        self.asked: list[tuple[Address, HttpRequest]] = []

    def exchange(self, address: Address, request: HttpRequest, carries_token: Any) -> Exchange:
        self.asked.append((address, request))
        return self.answer

    def partial(self) -> None:
        return None


def found(wire: FakeWire, **spec: Any) -> Found:
    return Service(CheckSpec(**{**SERVICE, **spec}), wire)("Hi", "")


def test_the_text_is_posted_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECK_KEY", "k")
    wire = FakeWire()
    assert found(wire, body={"input": ["$text"], "n": 1}, api_key_env="CHECK_KEY").verdict == "safe"
    (address, request), = wire.asked
    assert (address.host, address.port, request.method, request.target) == ("check", 8000, "POST", "/v1/check/?x=1")
    assert orjson.loads(request.body) == {"input": ["Hi"], "n": 1}
    assert request.headers["Authorization"] == "Bearer k"


@pytest.mark.parametrize(("body", "spec", "verdict"), [
    (b'{"safe": true}', {}, "safe"), (b'{"safe": false}', {}, "unsafe"), (b'{"safe": null}', {}, "unsafe"),
    (b'{"results": [{"flagged": true}]}', {"verdict": "results.0.flagged", "safe_when": False}, "unsafe"),
    (b'{"class": "fine"}', {"verdict": "class", "safe_when": "fine"}, "safe"),
    (b'{"other": 1}', {}, "failed"), (b"<html>", {}, "failed"), (b"[]", {}, "failed")])
def test_the_verdict_stands_where_the_run_file_says(body: bytes, spec: dict[str, Any], verdict: str) -> None:
    assert found(FakeWire(body=body), **spec).verdict == verdict


def test_errors_of_the_service_are_failures_of_the_check() -> None:
    assert found(FakeWire(503, b"busy")).verdict == "failed"
    refused = found(FakeWire(failure=Failure("connect", "refused; Authorization: Bearer abcdefgh12345")))
    assert refused.verdict == "failed"
    assert "abcdefgh" not in (refused.error or "")


def test_a_key_that_is_not_set_is_told_before_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(FmloadError, match="NO_SUCH_KEY is not set"):
        SafeCheck(SafeCheckSpec(after=CheckSpec(api_key_env="NO_SUCH_KEY", **SERVICE)), 0)


@pytest.mark.parametrize("kind", ["fixed", "normal", "lognormal", "exponential"])
def test_simulated_times_have_the_mean_asked_for(kind: Any) -> None:
    draw = random.Random(1)
    times = [draw_s(Latency(kind=kind, mean_s=0.3, stddev_s=0.05), draw) for _ in range(4000)]
    assert statistics.mean(times) == pytest.approx(0.3, rel=0.06)
    assert min(times) >= 0


def test_simulated_times_keep_their_bounds() -> None:
    draw = random.Random(1)
    times = [draw_s(Latency(mean_s=0.1, stddev_s=0.1, min_s=0.05, max_s=0.2), draw) for _ in range(500)]
    times += [draw_s(Latency(min_s=0.05, max_s=0.2), draw) for _ in range(500)]
    assert 0.05 <= min(times) < max(times) <= 0.2
