"""Starts Locust's master and workers as processes of this machine, watches them, ends them. Imports no Locust."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmload.base.errors import EXIT_BUDGET, EXIT_DISK_FULL, EXIT_INTERRUPTED, EXIT_INVALID, FmloadError, refused_by_disk
from fmload.base.resources import resource
from fmload.base.signals import undisturbed
from fmload.config import RunFile, yaml_lines
from fmload.config.dumping import values
from fmload.config.secrets import lift, refuse_inline_secrets
from fmload.launch.forks import Command, Process, last_words
from fmload.launch.importing import Locust
from fmload.launch.memory_file import memory_file
from fmload.launch.progress import Progress, read_snapshot
from fmload.protocol import admission
from fmload.results import stage_file
from fmload.results.folder import Results
from fmload.results.journal import compact

WATCH_EVERY_S = 0.2
CONNECT_LIMIT_S = 60
REMOTE_CONNECT_LIMIT_S = 900  # hosts may still be booting
INTERRUPTED_LIMIT_S = 240.0  # drain, flush and compaction after Ctrl-C
SILENT_S = 60.0
LEAVE_LIMIT_S = 15.0
KILL_LIMIT_S = 5.0
_CONNECTED = re.compile(r"(\d+) workers (?:connected|ready)")


@dataclass(slots=True)
class Fleet:
    """The processes of one run: the master, and the workers of this host."""

    processes: list[Process]

    @property
    def master(self) -> Process:
        return self.processes[0]


@dataclass(frozen=True, slots=True)
class Remote:
    """Workers that are started on other hosts and connect to `host`:`port` of this one."""

    workers: int
    host: str
    port: int

    @classmethod
    def parse(cls, workers: int, bind: str) -> Remote:
        """From `HOST:PORT`. Raises FmloadError for anything else."""
        host, _, port = bind.rpartition(":")
        if not host or not port.isdigit():
            raise FmloadError(f"--bind: '{bind}' is not HOST:PORT", hint="for example --bind 0.0.0.0:5557")
        return cls(workers, host, int(port))

    def command(self, locustfile: Path | None = None) -> str:
        """What starts a worker on another host, in a checkout or beside a copy of the locustfile."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::", "*") else self.host
        port = "" if self.port == 5557 else f" --master-port {self.port}"
        return f"locust -f {locustfile or 'locustfiles/openai.py'} --worker --master-host {host}{port}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The processes of a run: everything but its run file, whose addresses may not be known yet.

    `workers` are started on this host, unless there are `remote` ones; `token` is the run's, by which the master knows
    them; `watched` are more options of the master, `locustfile` holds users with a scenario.
    """

    results: Results
    workers: int
    token: str
    resume: bool = False
    remote: Remote | None = None
    watched: Sequence[str] = ()
    locustfile: Path | None = None

    @property
    def expected(self) -> int:
        """Workers in all."""
        return self.remote.workers if self.remote else self.workers

    def commands(self, run_file: int, port: int) -> list[Command]:
        """The master's, and those of the workers of this host. The run file is a descriptor that they inherit."""
        host = self.remote.host if self.remote else "127.0.0.1"
        limit_s = REMOTE_CONNECT_LIMIT_S if self.remote else CONNECT_LIMIT_S
        common = ["-f", str(self.locustfile or resource("locustfiles", "openai.py")), "--only-summary",
                  "--fmload-config", f"/dev/fd/{run_file}", "--fmload-out", str(self.results.root)]
        master = [*common, "--master", "--headless", "--master-bind-host", host, "--master-bind-port", str(port),
                  "--expect-workers", str(self.expected), "--expect-workers-max-wait", str(limit_s),
                  *(["--fmload-resume"] if self.resume else []), *self.watched]
        worker = [*common, "--worker", "--master-host", "127.0.0.1", "--master-port", str(port)]
        return [Command(master, self.results.logs / "master.log"),
                *(Command(worker, self.results.logs / f"worker-{number}.log")
                  for number in range(0 if self.remote else self.workers))]


def drive(run: RunFile, wanted: Wanted, locust: Locust, progress: Progress) -> int:
    """Run the load to its end; returns 0, or the exit code of a run that did not end well (2, 4, 130).

    For the main thread only (signals), once. Every process that was started is gone on return. Raises FmloadError with
    the master's own words when it failed.
    """
    results = wanted.results
    if wanted.remote is not None:
        refuse_inline_secrets(run)
    lifted, secrets = lift(run)
    write_run_file(lifted, locust.run_file)
    with _fleet(wanted, locust, secrets) as fleet:
        if remote := wanted.remote:
            progress.say(f"waiting for {_several(remote.workers)} at {remote.host}:{remote.port}, for at most "
                         f"{REMOTE_CONNECT_LIMIT_S // 60:g} minutes; start each with\n"
                         f"  {remote.command(wanted.locustfile)}")
        interrupted = _watch(fleet, results, progress, wanted.expected)
        code = fleet.master.returncode
    _compact(results, progress.say)
    return _judged(results, code, interrupted)


def _compact(results: Results, say: Callable[[str], None]) -> None:
    """Journals to Parquet; where that fails, whoever reads the folder next tries again."""
    try:
        compact(results)
    except FmloadError as error:
        say(f"the journals were not compacted: {error}")


def _judged(results: Results, code: int | None, interrupted: bool) -> int:
    """The exit code of a run whose master ended with `code`. Raises FmloadError."""
    whole = _close_stages(results)
    told = (read_snapshot(_live(results)) or {}).get("run", {})
    if code == EXIT_DISK_FULL or told.get("exit_code") == EXIT_DISK_FULL:
        raise _disk_full(told, results)
    if interrupted or code == EXIT_INTERRUPTED:
        return EXIT_INTERRUPTED
    if code == EXIT_BUDGET:
        return EXIT_BUDGET
    if told.get("error"):
        raise FmloadError(told["error"], hint=f"the logs are in {results.logs}", exit_code=code or EXIT_INVALID)
    if not stage_file.exists(results):
        log = results.logs / "master.log"
        raise FmloadError(f"Locust's master ended with code {code}:\n{last_words(log)}", hint=f"the whole log: {log}",
                          exit_code=EXIT_INVALID)
    return EXIT_INVALID if code == EXIT_INVALID or not whole else 0  # Locust's 1: some requests failed, which is data


def _disk_full(told: Mapping[str, Any], results: Results) -> FmloadError:
    """In the master's words, where there was room for them."""
    message, _, hint = str(told.get("error") or f"disk full: the load was stopped; {results.root} has no room left\n"
                           f"hint: make room, then 'fmload report {results.root}'").partition("\nhint: ")
    return FmloadError(message, hint or None, EXIT_DISK_FULL)


def _watch(fleet: Fleet, results: Results, progress: Progress, workers: int) -> bool:
    """Show progress until the master has ended. Ctrl-C once asks it to end, twice ends everything; tells if it came."""
    interrupted_at: float | None = None
    silence = Silence(results)
    while True:
        try:
            ended = fleet.master.poll() is not None
            snapshot = read_snapshot(_live(results))
            if snapshot is None:
                progress.say_at_times(lambda: f"waiting for {_several(workers)}: {connected(results)} connected")
            else:
                progress.show(snapshot)
                if news := silence.news(snapshot, time.time()):
                    progress.say(news)
            if ended:
                return interrupted_at is not None
            time.sleep(WATCH_EVERY_S)
            if interrupted_at and time.monotonic() - interrupted_at > INTERRUPTED_LIMIT_S:
                return True
        except KeyboardInterrupt:
            if interrupted_at is not None:
                return True
            interrupted_at = time.monotonic()
            progress.say("interrupted: requests in flight may end, records are kept (Ctrl-C again ends at once)")
            fleet.master.send_signal(signal.SIGINT)


class Silence:
    """Tells once of each silence of the master, which writes its state every second until it compacts the journals."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._told_of = 0.0

    def news(self, snapshot: Mapping[str, Any], now_s: float) -> str | None:
        """A sentence when the state has not been written for a minute before `now_s` (a wall clock)."""
        written_s = _live(self._results).stat().st_mtime
        writing = snapshot.get("run", {}).get("phase") == "writing"
        if writing or written_s == self._told_of or now_s - written_s < SILENT_S:
            return None
        self._told_of = written_s
        return (f"nothing heard of Locust's master for {SILENT_S:g} s: {self._results.logs / 'master.log'} may say why "
                "(Ctrl-C ends the run and keeps its records)")


def _several(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"


def connected(results: Results) -> int:
    """How many workers have connected by the master's log, gone or not."""
    log = results.logs / "master.log"
    found = _CONNECTED.findall(log.read_text(errors="replace")) if log.exists() else []
    return max(map(int, found), default=0)


def _close_stages(results: Results) -> bool:
    """A stage that a dead master left running is interrupted. Tells whether every stage had its turn."""
    if not stage_file.exists(results):
        return False
    told = stage_file.read(results)
    running = [stage for stage in told.stages if stage.status == "running"]
    for stage in running:
        stage.break_off(time.monotonic_ns())
    if running:
        try:
            told.write(results)
        except OSError as error:
            raise refused_by_disk(error, f"{results.stages_json} could not be written", (
                f"what was measured is kept: make room, then 'fmload report {results.root}'")) from error
    return not running and not any(stage.status == "pending" for stage in told.stages)


def _live(results: Results) -> Path:
    return results.logs / "live.json"


@contextmanager
def _fleet(wanted: Wanted, locust: Locust, secrets: Mapping[str, str]) -> Iterator[Fleet]:
    results = wanted.results
    port = wanted.remote.port if wanted.remote else _free_port()
    _live(results).unlink(missing_ok=True)
    fleet = Fleet([])
    try:
        locust.start(wanted.commands(locust.run_file, port), {**secrets, admission.TOKEN_VARIABLE: wanted.token},
                     fleet.processes)
        yield fleet
    finally:
        with undisturbed():
            _end(fleet, LEAVE_LIMIT_S if _live(results).exists() else 0.0)  # before it, workers have nothing to tell


def token_of(remote: Remote | None) -> str:
    """The run's: the one in the environment, or a new one. Raises FmloadError where workers of other hosts need it."""
    token = admission.token()
    if token is None and remote is not None:
        raise FmloadError(f"workers of other hosts need this run's token, and {admission.TOKEN_VARIABLE} is not set",
                          hint=admission.HOW_TO_MAKE)
    return token or admission.made_token()


def _end(fleet: Fleet, leave_s: float) -> None:
    """End what still runs: workers have time to leave a master that ended; then ask, wait, and kill. A frozen process
    is woken first, so that it can end."""
    limit = time.monotonic() + (leave_s if fleet.processes and fleet.master.poll() is not None else 0.0)
    while any(process.poll() is None for process in fleet.processes) and time.monotonic() < limit:
        time.sleep(0.05)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for process in fleet.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(sent)
        _await_all(fleet, KILL_LIMIT_S)


def _await_all(fleet: Fleet, limit_s: float) -> None:
    limit = time.monotonic() + limit_s
    for process in fleet.processes:
        try:
            process.wait(max(0.01, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def run_file_in_memory(run: RunFile) -> Iterator[int]:
    """The resolved run file as a descriptor that children inherit."""
    with memory_file() as file:
        write_run_file(run, file)
        yield file


def write_run_file(run: RunFile, file: int) -> None:
    """Fill such a file."""
    with os.fdopen(file, "w", encoding="utf-8", closefd=False) as text:
        text.write(yaml_lines.write(values(run)))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
