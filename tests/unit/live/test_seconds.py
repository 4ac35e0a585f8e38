"""Counts by the second: exact, however late they come, and in bounded memory, however long a run lasts."""

from __future__ import annotations

from collections import Counter

from fmload.live.counts import Counts
from fmload.live.seconds import KEPT_SECONDS, OPEN_SECONDS, Seconds


def counts(requests: int, buckets: int = 3) -> Counts:
    return Counts(Counter(ok=requests), 5, 7, 1, {"itl": Counter({6_000 + bucket: 2 for bucket in range(buckets)})})


def test_a_second_that_was_packed_reads_as_it_was_and_takes_what_comes_late() -> None:
    seconds = Seconds()
    seconds.add(100, counts(3))
    seconds.add(100 + OPEN_SECONDS, counts(1))
    seconds.tidy()
    assert seconds.at(100) == counts(3)
    seconds.add(100, counts(4))
    seconds.tidy()
    assert (seconds.at(100).requests, seconds.at(100).output_tokens) == (7, 10)
    assert seconds.at(100).histograms["itl"][6_001] == 4
    assert sorted(seconds) == [100, 100 + OPEN_SECONDS]


def test_of_a_second_of_which_nothing_is_known_nothing_is_counted() -> None:
    assert Seconds().at(5) == Counts()


def test_the_oldest_are_forgotten() -> None:
    seconds = Seconds()
    for second in range(2 * KEPT_SECONDS):
        seconds.add(second, counts(1))
        seconds.tidy()
    assert min(seconds) == KEPT_SECONDS and len(list(seconds)) == KEPT_SECONDS


def test_what_nobody_adds_to_any_more_takes_little_room() -> None:
    """600 buckets a second are what 200 requests a second fill, and some 35 kB while it is open."""
    seconds = Seconds()
    for second in range(OPEN_SECONDS + 100):
        seconds.add(second, counts(200, 600))
        seconds.tidy()
    assert len(seconds._open) == OPEN_SECONDS
    assert sum(map(len, seconds._packed.values())) < 100 * 4_000
