"""A run's Locust processes, forked from one that has imported Locust meanwhile (`fmload.locust.fork_server`).

The import takes a second of a core, and is paid once, beside the checks and prompts of the run, not by each process.
The forked processes become children of this one when their parent ends, which Linux alone can have: this process is
their subreaper for that moment. Elsewhere each process is started, and imports, by itself.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from fmload.base.errors import EXIT_INVALID, FmloadError
from fmload.base.signals import interrupted_after
from fmload.launch.memory_file import memory_file

POLL_S = 0.02
LOG_TAIL_LINES = 8
MOST_SAID_BYTES = 1 << 20
LONGEST_COMMAND = 4096  # in bytes, of a process as `ps` shows it
_PR_SET_CHILD_SUBREAPER = 36
_ERROR = re.compile(r"\[[^]]*\] \S*/(ERROR|CRITICAL)/\S*: ")


class Process(Protocol):
    """What is used of `subprocess.Popen`."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...

    def wait(self, timeout: float) -> int: ...

    def send_signal(self, sig: int) -> None: ...


class Child:
    """A process that became a child of this one: as `subprocess.Popen` has those that it started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def wait(self, timeout: float) -> int:
        """The exit code. Raises subprocess.TimeoutExpired when there is none within so many seconds."""
        limit = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() >= limit:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(POLL_S)
        return code

    def send_signal(self, sig: int) -> None:
        """Nothing to one that has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)


@dataclass(frozen=True, slots=True)
class Command:
    """A Locust process: its words behind `locust`, and where it writes."""

    words: Sequence[str]
    log: Path

    @property
    def line(self) -> list[str]:
        """As it is started by itself."""
        return [sys.executable, "-P", "-m", "fmload.locust", *self.words]


# With more of the environment: token and secrets. Each process is put into the list once it runs, whatever comes after.
Start = Callable[[Sequence[Command], Mapping[str, str], list[Process]], None]


@contextmanager
def started(environment: Mapping[str, str], run_file: int) -> Iterator[Start]:
    """What starts the processes of a run, once, when it is called. Locust is imported from now on.

    They have this environment and inherit the descriptor `run_file`. Raises FmloadError where Locust cannot be
    imported.
    """
    if not _set_subreaper(False):
        yield partial(_each_by_itself, environment, run_file)
        return
    with memory_file() as said:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "fmload.locust.fork_server", " " * LONGEST_COMMAND], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=said, env=environment, pass_fds=(run_file,), start_new_session=True)
        try:
            yield partial(_forked, server, said)
        finally:
            with server:
                server.kill()


def _forked(server: subprocess.Popen[bytes], said: int, commands: Sequence[Command],
            environment: Mapping[str, str], processes: list[Process]) -> None:
    assert server.stdout is not None
    told = json.dumps({"environment": dict(environment),
                       "processes": [[command.line, str(command.log)] for command in commands]})
    ready = server.stdout.readline()
    with interrupted_after(), _subreaper():
        pids, _ = server.communicate(told.encode())
        processes += map(Child, json.loads(pids or b"[]"))
    _append(said, commands[0].log)
    if not ready or server.returncode:
        raise FmloadError(f"Locust cannot be started:\n{last_words(commands[0].log)}",
                          hint=f"the whole log: {commands[0].log}", exit_code=EXIT_INVALID)


def _append(said: int, log: Path) -> None:
    """What the process that imported Locust said goes to a log that it did not know yet."""
    if words := os.pread(said, MOST_SAID_BYTES, 0):
        with log.open("ab") as file:
            file.write(words)


def _each_by_itself(environment: Mapping[str, str], run_file: int, commands: Sequence[Command],
                    more: Mapping[str, str], processes: list[Process]) -> None:
    """In sessions of their own: Ctrl-C reaches this process alone, which passes it on in order."""
    for command in commands:
        with command.log.open("ab") as output, interrupted_after():
            processes.append(subprocess.Popen(
                command.line, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env={**environment, **more}, pass_fds=(run_file,)))


@contextmanager
def _subreaper() -> Iterator[None]:
    """Children of a child that ends inside become this process's own."""
    _set_subreaper(True)
    try:
        yield
    finally:
        _set_subreaper(False)


def _set_subreaper(on: bool) -> bool:
    """Whether the system knows of such a thing."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    return sys.platform == "linux" and prctl is not None and prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0) == 0


def last_words(log: Path) -> str:
    """What a log says of an error, with the lines that follow it; its last lines where it tells of none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    errors = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    if not errors:
        return "\n".join(lines[-LOG_TAIL_LINES:])
    rest = itertools.takewhile(lambda line: not line.startswith("["), lines[errors[-1] + 1:])
    return "\n".join([_ERROR.sub("", lines[errors[-1]]), *itertools.islice(rest, LOG_TAIL_LINES)])
