"""A child that a Ctrl-C on the terminal does not reach: its parent answers for it, and it ends with its parent."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


def apart() -> dict[str, Any]:
    """Keywords for `subprocess.Popen`, to be called inside `signals.interrupted_after`: Python drops what interrupts a
    fork. The parent sends the child SIGINT when it is interrupted itself; when the parent is gone, however it went,
    Linux sends it (elsewhere the child goes on)."""
    if sys.platform != "linux":
        return {"start_new_session": True}
    libc = ctypes.CDLL(None)  # before the fork: the child may load nothing

    def end_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return {"start_new_session": True, "preexec_fn": end_with_parent}
