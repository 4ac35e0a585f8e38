"""Arrivals that are dealt again: each is sent once, by the old share before an instant and by the new one after it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from fmload.model.prompt import Prompt
from fmload.worker.arrival_queue import ArrivalQueue

INSTANTS = st.lists(st.integers(0, 100), max_size=30).map(sorted)


def schedule(instants: Iterable[int]) -> ArrivalQueue:
    return ArrivalQueue((instant, None) for instant in instants)


def left(of: ArrivalQueue) -> list[int]:
    taken = []
    while of.next is not None:
        taken.append(of.take()[0])
    return taken


@given(instants=INSTANTS, workers=st.integers(1, 4), left_over=st.integers(1, 4), sent_until=st.integers(0, 100),
       later=st.integers(0, 100))
def test_arrivals_dealt_again_to_fewer_or_more_are_each_sent_once(instants: list[int], workers: int, left_over: int,
                                                                  sent_until: int, later: int) -> None:
    shares = [schedule(instants[index::workers]) for index in range(workers)]
    sent = []
    for share in shares:
        while share.next is not None and share.next[0] < sent_until:
            sent.append(share.take()[0])
    since = sent_until + later
    again = [(shares[index] if index < workers else schedule(())).hand_over(
        since, ((instant, None) for instant in instants[index::left_over])) for index in range(left_over)]
    gone = [instant for share in shares[left_over:] for instant in left(share) if instant < since]
    assert sorted([*sent, *gone, *(instant for share in again for instant in left(share))]) == instants


@given(own=INSTANTS, batches=st.lists(INSTANTS, max_size=3), since=st.integers(0, 100))
def test_rows_of_a_lost_worker_join_in_their_order_from_an_instant_on(own: list[int], batches: list[list[int]],
                                                                     since: int) -> None:
    joined = schedule(own)
    for batch in batches:
        joined = joined.adopt(since, ((instant, None) for instant in batch))
    assert left(joined) == sorted([*own, *(instant for batch in batches for instant in batch if instant >= since)])


def test_what_is_sent_comes_with_its_instant() -> None:
    row = Prompt("p-0", "p", text="x")
    assert ArrivalQueue([(1, None)]).adopt(0, [(0, row)]).take() == (0, row)
