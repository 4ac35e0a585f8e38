from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmload.arrivals import ARRIVALS, schedule, share
from fmload.errors import FmloadError


def first(instants: Iterator[float], n: int) -> list[float]:
    return list(itertools.islice(instants, n))


@pytest.mark.parametrize("process", ARRIVALS.names())
@settings(max_examples=25)
@given(workers=st.integers(1, 9), seed=st.text(max_size=5))
def test_the_shares_of_all_workers_together_are_the_asked_process(process: str, workers: int, seed: str) -> None:
    whole = first(schedule({"process": process}, 50.0, seed), 45)
    shares = [first(share(schedule({"process": process}, 50.0, seed), index, workers), 45 // workers)
              for index in range(workers)]
    together = sorted(itertools.chain.from_iterable(shares))
    assert together == whole[:len(together)]


@pytest.mark.parametrize("process", ARRIVALS.names())
def test_instants_ascend_and_their_mean_rate_is_the_asked_one(process: str) -> None:
    instants = first(schedule({"process": process}, 200.0, "seed"), 20_000)
    assert all(before <= after for before, after in itertools.pairwise(instants))
    assert len(instants) / instants[-1] == pytest.approx(200.0, rel=0.03)


@pytest.mark.parametrize(("arrivals", "dispersion"), [
    ({"process": "constant"}, 0.0), ({"process": "poisson"}, 1.0), ({"process": "gamma", "burstiness": 0.25}, 4.0),
    ({"process": "gamma", "burstiness": 4.0}, 0.25)])
def test_the_gaps_spread_as_the_process_says(arrivals: dict[str, object], dispersion: float) -> None:
    instants = first(schedule(arrivals, 100.0, "seed"), 40_000)
    gaps = [after - before for before, after in itertools.pairwise(instants)]
    squared_variation = statistics.variance(gaps) / statistics.mean(gaps) ** 2
    assert squared_variation == pytest.approx(dispersion, rel=0.1, abs=1e-9)


def test_constant_arrivals_do_not_drift() -> None:
    assert first(schedule({"process": "constant"}, 10.0, ""), 100_001)[-1] == 10_000.0


def test_equal_seeds_give_equal_schedules_and_others_do_not() -> None:
    one, same, other = (first(schedule({"process": "poisson"}, 1.0, seed), 50) for seed in ("a", "a", "b"))
    assert one == same != other


@pytest.mark.parametrize(("arrivals", "words"), [
    ({"process": "gama"}, "did you mean 'gamma'"), ({"process": "gamma", "burstiness": 0}, "not above 0"),
    ({"process": "constant", "burst": 3}, "burst")])
def test_what_is_no_process_is_refused(arrivals: dict[str, object], words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        first(schedule(arrivals, 1.0, ""), 1)
