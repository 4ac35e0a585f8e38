"""The CPU of a command between two instants, and what others had of its cores."""

from __future__ import annotations

import pytest

from tests.bench.peers.tree import Ran

S = 10**9
RAN = Ran(0, 4.0, 3.0, 2, at_ns=[0, 2 * S, 4 * S], spent_s=[0.0, 1.0, 3.0], busy_s=[10.0, 11.5, 15.5])


def test_cpu_between_two_samples_is_linear() -> None:
    assert RAN.cpu_between(1 * S, 3 * S) == pytest.approx(0.5 + 1.0)


def test_others_share_is_of_all_its_cores() -> None:
    """From 2 to 4 s two cores were busy for 4 s, of which 2 s were the command's."""
    assert RAN.others_between(2 * S, 4 * S) == pytest.approx(2.0 / 4.0)


def test_ticks_that_were_counted_late_are_no_negative_share() -> None:
    assert Ran(0, 1.0, 1.0, 1, [0, S], [0.0, 1.0], [0.0, 0.9]).others_between(0, S) == 0.0
