"""Waking a greenlet at an absolute instant, to some tens of microseconds and without spinning.

gevent's timers go through `epoll_wait`, which counts whole milliseconds. A `timerfd` is a file descriptor that
becomes readable at an absolute instant of CLOCK_MONOTONIC: the loop sees it at once.
"""

from __future__ import annotations

import ctypes
import os
import time

import gevent

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK_CLOEXEC = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("it_interval", _Timespec), ("it_value", _Timespec))


class Timer:
    """Sleeps until instants of `time.monotonic_ns`; late ones return at once. Close it when done."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._timerfd()
        loop = gevent.get_hub().loop
        self._watcher = loop.io(self._fd, 1) if self._fd is not None else None

    def _timerfd(self) -> int | None:
        create = getattr(self._libc, "timerfd_create", None)
        fd = create(_CLOCK_MONOTONIC, _TFD_NONBLOCK_CLOEXEC) if create else -1
        return fd if fd >= 0 else None

    def sleep_until(self, due_ns: int) -> None:
        """Block the greenlet until `due_ns`. An instant that has passed only lets the others run."""
        if due_ns <= time.monotonic_ns():
            gevent.sleep(0)
        elif self._fd is None or self._watcher is None:
            gevent.sleep((due_ns - time.monotonic_ns()) / 1e9)
        else:
            value = _Itimerspec(_Timespec(0, 0), _Timespec(due_ns // 10**9, due_ns % 10**9))
            self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(value), None)
            gevent.get_hub().wait(self._watcher)
            os.read(self._fd, 8)

    def close(self) -> None:
        """Give the descriptor back."""
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
