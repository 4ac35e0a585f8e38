"""How long a worker may send on one word of its master: both sides keep to it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from fmload.protocol.lease import LEASE_S, MARGIN_S, Lease, Leases

S = 10**9


class Clock:
    """Instants of one clock, in ns."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def seconds(self) -> float:
        return self.now_ns / S


def test_a_worker_may_send_so_long_after_the_last_word_and_again_after_the_next() -> None:
    clock = Clock()
    lease = Lease(clock)
    clock.now_ns = int(LEASE_S * S)
    assert lease.holds
    clock.now_ns += 1
    assert not lease.holds
    lease.renew(clock.now_ns - S)
    assert lease.holds


def test_a_word_that_waited_while_the_worker_was_frozen_is_an_old_one() -> None:
    clock = Clock()
    lease = Lease(clock)
    clock.now_ns = 60 * S
    lease.renew(3 * S)
    assert not lease.holds


def test_a_clock_that_is_known_badly_gives_no_longer_lease() -> None:
    clock = Clock()
    lease = Lease(clock)
    lease.renew(1000 * S)
    clock.now_ns = int(LEASE_S * S) + 1
    assert not lease.holds


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 30)), min_size=1), st.floats(0, 30))
def test_where_the_master_waits_no_more_no_worker_sends(words: Iterable[tuple[float, float]], later_s: float) -> None:
    """Whatever each word's way takes, and whether it comes at all."""
    clock = Clock()
    leases, lease = Leases(clock.seconds), Lease(clock)
    came: list[tuple[int, int]] = []
    for pause_s, way_s in words:
        clock.now_ns += int(pause_s * S)
        leases.say("w")
        came.append((clock.now_ns + int(way_s * S), clock.now_ns))
    clock.now_ns += int(later_s * S)
    for at_ns, said_ns in came:
        if at_ns <= clock.now_ns:
            lease.renew(said_ns)
    assert leases.left_s("w") > 0 or not lease.holds


def test_a_worker_that_never_had_a_word_is_not_waited_for() -> None:
    assert Leases(Clock().seconds).left_s("w") == 0
    leases = Leases(Clock().seconds)
    leases.say("w")
    assert leases.left_s("w") == LEASE_S + MARGIN_S
