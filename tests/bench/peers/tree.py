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
    """A command that ran: its exit code (None: stopped at its limit), how long, the CPU of all its processes; that CPU,
    and how long its cores were busy with anything, at instants of the monotonic clock."""

    code: int | None
    lasted_s: float
    cpu_s: float
    cores: int
    at_ns: Sequence[int]
    spent_s: Sequence[float]
    busy_s: Sequence[float]

    def cpu_between(self, begin_ns: int, end_ns: int) -> float:
        """CPU in seconds between two instants, linear between two samples."""
        early, late = np.interp([begin_ns, end_ns], self.at_ns, self.spent_s)
        return float(late - early)

    def others_between(self, begin_ns: int, end_ns: int) -> float:
        """The share of its cores that other processes had meanwhile, from 0 to 1."""
        early, late = np.interp([begin_ns, end_ns], self.at_ns, self.busy_s)
        others_s = late - early - self.cpu_between(begin_ns, end_ns)
        return float(max(0.0, others_s) / ((end_ns - begin_ns) / 1e9 * self.cores))


class Family:
    """The processes that descend from one; what one of them spent is kept when it is gone. Sessions that they open get
    the priority, too, for the kernel schedules a session as one."""

    def __init__(self, root: int, nice: int = 0) -> None:
        self._root, self._nice = root, nice
        self._members: dict[int, _Process] = {}

    def look(self) -> float:
        """The CPU so far of all of them, in seconds."""
        return sum(one.spent_s for one in self._grown().values())

    def end(self) -> None:
        """Kills those that are still there."""
        now = _processes()
        for pid, one in self._grown().items():
            if pid in now and now[pid].started == one.started:
                _kill(pid)

    def _grown(self) -> dict[int, _Process]:
        """The members, with those that came since the last look; a number that was given again is a stranger's."""
        now = _processes()
        known = {pid for pid, one in self._members.items() if pid in now and now[pid].started == one.started}
        if not self._members and self._root in now:
            known.add(self._root)
        while young := {pid for pid, one in now.items() if one.parent in known} - known:
            known |= young
        for pid in known - self._members.keys():
            _prefer(pid, self._nice)
        self._members |= {pid: now[pid] for pid in known}
        return self._members


@dataclass(frozen=True, slots=True)
class _Process:
    """What the kernel tells of a process: its parent, when it was started (ticks), its own CPU."""

    parent: int
    started: int
    spent_s: float


def _processes() -> dict[int, _Process]:
    """Every process of the machine."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            found[int(entry.name)] = _Process(int(fields[1]), int(fields[19]),
                                              (int(fields[11]) + int(fields[12])) * _TICK_S)
    return found


def ran(command: Sequence[str], folder: Path, environment: Mapping[str, str], cores: set[int],
        limit_s: float, nice: int = 0) -> Ran:
    """The command to its end, in the folder, with a priority; `said.log` there has its words. What is left of it is
    ended."""
    at_ns: list[int] = []
    spent_s: list[float] = []
    busy_s: list[float] = []
    over = threading.Event()
    with (folder / "said.log").open("wb") as log:
        begun = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=log, stderr=log,
                                   stdin=subprocess.DEVNULL, start_new_session=True,
                                   preexec_fn=lambda: os.sched_setaffinity(0, cores))
    family = Family(process.pid, nice)

    def watch() -> None:
        while not over.is_set():
            at_ns.append(time.monotonic_ns())
            spent_s.append(family.look())
            busy_s.append(_busy(cores))
            over.wait(_EVERY_S)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code, reaped_s = _end(process, begun + limit_s)
        lasted_s = time.monotonic() - begun
    finally:
        over.set()
        watcher.join()
        family.end()
    return Ran(code, lasted_s, max(reaped_s, spent_s[-1]), len(cores), at_ns, spent_s, busy_s)


def _busy(cores: set[int]) -> float:
    """Seconds that these cores have been busy since the machine's start, the time that its host took from them, too."""
    lines = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    return sum(sum(int(line[at]) for at in (1, 2, 3, 6, 7, 8)) * _TICK_S  # user, nice, system, irq, softirq, steal
               for line in lines if line[0] in {f"cpu{core}" for core in cores})


def _prefer(pid: int, nice: int) -> None:
    """The process before others; needs root."""
    group = Path(f"/proc/{pid}/autogroup")
    if nice and group.exists():
        os.setpriority(os.PRIO_PROCESS, pid, nice)
        group.write_text(str(nice))


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
