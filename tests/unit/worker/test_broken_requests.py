"""An exception in the load generator itself is one record, one pause and one traceback, not the end of a user."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from fmload.config import parse
from fmload.model.outcome import Outcome
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record, unpack
from fmload.worker.dispatcher import LONGER_PAUSE_S, Dispatcher, failure_pause_s
from fmload.worker.slots import Lane
from fmload.worker.worker import _packed
from tests.one_record import record

RUN = """
name: t
endpoints: [{name: e, protocol: openai, url: 'http://127.0.0.1:1/v1'}]
prompts: [{name: p, source: fixed}]
load: {concurrency: [1]}
"""


class Broken(Dispatcher):
    """Stumbles over every prompt."""

    def _measure(self, lane: Lane, prompt: Prompt, scheduled_ns: int) -> tuple[Record, Reading]:
        raise ZeroDivisionError("division by zero\nand more of it, with sk-0123456789abcdef")


def test_a_request_that_the_load_generator_breaks_is_a_record_and_its_user_waits(
        tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept: list[Record] = []
    dispatcher = Broken(parse(RUN, "run.yml", tmp_path), {"p": [Prompt("p-0", "p", text="x")]}, "w",
                        lambda one, reading: kept.append(one), lambda *_: None)
    lane = Lane(0, "e", "p", 1)
    with caplog.at_level(logging.ERROR):
        outcomes = [dispatcher._request(lane, 5, None)[0].outcome for _ in range(3)]
    assert outcomes == ["client"] * 3 and LONGER_PAUSE_S["client"] > 0
    assert {(one.outcome, one.error, one.scheduled_ns) for one in kept} == {
        ("client", "ZeroDivisionError: division by zero", 5)}
    assert len({one.request_id for one in kept}) == 3
    assert sum("load generator itself" in one.message for one in caplog.records) == 1, "one traceback of a kind"


@pytest.mark.parametrize("poison", [{"error": "half a \ud83d"}, {"input_tokens": 2**70}, {"prompt_id": "p-\udc00"}])
def test_a_record_that_cannot_travel_is_kept_as_what_is_known_beside_that(poison: dict[str, Any]) -> None:
    bad = record()
    for name, value in poison.items():
        setattr(bad, name, value)
    kept = unpack(_packed(bad))
    assert (kept.request_id, kept.stage, kept.outcome) == (bad.request_id, bad.stage, "client")
    assert "cannot be kept whole" in str(kept.error)


@pytest.mark.parametrize("outcome", ["stream_error", "truncated", "http_5xx", "empty", "blocked", "decode"])
def test_a_user_waits_after_a_failure_before_the_first_token(outcome: Outcome) -> None:
    """A server that answers 200 with an error at once would be asked without end."""
    failed = record(outcome)
    failed.first_token_ns = None
    assert failure_pause_s(failed) > 0


@pytest.mark.parametrize("outcome", ["ok", "stream_error", "truncated", "blocked", "decode"])
def test_no_user_waits_after_an_answer_or_a_part_of_one(outcome: Outcome) -> None:
    assert failure_pause_s(record(outcome)) == 0


@pytest.mark.parametrize("outcome", ["cancelled", "censored"])
def test_no_user_waits_after_what_was_given_up(outcome: Outcome) -> None:
    ended = record(outcome)
    ended.first_token_ns = None
    assert failure_pause_s(ended) == 0
