"""Emulators for tests, each a process of its own: forked from one that has imported what they need, which costs a tenth
of the CPU of `python -m fmload.emulator`.

`start` is for tests; `python tests/emulators.py` is the process that they are forked from. It reads orders from stdin,
a line of JSON each, and tells on stdout the ids of the emulators and how they end; with stdin it ends, and they do.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

START_LIMIT_S = 180.0  # on a machine that other work keeps busy; a wait ends as soon as what it is for is there


class Emulator:
    """As subprocess.Popen is: `returncode` is None while it runs, and minus the signal's number where one ended it."""

    def __init__(self, pid: int, parent: _Parent) -> None:
        self.pid = pid
        self._parent = parent

    @property
    def returncode(self) -> int | None:
        return self._parent.ended.get(self.pid)

    def poll(self) -> int | None:
        self._parent.listen(0.0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        end = time.monotonic() + timeout
        while self.returncode is None:
            left = end - time.monotonic()
            if left < 0:
                raise subprocess.TimeoutExpired(f"emulator {self.pid}", timeout)
            self._parent.listen(left)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(options: Sequence[str], output: Path) -> Emulator:
    """An emulator with these options of `python -m fmload.emulator`, in this folder and environment; what it prints is
    added to `output`."""
    return _parent().start(options, output)


def ready(process: Emulator | subprocess.Popen[Any], told: Path, output: Path) -> dict[str, Any]:
    """What an emulator tells in its `--ready-file`, which is there, and whole, once it listens. Fails the test where it
    ends, or takes too long."""
    limit = time.monotonic() + START_LIMIT_S
    while not told.exists():
        assert process.poll() is None, f"the emulator ended: {output.read_text()}"
        assert time.monotonic() < limit, f"not ready within {START_LIMIT_S:g} s: {output.read_text()}"
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(told.read_text())
    return found


class _Parent:
    """The process that emulators are forked from."""

    def __init__(self) -> None:
        self.ended: dict[int, int] = {}
        self._begun: list[int] = []
        self._process = subprocess.Popen([sys.executable, "-P", __file__], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def start(self, options: Sequence[str], output: Path) -> Emulator:
        order = {"options": options, "output": str(output.absolute()), "folder": str(Path.cwd()),
                 "environment": dict(os.environ)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        end = time.monotonic() + START_LIMIT_S
        while not self._begun:
            assert time.monotonic() < end, "no emulator was forked"
            self.listen(1.0)
        pid = self._begun.pop()
        self.ended.pop(pid, None)  # of an earlier one that had the same id
        return Emulator(pid, self)

    def listen(self, seconds: float) -> None:
        """Take what the process has told; wait for it so long."""
        assert self._process.stdout is not None
        while select.select([self._process.stdout], [], [], seconds)[0]:
            line = self._process.stdout.raw.readline()  # type: ignore[attr-defined]
            assert line, "the process that emulators are forked from has ended"
            told = json.loads(line)
            if "status" in told:
                self.ended[told["pid"]] = os.waitstatus_to_exitcode(told["status"])
            else:
                self._begun.append(told["pid"])
            seconds = 0.0


@cache
def _parent() -> _Parent:
    return _Parent()


def _fork_on_demand() -> None:
    """Fork an emulator for each order, and tell of each that has ended, until stdin is closed."""
    import fmload.emulator.__main__  # noqa: F401

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end their emulators
    running: set[int] = set()
    while True:
        ready = select.select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_of_the_ended(running)
        if 0 in ready:
            line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
            if not line:
                break
            running.add(pid := _forked(json.loads(line)))
            _tell(pid=pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _tell_of_the_ended(running: set[int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            running.discard(ended[0])
            _tell(pid=ended[0], status=ended[1])


def _tell(**told: int) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _forked(order: dict[str, Any]) -> int:
    if pid := os.fork():
        return pid
    try:
        code = _emulator(order)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        code = 1
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(code)


def _emulator(order: dict[str, Any]) -> int:
    """What `python -m fmload.emulator` does, with nothing of the process that it was forked from."""
    from fmload.emulator.__main__ import main

    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.closerange(3, 256)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, kept in enumerate((nothing, output, output)):
        os.dup2(kept, number)
    os.closerange(3, 256)
    os.chdir(order["folder"])
    sys.path.insert(0, order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    random.seed()
    sys.argv = ["fmload.emulator", *order["options"]]
    return main()


if __name__ == "__main__":
    _fork_on_demand()
