from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fmload.base.clock_offset import Offset, OffsetFilter

delays = st.integers(0, 10**8)


@given(offset=st.integers(-10**15, 10**15), ways=st.lists(st.tuples(delays, delays, delays), min_size=1, max_size=60))
def test_the_true_offset_lies_within_the_uncertainty(offset: int, ways: list[tuple[int, int, int]]) -> None:
    clock = OffsetFilter()
    for number, (there, at_worker, back) in enumerate(ways):
        sent = number * 10**9
        received = sent + there + offset
        clock.add(sent, received, received + at_worker, sent + there + at_worker + back)
    best = clock.best()
    assert best is not None
    assert abs(best.offset_ns - offset) <= best.uncertainty_ns + 1


def test_the_fastest_exchange_wins() -> None:
    clock = OffsetFilter()
    clock.add(0, 90, 90, 100)
    clock.add(1000, 1011, 1011, 1020)
    clock.add(2000, 2010, 2010, 2500)
    assert clock.best() == Offset(1, 10)


def test_an_exchange_is_forgotten_in_time_since_clocks_drift() -> None:
    clock = OffsetFilter()
    clock.add(0, 5, 5, 10)
    for _ in range(100):
        clock.add(0, 150, 150, 200)
    assert clock.best() == Offset(50, 100)


def test_one_kernels_clock_needs_no_measuring() -> None:
    assert OffsetFilter().best() is None
    assert OffsetFilter(same_clock=True).best() == Offset(0, 0)
