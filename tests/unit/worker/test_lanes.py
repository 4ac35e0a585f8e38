from __future__ import annotations

import gevent
from hypothesis import given
from hypothesis import strategies as st

from fmload.master.assignment import deal
from fmload.worker.slots import Lane, Slots


def lane(stage: int, slots: int, opened: int | None = None) -> Lane:
    return Lane(stage, f"e{stage}", "p", slots, slots if opened is None else opened)


def takers(lanes: Slots, n: int) -> list[gevent.Greenlet]:
    greenlets = [gevent.spawn(lanes.take) for _ in range(n)]
    gevent.idle()
    return greenlets


def got(greenlets: list[gevent.Greenlet]) -> list[int]:
    gevent.idle()
    return sorted(one.value.stage for one in greenlets if one.value is not None)


def test_never_more_than_the_slots_are_taken_and_lanes_fill_evenly() -> None:
    lanes = Slots()
    lanes.serve([lane(0, 2), lane(1, 3)])
    users = takers(lanes, 8)
    assert got(users) == [0, 0, 1, 1, 1]


def test_a_slot_that_opens_goes_to_a_user_that_waits() -> None:
    lanes = Slots()
    served, = lanes.serve([lane(0, 2, opened=0)])
    users = takers(lanes, 3)
    assert got(users) == []
    lanes.open(served)
    assert got(users) == [0]
    lanes.release(served)
    assert got(users) == [0, 0]


def test_after_a_change_of_step_a_free_user_takes_a_slot_of_the_new_stage() -> None:
    lanes = Slots()
    old, = lanes.serve([lane(0, 1)])
    users = takers(lanes, 2)
    assert got(users) == [0]
    lanes.serve([lane(1, 1)])
    assert got(users) == [0, 1]
    lanes.release(old)
    assert old.busy == 0


def test_a_stage_that_goes_on_keeps_what_is_busy() -> None:
    lanes = Slots()
    lanes.serve([lane(0, 3)])
    users = takers(lanes, 3)
    served, = lanes.serve([lane(0, 4, opened=0)])
    assert (served.busy, served.opened, served.slots) == (3, 3, 4)
    users += takers(lanes, 2)
    assert len(got(users)) == 3
    lanes.open(served)
    assert len(got(users)) == 4


def test_a_closed_lane_takes_nothing() -> None:
    lanes = Slots()
    lanes.serve([lane(0, 3)])
    lanes.close()
    assert got(takers(lanes, 1)) == []


def test_a_user_killed_while_it_waits_takes_no_slot() -> None:
    lanes = Slots()
    served, = lanes.serve([lane(0, 1, opened=0)])
    first, second = takers(lanes, 2)
    first.kill()
    lanes.open(served)
    assert got([second]) == [0]
    assert served.busy == 1


def test_a_user_killed_in_the_moment_of_its_slot_gives_it_back() -> None:
    lanes = Slots()
    served, = lanes.serve([lane(0, 1, opened=0)])
    first, second = takers(lanes, 2)
    first.kill(block=False)  # on its way when the slot is granted
    lanes.open(served)
    assert got([second]) == [0]
    assert served.busy == 1


def test_a_user_of_one_endpoint_waits_for_its_lane_and_lets_others_pass() -> None:
    lanes = Slots()
    served, _ = lanes.serve([lane(0, 1), lane(1, 2)])
    first, second = (gevent.spawn(lanes.take, "e0") for _ in range(2))
    gevent.idle()
    others = takers(lanes, 2)
    assert got([first, second]) == [0] and got(others) == [1, 1]
    lanes.release(served)
    assert got([first, second]) == [0, 0]


def test_a_slot_goes_to_the_first_that_can_use_it() -> None:
    lanes = Slots()
    waiting = gevent.spawn(lanes.take, "e1")
    gevent.idle()
    any_will_do, = takers(lanes, 1)
    lanes.serve([lane(0, 1)])
    assert got([waiting]) == [] and got([any_will_do]) == [0]


def test_a_lane_is_served_until_its_stage_closes() -> None:
    lanes = Slots()
    served, = lanes.serve([lane(0, 1)])
    assert lanes.serves(served)
    lanes.serve([lane(0, 2)])  # dealt again
    assert lanes.serves(served) and served.slots == 2
    lanes.serve([lane(1, 1)])
    assert not lanes.serves(served)


@given(slots=st.lists(st.integers(0, 20), min_size=1, max_size=4),
       users=st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_dealt_slots_add_up_to_what_was_asked_and_fit_the_users(slots: list[int], users: list[int]) -> None:
    by_worker = {f"w{number}": count for number, count in enumerate(users)}
    dealt = deal(slots, by_worker)
    for worker, count in by_worker.items():
        assert sum(dealt[worker]) <= count
    sums = [sum(dealt[worker][number] for worker in dealt) for number in range(len(slots))]
    assert sum(sums) == min(sum(slots), sum(users))
    if sum(users) >= sum(slots):
        assert sums == slots


def test_every_lane_is_spread_over_all_workers() -> None:
    assert deal([2, 2], {"a": 2, "b": 2}) == {"a": [1, 1], "b": [1, 1]}
