"""Kernel stamps on the monotonic clock."""

from __future__ import annotations

import struct

import pytest

from fmload.wire.clock import MAX_LAG_NS, NO_STAMP, SO_TIMESTAMPNS, arrival

WALL, NOW = 1_700_000_000_000_000_000, 5_000_000_000


def stamp(ns: int) -> list[tuple[int, int, bytes]]:
    return [(1, SO_TIMESTAMPNS, struct.pack("qq", *divmod(ns, 10**9)))]


def test_the_arrival_is_now_minus_the_lag() -> None:
    assert arrival(stamp(WALL - 1500), NOW, WALL) == (NOW - 1500, 1500)


@pytest.mark.parametrize("ancillary", [
    [], stamp(WALL + 1), stamp(WALL - MAX_LAG_NS - 1), [(1, SO_TIMESTAMPNS, b"short")], [(1, 29, stamp(WALL)[0][2])],
])
def test_without_a_stamp_that_makes_sense_user_space_counts(ancillary: list[tuple[int, int, bytes]]) -> None:
    assert arrival(ancillary, NOW, WALL) == (NOW, NO_STAMP)
