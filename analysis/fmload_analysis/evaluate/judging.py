"""Asks the judges: so many questions at a time, throttling waited out, each verdict in the ledger before the next.

This is no measurement: failed requests are tried again here, and counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import gevent

from fmload.base.redaction import redacted
from fmload.config.schema import EndpointSpec
from fmload.endpoints.base import Endpoint
from fmload.endpoints.building import build
from fmload.model.outcome import Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import outcome
from fmload_analysis.evaluate.budget import Budget
from fmload_analysis.evaluate.ledger import Entry, Ledger
from fmload_analysis.evaluate.panel import JudgesFile, Question
from fmload_analysis.evaluate.retrying import PASSING, wait_s
from fmload_analysis.evaluate.verdicts import parse

GIVE_UP_AFTER = 10  # questions in a row that a judge failed: the rest is left for another time
_REPLY_CHARS = 500

Progress = Callable[[str, Entry | None], None]  # judge, and its new entry; None: one attempt was throttled


@dataclass(slots=True)
class Judge:
    """One judge at work. Raises FmloadError where its endpoint cannot be built."""

    spec: EndpointSpec
    wire: Http1Wire
    failed_in_a_row: int = 0
    last_failure: str = ""
    _endpoint: Endpoint = field(init=False)
    _turn: itertools.count[int] = field(init=False, default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._endpoint = build(self.spec)

    @property
    def gave_up(self) -> bool:
        """Whether it failed so often in a row that it is not asked any more."""
        return self.failed_in_a_row >= GIVE_UP_AFTER

    def ask(self, question: Question) -> tuple[Exchange, Reading, Failure | None]:
        """One attempt."""
        prompt = Prompt(question.key, "judging", messages=[{"role": "user", "content": question.text}])
        addresses = self._endpoint.addresses()
        exchange = self._endpoint.send(prompt, question.key, self.wire, addresses[next(self._turn) % len(addresses)])
        reading = self._endpoint.read(exchange)
        return exchange, reading, outcome(exchange, reading)

    def note(self, entry: Entry) -> None:
        """Count failures in a row."""
        failed = entry.outcome not in ("ok", "garbage")
        self.failed_in_a_row = self.failed_in_a_row + 1 if failed else 0
        self.last_failure = entry.reply if failed else self.last_failure


def ask_all(spec: JudgesFile, questions: Sequence[Question], ledger: Ledger, concurrency: int, budget: Budget,
            progress: Progress) -> list[Judge]:
    """Ask what the ledger does not know yet, as far as the budget goes; returns the judges, of which some may have
    given up.

    Interrupted, it leaves every verdict that came in the ledger; questions under way are asked again the next time.
    """
    limits = spec.timeouts
    wire = Http1Wire(Timeouts(limits.connect_s, limits.first_token_s, limits.idle_s, limits.total_s))
    judges = {judge.name: Judge(judge, wire) for judge in spec.judges}
    pending = (question for question in questions if not ledger.settled(question.key))

    def work() -> None:
        for question in pending:
            judge = judges[question.judge]
            if not judge.gave_up:
                if not budget.take(question):
                    return
                entry = _answered(judge, question, spec, progress)
                ledger.append(entry)
                budget.settle(question, entry)
                judge.note(entry)
                progress(judge.spec.name, entry)

    askers = [gevent.spawn(work) for _ in range(concurrency)]
    try:
        gevent.joinall(askers, raise_error=True)
    finally:
        gevent.killall(askers)
        wire.close()
    return list(judges.values())


def _answered(judge: Judge, question: Question, spec: JudgesFile, progress: Progress) -> Entry:
    """Ask until there is a reply, the attempts are used up, or the failure is one that will not pass."""
    refused = 0
    for attempt in itertools.count(1):
        exchange, reading, failure = judge.ask(question)
        if failure is None or failure.outcome == "empty":
            return _verdict(question, reading, attempt, refused)
        if failure.outcome == "throttled":
            refused += 1
            progress(judge.spec.name, None)
        if failure.outcome not in PASSING or attempt == spec.attempts:
            return Entry(question.key, judge.spec.name, question.kind, failure.outcome,
                         reply=redacted(failure.message)[:_REPLY_CHARS], attempts=attempt, throttled=refused)
        gevent.sleep(wait_s(attempt, spec.backoff_s, exchange.headers))
    raise AssertionError("the last attempt returns")


def _verdict(question: Question, reading: Reading, attempts: int, throttled: int) -> Entry:
    reply = reading.said("answer")
    entry = Entry(question.key, question.judge, question.kind, "garbage", reply=reply[:_REPLY_CHARS],
                  attempts=attempts, throttled=throttled, input_tokens=reading.input_tokens,
                  output_tokens=reading.output_tokens, cached_tokens=reading.cached_tokens)
    verdict = parse(question.kind, reply)
    return entry if verdict is None else replace(
        entry, outcome="ok", choice=verdict.choice, reason=verdict.reason[:_REPLY_CHARS], reply="")
