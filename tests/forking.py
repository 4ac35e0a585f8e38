"""Processes for tests, each forked from one that has imported what it needs: most of what a short process costs.

`start` and `run` are for tests. `python tests/forking.py NAME` is the process that those of one kind are forked from:
`fmload` for the command and the emulator, `locust` for Locust, whose import turns the standard library into gevent's.
It reads orders from stdin, a line of JSON each, and tells on stdout the ids of the processes and how they end; with
stdin it ends, and they do.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any

START_LIMIT_S = 180.0  # on a machine that other work keeps busy; a wait ends as soon as what it is for is there
_IMPORTED = {
    "fmload": ("fmload.__main__", "fmload.emulator.__main__", "fmload.cli.run", "fmload.cli.measuring",
               "fmload.cli.report", "fmload_analysis.pipeline", "fmload_analysis.report.report",
               "fmload_deploy.lifecycle", "boto3"),
    "locust": ("locust.main", "fmload.locust.plugin"),
}
_PARENTS = {"fmload": "fmload", "fmload.emulator": "fmload", "locust": "locust"}


class Forked:
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

    def wait(self, timeout: float | None = None) -> int:
        end = time.monotonic() + (timeout if timeout is not None else float("inf"))
        while self.returncode is None:
            left = end - time.monotonic()
            if left < 0:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
            self._parent.listen(min(left, 1.0))
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(module: str, words: Sequence[str], output: Path, errors: Path | None = None, folder: Path | None = None,
          environment: Mapping[str, str] | None = None, session: bool = False) -> Forked:
    """`python -m module words…` (`fmload`, `fmload.emulator` or `locust`) in this folder and environment, where no
    others are given; what it prints is added to `output`, or to `errors` what goes to stderr. `session`: it has one
    of its own, as with `start_new_session`."""
    return _parent(_PARENTS[module]).start({
        "module": module, "words": list(words), "output": str(output.absolute()),
        "errors": str((errors or output).absolute()), "folder": str((folder or Path.cwd()).absolute()),
        "session": session, "environment": dict(os.environ if environment is None else environment)})


def run(words: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None,
        timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
    """`fmload words…` to its end, as subprocess.run has it with `capture_output` and `text`; stdin is empty."""
    with tempfile.TemporaryDirectory() as kept:
        output, errors = Path(kept, "output"), Path(kept, "errors")
        process = start("fmload", words, output, errors, folder, environment)
        try:
            code = process.wait(timeout_s)
        finally:
            process.kill()
        return subprocess.CompletedProcess(list(words), code, output.read_text(), errors.read_text())


class _Parent:
    """The process that those of one kind are forked from."""

    def __init__(self, name: str) -> None:
        self.ended: dict[int, int] = {}
        self._begun: list[int] = []
        self._lock = RLock()
        self._process = subprocess.Popen([sys.executable, "-P", __file__, name], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def start(self, order: dict[str, Any]) -> Forked:
        with self._lock:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            end = time.monotonic() + START_LIMIT_S
            while not self._begun:
                assert time.monotonic() < end, "no process was forked"
                self.listen(1.0)
            pid = self._begun.pop()
            self.ended.pop(pid, None)  # of an earlier one that had the same id
            return Forked(pid, self)

    def listen(self, seconds: float) -> None:
        """Take what the process has told; wait for it so long."""
        assert self._process.stdout is not None
        with self._lock:
            while select.select([self._process.stdout], [], [], seconds)[0]:
                line = self._process.stdout.raw.readline()  # type: ignore[attr-defined]
                assert line, "the process that others are forked from has ended"
                told = json.loads(line)
                if "status" in told:
                    self.ended[told["pid"]] = os.waitstatus_to_exitcode(told["status"])
                else:
                    self._begun.append(told["pid"])
                seconds = 0.0


@cache
def _parent(name: str) -> _Parent:
    return _Parent(name)


# What follows is of the process that others are forked from. These are the system's own, before gevent has its way.
_select, _fork, _waitpid, _signal = select.select, os.fork, os.waitpid, signal.signal


def _fork_on_demand(imported: Sequence[str]) -> None:
    """Fork a process for each order, and tell of each that has ended, until stdin is closed."""
    for module in imported:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # what is shared stays shared: the collector writes into what it looks at
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _signal(signal.SIGCHLD, lambda *_: None)
    _signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end their processes
    running: set[int] = set()
    while True:
        ready = _select([0, woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_of_the_ended(running)
        if 0 in ready:
            line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
            if not line:
                break
            running.add(pid := _forked(json.loads(line), (woken, wake)))
            _tell(pid=pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _tell_of_the_ended(running: set[int]) -> None:
    with suppress(ChildProcessError):
        while (ended := _waitpid(-1, os.WNOHANG))[0]:
            running.discard(ended[0])
            _tell(pid=ended[0], status=ended[1])


def _tell(**told: int) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def _forked(order: dict[str, Any], own: Sequence[int]) -> int:
    from fmload.base.leaving import ended_by

    if pid := _fork():
        return pid
    _be_as_new(order, own)
    sys.argv = [order["module"], *order["words"]]
    ended_by(_MAINS[order["module"]])


def _be_as_new(order: dict[str, Any], own: Sequence[int]) -> None:
    """Have nothing of the process that this one was forked from but its modules; `own`: its descriptors."""
    if order["session"]:
        os.setsid()
    signal.set_wakeup_fd(-1)
    _signal(signal.SIGCHLD, signal.SIG_DFL)
    _signal(signal.SIGINT, signal.default_int_handler)
    appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    opened = (os.open(os.devnull, os.O_RDONLY), os.open(order["output"], appended, 0o644),
              os.open(order["errors"], appended, 0o644))
    for number, kept in enumerate(opened):
        os.dup2(kept, number)
    for number in (*opened, *own):
        os.close(number)
    os.chdir(order["folder"])
    sys.path.insert(0, order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    random.seed()


def _fmload() -> Any:
    from fmload.cli.main import main

    return main()


def _emulator() -> Any:
    from fmload.emulator.__main__ import main

    return main()


def _locust() -> Any:
    from gevent import reinit
    from locust.main import main

    reinit()
    return main()  # type: ignore[no-untyped-call]


_MAINS: dict[str, Callable[[], Any]] = {"fmload": _fmload, "fmload.emulator": _emulator, "locust": _locust}

if __name__ == "__main__":
    _fork_on_demand(_IMPORTED[sys.argv[1]])
