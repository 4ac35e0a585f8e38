"""Errors against the emulator's truth, by hand."""

from __future__ import annotations

from array import array

import numpy as np

from fmload.emulator.truth import Truth
from fmload.model.record import Record
from fmload.selftest.accuracy import Measured, compare, percentile_ms


def seen(request_id: str, send_ns: int, *token_ns: int, censored: tuple[bool, ...] | None = None,
         outcome: str = "ok") -> Measured:
    flags = censored or (False,) * len(token_ns)
    return Measured(request_id, send_ns, np.array(token_ns, np.int64), np.array(flags, np.bool_), outcome)


def true(request_id: str, received_ns: int, *token_ns: int) -> Truth:
    return Truth(request_id, 1, received_ns=received_ns, token_ns=array("q", token_ns))


def test_errors_are_differences_of_durations_not_of_instants() -> None:
    errors = compare([seen("a", 100, 1030, 2040, 3040)], [true("a", 110, 1020, 2020, 3020)], 0, 10_000)
    assert list(errors.ttft_ns) == [20] and list(errors.gap_ns) == [10, 0]  # 930 for 910; 1010 for 1000; 1000


def test_only_what_arrived_in_the_window_counts() -> None:
    errors = compare([seen("a", 0, 1000, 2000, 3000)], [true("a", 0, 1000, 2000, 2900)], 1500, 3500)
    assert (errors.tokens, errors.requests, list(errors.ttft_ns), list(errors.gap_ns)) == (2, 1, [], [0, 100])


def test_what_failed_or_is_unknown_to_the_server_is_counted_not_compared() -> None:
    both = [seen("a", 0, 1000, outcome="truncated"), seen("b", 0, 1000), seen("c", 0, 1000, 2000)]
    errors = compare(both, [true("a", 0, 1000), true("c", 0, 1000)], 0, 9000)
    assert (errors.failed, errors.tokens, len(errors.ttft_ns), len(errors.gap_ns)) == (1, 4, 0, 0)


def test_censored_tokens_are_counted() -> None:
    assert compare([seen("a", 0, 10, 20, censored=(True, False))], [], 0, 100).censored == 1


def test_a_record_is_taken_as_it_is() -> None:
    record = Record("a", "w", 0, "e", "s", "p", 0, send_ns=5, chunk_ns=array("q", [7, 9]),
                    chunk_censored=array("b", [1, 0]))
    taken = Measured.of(record)
    assert (taken.send_ns, list(taken.token_ns), list(taken.censored)) == (5, [7, 9], [True, False])


def test_no_percentile_of_nothing() -> None:
    assert percentile_ms(np.array([], np.int64), 99) is None
    assert percentile_ms(np.array([2_000_000], np.int64), 99) == 2.0
