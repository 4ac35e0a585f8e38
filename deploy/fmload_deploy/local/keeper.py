"""Runs a command and ends it when whoever holds the other end of standard input is gone.

Run as a script with the command as its arguments; standard library only, so that it starts at once. Its exit status is
the command's. The kernel closes the pipe whatever way the holder ended, SIGKILL included.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

_POLITE_S = 10.0


def main(command: list[str]) -> int:
    """Run `command` until it ends or standard input does; returns its exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def forward(number: int, _frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the holder, who ends this one in its own time
    threading.Thread(target=_end_with_stdin, args=(child,), daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


def _end_with_stdin(child: subprocess.Popen[bytes]) -> None:
    while os.read(0, 4096):
        pass
    child.terminate()
    try:
        child.wait(_POLITE_S)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
