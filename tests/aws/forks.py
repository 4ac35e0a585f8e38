"""A command in a fork of this process: it can be killed, and starts without loading everything anew."""

from __future__ import annotations

import gc
import os
import signal
import time
import traceback
from collections.abc import Callable


class Fork:
    """`act` in a process of its own, which ends with the status that it returns."""

    def __init__(self, act: Callable[[], int]) -> None:
        self.pid = os.fork()
        if self.pid:
            return
        status = 70
        gc.callbacks.clear()  # in one of a test library an interrupt would be lost
        try:
            status = act()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, seconds: float = 120.0) -> int:
        """Its exit status; negative: the signal that ended it. After so many seconds it is killed."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise AssertionError(f"not ended after {seconds} s")
            time.sleep(0.02)


def die() -> None:
    """End at once, as a process that is killed does."""
    os.kill(os.getpid(), signal.SIGKILL)
