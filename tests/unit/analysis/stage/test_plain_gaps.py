"""Gaps of chunks of one token each are told from limits as the definition does: in seconds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fmload.metrics.definitions import NS, Columns, gaps
from fmload_analysis.records import parts
from fmload_analysis.stage.plain_gaps import PlainGaps, longest_ns, plain_gaps

GAPS = st.integers(0, 50_000_000)
LIMITS = st.one_of(st.floats(0, 1e5), GAPS.map(lambda gap_ns: gap_ns / NS))


def columns(streams: list[list[int]], offset_ns: int = 0) -> Columns:
    """Requests, each of a first chunk and of some after so many nanoseconds; an empty list is a request without any."""
    stamps = [np.cumsum(stream) + offset_ns for stream in streams]
    flat = np.concatenate([*stamps, []]).astype(np.int64)
    unknown = np.full(len(streams), np.nan)
    return Columns(
        scheduled_ns=unknown, send_ns=unknown, first_token_ns=unknown, first_answer_ns=unknown, last_token_ns=unknown,
        end_ns=unknown, input_tokens=unknown, output_tokens=unknown, cached_tokens=unknown,
        streamed=np.ones(len(streams), dtype=bool), chunk_offsets=np.cumsum([0, *map(len, stamps)]), chunk_ns=flat,
        chunk_tokens=np.ones(len(flat), dtype=np.int64), chunk_censored=np.zeros(len(flat), dtype=bool),
        chunk_tokens_known=np.ones(len(streams), dtype=bool))


STREAMS = st.lists(st.lists(GAPS, max_size=6), min_size=1, max_size=8)


@given(LIMITS)
@example(15 / NS)  # × 10⁹ it is less than 15
def test_the_longest_time_within_a_limit_is_the_last_whole_nanosecond_that_is_not_above_it(limit_s: float) -> None:
    found = longest_ns(limit_s)
    assert found / NS <= limit_s < (found + 1) / NS


@given(STREAMS, LIMITS)
def test_gaps_above_a_limit_are_counted_by_request_as_their_seconds_say(streams: list[list[int]], limit_s: float,
                                                                        ) -> None:
    found = PlainGaps(columns(streams)).above(limit_s)
    assert found.tolist() == [sum(gap_ns / NS > limit_s for gap_ns in stream[1:]) for stream in streams]


@given(STREAMS, st.data())
def test_gaps_of_some_requests_are_those_of_the_general_rule(streams: list[list[int]], data: st.DataObject) -> None:
    some = columns(streams)
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(streams), max_size=len(streams))))
    every = gaps(some)
    assert PlainGaps(some).of(rows).tolist() == every.gap_ns[rows[every.row]].tolist()


def test_a_censored_chunk_or_one_of_two_tokens_is_not_plain() -> None:
    some = columns([[1, 2, 3], [4]])
    assert plain_gaps(some, True) is not None and plain_gaps(some, False) is None
    some.chunk_censored[3] = True
    assert plain_gaps(some, True) is None


@given(STREAMS, st.integers(1, 9))
def test_parts_hold_every_request_once_and_in_order(streams: list[list[int]], most: int) -> None:
    whole = columns(streams)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_CHUNKS", most)
        found = list(parts.parts(whole))
    assert [row for rows, _ in found for row in range(len(streams))[rows]] == list(range(len(streams)))
    assert all(len(part.chunk_ns) <= most or part.rows == 1 for _, part in found)
    assert all(part.rows == rows.stop - rows.start for rows, part in found)
    stamps = [part.chunk_ns[begin:end].tolist() for _, part in found
              for begin, end in zip(part.chunk_offsets[:-1], part.chunk_offsets[1:], strict=True)]
    assert stamps == [np.cumsum(stream).tolist() for stream in streams]
