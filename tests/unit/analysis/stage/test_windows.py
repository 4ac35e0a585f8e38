"""Windows: what must hold whatever the requests are."""

from __future__ import annotations

from array import array

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fmload.metrics.definitions import Columns
from fmload_analysis.stage.windows import at_edges, inside, overlap_ns, tokens_inside

INSTANT = st.integers(-50, 150)


@st.composite
def requests(draw: st.DrawFn) -> Columns:
    """A few requests of a few chunks each; some with a count of their own, some never sent."""
    streams = draw(st.lists(st.lists(st.tuples(INSTANT, st.integers(1, 4)), max_size=5), min_size=1, max_size=6))
    chunks = [sorted(stream) for stream in streams]
    flat = [chunk for stream in chunks for chunk in stream]
    counts = np.array([draw(st.one_of(st.just(np.nan), st.integers(1, 30))) for _ in chunks], dtype=float)
    last = np.array([stream[-1][0] if stream else np.nan for stream in chunks], dtype=float)
    first = np.array([stream[0][0] if stream else np.nan for stream in chunks], dtype=float)
    return Columns(
        scheduled_ns=first - 10, send_ns=first - 5, first_token_ns=first, first_answer_ns=first, last_token_ns=last,
        end_ns=last, input_tokens=counts, output_tokens=counts, cached_tokens=counts * np.nan,
        streamed=np.ones(len(chunks), dtype=bool),
        chunk_offsets=np.cumsum([0, *(len(stream) for stream in chunks)]),
        chunk_ns=np.array(array("q", [at for at, _ in flat])), chunk_tokens=np.array(array("q", [n for _, n in flat])),
        chunk_censored=np.zeros(len(flat), dtype=bool), chunk_tokens_known=np.ones(len(chunks), dtype=bool))


def moved(columns: Columns, by: int) -> Columns:
    return Columns(**{name: getattr(columns, name) for name in Columns.__slots__} | {  # type: ignore[attr-defined]
        "chunk_ns": columns.chunk_ns - by})


@given(requests())
def test_tokens_of_neighbouring_windows_add_up_to_all_tokens(columns: Columns) -> None:
    parts = sum(tokens_inside(moved(columns, start), 50).sum() for start in range(-50, 151, 50))
    counted = np.add.reduceat(np.append(columns.chunk_tokens, 0), columns.chunk_offsets[:-1]) if len(
        columns.chunk_ns) else np.zeros(columns.rows)
    has_chunks = columns.chunk_counts > 0
    expected = np.where(np.isnan(columns.output_tokens), counted, columns.output_tokens)[has_chunks].sum()
    assert abs(parts - expected) < 1e-6


@given(requests())
def test_time_in_flight_of_neighbouring_windows_adds_up(columns: Columns) -> None:
    begun, ended = columns.send_ns[columns.chunk_counts > 0], columns.end_ns[columns.chunk_counts > 0]
    parts = sum(overlap_ns(begun - start, ended - start, 50).sum() for start in range(-100, 151, 50))
    assert parts == (ended - begun).sum()


@given(requests())
def test_time_in_flight_and_the_times_of_what_ended_differ_by_what_is_at_the_edges_at_most(columns: Columns) -> None:
    begun, ended = columns.send_ns[columns.chunk_counts > 0], columns.end_ns[columns.chunk_counts > 0]
    residence = ended - begun
    by_end = residence[inside(ended, 50)].sum()
    assert abs(overlap_ns(begun, ended, 50).sum() - by_end) <= residence[at_edges(begun, ended, 50)].sum()


def test_null_is_in_no_window() -> None:
    assert inside(np.array([np.nan, 0.0, 9.0, 10.0, -1.0]), 10).tolist() == [False, True, True, False, False]
