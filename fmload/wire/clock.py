"""Kernel receive stamps, put on the monotonic clock of the process.

The kernel stamps a segment on CLOCK_REALTIME when it comes in. How long ago that was, at the moment of reading,
is the *lag*; the arrival on the monotonic clock is now − lag. A step of the wall clock between arrival and
reading shows as a lag that makes no sense, and the user-space instant is used.
"""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Sequence
from typing import Protocol

SO_TIMESTAMPNS = 35  # asm-generic/socket.h; Python's socket module does not name it
ANCILLARY_BYTES = 64  # room for the control message of one stamp
NO_STAMP = -1  # a lag: the kernel gave no stamp, or one that makes no sense
MAX_LAG_NS = 3600 * 10**9

_timespec = struct.Struct("=qq").unpack
_TIMESPEC_BYTES = 16


class _Socket(Protocol):
    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def enable_kernel_stamps(sock: _Socket) -> bool:
    """Ask the kernel to stamp what this socket receives; False where it cannot."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def arrival(ancillary: Sequence[tuple[int, int, bytes]], now_ns: int, realtime_ns: int) -> tuple[int, int]:
    """(arrival on the monotonic clock, lag) of a read, both in ns; (now, NO_STAMP) without a usable stamp.

    `ancillary` is what recvmsg gave; `now_ns` and `realtime_ns` are CLOCK_MONOTONIC and CLOCK_REALTIME, read
    one after the other right after it.
    """
    for _level, kind, stamp in ancillary:
        if kind == SO_TIMESTAMPNS and len(stamp) == _TIMESPEC_BYTES:
            seconds, nanoseconds = _timespec(stamp)
            lag_ns = realtime_ns - (seconds * 1_000_000_000 + nanoseconds)
            if 0 <= lag_ns <= MAX_LAG_NS:
                return now_ns - lag_ns, lag_ns
    return now_ns, NO_STAMP
