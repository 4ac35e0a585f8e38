"""Requests that have not ended: first tokens and gaps are on the screen as they come, and counted once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import msgpack
import pytest

from fmload.live.counts import Counts
from fmload.live.state import LiveState, Tally
from fmload.metrics.histogram import quantile_s
from fmload.model.outcome import Failure
from fmload.model.record import Record
from fmload.wire.exchange import Exchange, Timeouts
from fmload.wire.flight import Flight
from fmload.worker import under_way
from fmload.worker.under_way import MOST_NS, MOST_SOUGHT, TURN_ANSWERS, look

MS, S = 1_000_000, 1_000_000_000
GROUP = (0, "e", "p")


class Answer:
    """An answer of which so many reads with tokens have come."""

    looked_through = True

    def __init__(self, *reads_ms: int) -> None:
        self.reads = list(reads_ms)

    def token_reads(self) -> Sequence[int]:
        return [at * MS for at in self.reads]


def seen(live: LiveState) -> dict[str, object]:
    row, = live.snapshot(20 * S, 0)["groups"]
    return row  # type: ignore[no-any-return]


def test_the_first_token_is_there_before_the_answer_has_ended_and_gaps_come_with_it() -> None:
    live, answer = LiveState(), Answer()
    live.merge("w", {**Tally().drain(), "under_way": look([(GROUP, 0, answer)], 0)})
    assert live.snapshot(20 * S, 0)["groups"] == []
    answer.reads += [5000]
    live.merge("w", {**Tally().drain(), "under_way": look([(GROUP, 0, answer)], 0)})
    assert seen(live)["ttft_p50_s"] == pytest.approx(5, rel=0.004)
    assert (seen(live)["requests"], seen(live)["icl_p50_s"]) == (0, None)
    answer.reads += [5020, 5040, 5060]
    found = msgpack.unpackb(msgpack.packb(look([(GROUP, 0, answer)], 0)), strict_map_key=False)
    live.merge("w", {**Tally().drain(), "under_way": found})
    assert seen(live)["icl_p50_s"] == pytest.approx(0.02, rel=0.004)
    assert seen(live)["output_tokens"] == 4
    assert {point["at"]: point["output_tokens"] for point in live.snapshot(20 * S, 0, 300)["series"]} == {}
    live.observe("w", 1, None, 5 * S)
    assert live.snapshot(20 * S, 0)["series"][0]["ttft_p50_s"] == pytest.approx(5, rel=0.004)


def test_a_request_that_has_ended_counts_by_its_record_alone() -> None:
    tally, live = Tally(), LiveState()
    live.merge("w", {**tally.drain(), "under_way": look([(GROUP, 0, Answer(100, 120))], 0)})
    tally.add(Record(request_id="r", worker="w", stage=0, endpoint="e", prompt_set="p", prompt_id="1", scheduled_ns=0,
                     send_ns=0, first_token_ns=100 * MS, last_token_ns=140 * MS, end_ns=141 * MS,
                     chunk_ns=array("q", [100 * MS, 120 * MS, 140 * MS]), chunk_tokens=array("i", [1, 1, 1]),
                     chunk_censored=array("b", [0, 0, 0]), output_tokens=3, outcome="ok"))
    live.merge("w", {**tally.drain(), "under_way": look([], 0)})
    assert live.groups[GROUP].histograms["ttft"].total() == 1
    assert (seen(live)["requests"], seen(live)["output_tokens"]) == (1, 3)


def test_looking_again_counts_no_read_twice_and_seconds_are_the_masters() -> None:
    answer = Answer(1500, 2500, 2600)
    once = look([(GROUP, 0, answer)], S)
    assert look([(GROUP, 0, answer)], S) == once
    assert [(second, totals[1]) for second, totals in once["seconds"]] == [(0, 1), (1, 2)]


def test_a_lost_worker_has_nothing_under_way() -> None:
    live = LiveState()
    live.merge("w", {**Tally().drain(), "under_way": look([(GROUP, 0, Answer(100))], 0)})
    assert live.by_endpoint_now() and live.under_way() and not live.by_endpoint()
    live.forget("w")
    assert not live.by_endpoint_now()


def test_the_loop_goes_on_after_every_few_answers() -> None:
    pauses: list[int] = []
    found = look([(GROUP, 0, Answer(100)) for _ in range(3 * TURN_ANSWERS)], 0, lambda: pauses.append(1))
    assert len(pauses) == 4
    assert found["groups"][0][-1][1] == 3 * TURN_ANSWERS


def test_an_answer_of_many_reads_is_a_turn_of_its_own() -> None:
    pauses: list[int] = []
    look([(GROUP, 0, Answer(*range(under_way.TURN_READS)))] * 3, 0, lambda: pauses.append(1))
    assert len(pauses) == 4


def test_a_look_ends_when_it_has_taken_its_time_and_pauses_are_not_its_time() -> None:
    clock = iter(range(0, 10**12, MOST_NS // 4))
    some = look([(GROUP, 0, Answer(100)) for _ in range(50 * TURN_ANSWERS)], 0, lambda: None, lambda: next(clock))
    assert some["groups"][0][-1][1] == 5 * TURN_ANSWERS
    now = [0]
    every = look([(GROUP, 0, Answer(100)) for _ in range(50 * TURN_ANSWERS)], 0,
                 lambda: now.__setitem__(0, now[0] + MOST_NS), lambda: now[0])
    assert every["groups"][0][-1][1] == 50 * TURN_ANSWERS


def test_the_first_tokens_of_so_many_answers_are_sought_and_the_others_wait_for_the_next_look() -> None:
    fresh = [Answer(100) for _ in range(MOST_SOUGHT + 5)]
    for answer in fresh:
        answer.looked_through = False
    known = [Answer(100) for _ in range(3)]
    found = look([(GROUP, 0, answer) for answer in fresh + known], 0)
    assert found["groups"][0][-1][1] == MOST_SOUGHT + 3


def test_groups_and_their_first_tokens_are_kept_apart() -> None:
    other = (1, "f", "p")
    found = look([(GROUP, 0, Answer(100, 110)), (other, 50 * MS, Answer(100)), (GROUP, 0, Answer(300, 320))], 0)
    totals = {tuple(named): Counts.load(dumped) for *named, dumped in found["groups"]}
    assert quantile_s(totals[other].histograms["ttft"], 0.5) == pytest.approx(0.05, rel=0.004)
    assert quantile_s(totals[GROUP].histograms["ttft"], 1) == pytest.approx(0.3, rel=0.004)
    assert totals[GROUP].histograms["icl"].total() == 2
    assert "icl" not in totals[other].histograms


def flight() -> Flight:
    made = Flight(Exchange("a"), "POST", lambda body: b"token" in body, Timeouts(), 1 << 20)
    made.received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 1 * MS, 0)
    return made


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(text), text)


def test_the_read_of_the_first_token_is_found_among_those_before_it() -> None:
    made = flight()
    made.received(chunk(b"role"), 2 * MS, 0)
    assert not made.looked_through
    assert list(made.token_reads()) == [] and made.looked_through
    for at, text in ((3, b": ping"), (4, b"to"), (5, b"ken one"), (6, b"two")):
        made.received(chunk(text), at * MS, 0)
    assert list(made.token_reads()) == [5 * MS, 6 * MS]
    made.received(chunk(b"three"), 7 * MS, 0)
    assert list(made.token_reads()) == [5 * MS, 6 * MS, 7 * MS]
    made.fail(Failure("cancelled", "enough"))


@pytest.mark.parametrize("before", [0, 1, 2, 3, 4, 6, 7, 12, 40])
def test_the_first_token_is_found_behind_any_number_of_reads_without_and_little_is_read_for_it(before: int) -> None:
    read: list[int] = []

    def carries_token(body: bytes) -> bool:
        read.append(len(body))
        return b"token" in body

    made = Flight(Exchange("a"), "POST", carries_token, Timeouts(), 1 << 20)
    made.received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", 0, 0)
    for at in range(before):
        made.received(chunk(b"ping."), (at + 1) * MS, 0)
    for at in range(before, before + 200):
        made.received(chunk(b"token"), (at + 1) * MS, 0)
    assert made.token_reads()[0] == (before + 1) * MS
    assert len(made.token_reads()) == 200
    assert sum(read) <= 5 * (before + 2) * 12
    made.fail(Failure("cancelled", "enough"))


def test_an_answer_that_cannot_be_read_tells_nothing_and_raises_nothing() -> None:
    def unreadable(body: bytes) -> bool:
        raise ValueError(body)

    made = Flight(Exchange("a"), "POST", unreadable, Timeouts(), 1 << 20)
    made.received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"x"), 1 * MS, 0)
    assert list(made.token_reads()) == []
    made.fail(Failure("cancelled", "enough"))


def test_what_is_counted_has_the_quantiles_of_its_gaps() -> None:
    live = LiveState()
    reads = [1000 + 10 * n for n in range(101)]
    live.merge("w", {**Tally().drain(), "under_way": look([(GROUP, 0, Answer(*reads))], 0)})
    totals = live.under_way()["e", "p"]
    assert quantile_s(totals.histograms["icl"], 0.95) == pytest.approx(0.01, rel=0.004)
    assert totals.histograms["icl"].total() == 100
