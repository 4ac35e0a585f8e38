from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from fmload.config.values import Balance
from fmload.wire.exchange import Address
from fmload.worker.load_balancer import LoadBalancer

A, B, C = (Address(name, 80) for name in "abc")


def taken(balancer: LoadBalancer) -> Address:
    with balancer.lend() as address:
        return address


def test_round_robin_gives_each_address_its_turn_however_busy_it_is() -> None:
    balancer = LoadBalancer([A, B, C])
    with balancer.lend() as first, balancer.lend() as second:
        assert [first, second, *(taken(balancer) for _ in range(4))] == [A, B, C, A, B, C]


def test_workers_begin_at_different_addresses() -> None:
    assert [taken(LoadBalancer([A, B, C], first=worker)) for worker in range(4)] == [A, B, C, A]


def test_least_busy_gives_the_address_with_the_fewest_in_flight_and_the_next_in_turn_among_equals() -> None:
    balancer = LoadBalancer([A, B, C], "least_busy")
    with balancer.lend() as slow, balancer.lend() as other:
        assert [slow, other] == [A, B]
        assert [taken(balancer) for _ in range(3)] == [C, C, C]
        with balancer.lend() as third:
            assert third == C
            assert taken(balancer) == A
    assert Counter(taken(balancer) for _ in range(6)) == {A: 2, B: 2, C: 2}


@pytest.mark.parametrize("balance", ["round_robin", "least_busy"])
def test_an_address_is_given_back_when_its_request_is_cut_off(balance: Balance) -> None:
    balancer = LoadBalancer([A, B], balance)
    with pytest.raises(KeyboardInterrupt), balancer.lend():
        raise KeyboardInterrupt
    with ExitStack() as held:
        assert {held.enter_context(balancer.lend()) for _ in range(2)} == {A, B}
