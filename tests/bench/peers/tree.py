"""A command and all that it starts: its CPU over time, on cores of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ran: its exit code (None: stopped at its limit), how long, the CPU of all its processes, and that
    CPU at instants of the monotonic clock."""

    code: int | None
    lasted_s: float
    cpu_s: float
    at_ns: Sequence[int]
    spent_s: Sequence[float]

    def cpu_between(self, begin_ns: int, end_ns: int) -> float:
        """CPU in seconds between two instants, linear between two samples."""
        early, late = np.interp([begin_ns, end_ns], self.at_ns, self.spent_s)
        return float(late - early)


class Family:
    """The processes that descend from one; what one of them spent is kept when it is gone."""

    def __init__(self, root: int) -> None:
        self.spent_s: dict[int, float] = {}
        self._members = {root}

    def look(self) -> float:
        """The CPU so far of all of them, in seconds."""
        parents, spent = _processes()
        grown = True
        while grown:
            young = {pid for pid, parent in parents.items() if parent in self._members} - self._members
            self._members |= young
            grown = bool(young)
        self.spent_s |= {pid: spent[pid] for pid in self._members & spent.keys()}
        return sum(self.spent_s.values())

    def alive(self) -> list[int]:
        """Those that are still there."""
        parents, _ = _processes()
        return sorted(self._members & parents.keys())


def _processes() -> tuple[dict[int, int], dict[int, float]]:
    """Of every process: its parent, and its own CPU in seconds."""
    parents, spent = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            spent[int(entry.name)] = (int(fields[11]) + int(fields[12])) * _TICK_S
    return parents, spent


def ran(command: Sequence[str], folder: Path, environment: Mapping[str, str], cores: set[int],
        limit_s: float) -> Ran:
    """The command to its end, in the folder; `said.log` there has its words. What is left of it is ended."""
    at_ns: list[int] = []
    spent_s: list[float] = []
    over = threading.Event()
    with (folder / "said.log").open("wb") as log:
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   preexec_fn=lambda: os.sched_setaffinity(0, cores))
    family = Family(process.pid)

    def watch() -> None:
        while not over.is_set():
            at_ns.append(time.monotonic_ns())
            spent_s.append(family.look())
            over.wait(_EVERY_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code, reaped_s = _end(process, begun + limit_s)
    lasted_s = time.monotonic() - begun
    over.set()
    watcher.join()
    for pid in family.alive():
        _kill(pid)
    return Ran(code, lasted_s, max(reaped_s, spent_s[-1]), at_ns, spent_s)


def _end(process: subprocess.Popen[bytes], limit: float) -> tuple[int | None, float]:
    """Its exit code, None where it had to be killed at the limit, and the CPU of all that it waited for."""
    killed = False
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return None if killed else process.returncode, used.ru_utime + used.ru_stime
        if not killed and time.monotonic() > limit:
            os.killpg(process.pid, signal.SIGKILL)
            killed = True
        time.sleep(0.02)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
