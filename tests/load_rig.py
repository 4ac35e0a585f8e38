"""Real processes for tests of load: an emulator with its truth log, `fmload run`, plain Locust, and what they left."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import yaml

from fmload.base.resources import resource
from fmload.emulator import truth
from fmload.model.prompt import Prompt
from fmload.model.record import Record, from_table, scenario_of, unpack
from fmload.model.request_id import is_trial
from fmload.prompts import store
from fmload.protocol import admission
from fmload.results import answers, journal, sessions
from fmload.results.folder import Results
from tests import emulators, forking
from tests.emulators import Emulator

# Masters and workers that a test starts one by one are of one run.
os.environ.setdefault(admission.TOKEN_VARIABLE, admission.made_token())

RUN_LIMIT_S = 120.0
Process = subprocess.Popen[bytes] | forking.Forked
HOLDS_SESSIONS = {"protocol": "responses", "session_state": "server"}  # an endpoint that keeps what was said
RELAY = Path(__file__).parent / "distributed" / "relay.py"


@dataclass
class Server:
    """An emulator that runs."""

    url: str
    truth_log: Path
    process: Emulator
    ca_file: str | None = None  # of one that speaks TLS

    def requests(self) -> list[truth.Truth]:
        """The requests that have ended at the server; the first requests before the load left out."""
        return [one for one in truth.read(self.truth_log) if not is_trial(one.request_id)]


@contextmanager
def emulator(folder: Path, *options: str, name: str = "emulator") -> Iterator[Server]:
    """An emulator on a free port, ended by its handle."""
    ready, log, output = (folder / f"{name}.{kind}" for kind in ("ready", "truth", "log"))
    process = emulators.start(["--port", "0", "--ready-file", str(ready), "--truth", str(log), *options], output)
    try:
        told = emulators.ready(process, ready, output)
        yield Server(told["url"], log, process, told["ca_file"])
    finally:
        process.kill()
        process.wait(10)


def wait_until(done: Callable[[], Any], limit_s: float, what: str) -> None:
    """Wait for something to become true; fails the test at the limit."""
    limit = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < limit, f"{what}: not within {limit_s:g} s"
        time.sleep(0.02)


def run_file(folder: Path, urls: dict[str, str], load: dict[str, Any], endpoint: Mapping[str, Any] | None = None,
             **keys: Any) -> Path:
    """A run file on these endpoints (name → address), with one small prompt set; `endpoint`: further keys of each."""
    endpoints = [{"name": name, "protocol": "openai", "model": "m", "url": f"{url}/v1", **(endpoint or {})}
                 for name, url in urls.items()]
    text = {"name": "test", "endpoints": endpoints, "load": load,
            "prompts": [{"name": "short", "source": "synthetic", "input_tokens": 20, "output_tokens": 5, "count": 400}],
            **keys}
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump(text))
    return path


@dataclass
class Run:
    """A finished or running process of `fmload run` or Locust, and its results folder."""

    process: Process
    results: Results
    log: Path

    def with_results(self, root: Path) -> Run:
        """The same process seen through another results folder."""
        return Run(self.process, Results(root), self.log)

    def wait(self, limit_s: float = RUN_LIMIT_S) -> int:
        """The exit code; fails the test when there is none within the limit."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still running after {limit_s:g} s:\n{self._what_it_waits_for()}") from error

    def _what_it_waits_for(self) -> str:
        """The ends of all logs, after every Locust process has written what its greenlets wait for."""
        for process in (own := psutil.Process(self.process.pid), *own.children(recursive=True)):
            if "fmload.locust" in process.cmdline():
                process.send_signal(signal.SIGUSR1)
        time.sleep(2.0)
        logs = [self.log, *sorted(self.results.logs.glob("*.log"))]
        return "\n".join(f"-- {log.name}\n{log.read_text(errors='replace')[-20_000:]}" for log in logs)

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def stages(self) -> list[dict[str, Any]]:
        """The entries of stages.json; none before there is one."""
        path = self.results.stages_json
        return json.loads(path.read_text())["stages"] if path.exists() else []

    def workers(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = json.loads(self.results.workers_json.read_text())["workers"]
        return entries

    def events(self) -> list[dict[str, Any]]:
        path = self.results.events_jsonl
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def records(self) -> list[Record]:
        """All records in the Parquet files."""
        files = sorted(self.results.records.glob("*.parquet"))
        return [record for file in files for record in from_table(pq.read_table(file))]

    def rows(self) -> dict[str, dict[str, str]]:
        """The rows of summary.csv by endpoint, of a run with one stage of each."""
        with self.results.summary_csv.open() as file:
            return {row["endpoint"]: row for row in csv.DictReader(file)}

    def beside(self, truths: Sequence[truth.Truth]) -> list[tuple[Record, truth.Truth]]:
        """Each record with what the server knows of its request; those that never reached it are left out."""
        told = {one.request_id: one for one in truths}
        return [(record, told[record.request_id]) for record in self.records() if record.request_id in told]

    def in_window(self) -> bool:
        """Whether a window is open now."""
        return any(stage["window_start_ns"] and not stage["window_end_ns"] for stage in self.stages())


def _limited(command: Sequence[str], limits: list[str], folder: Path, log: Path) -> subprocess.Popen[bytes]:
    limited = ["prlimit", *limits] if limits else []
    with log.open("ab") as output:
        return subprocess.Popen([*limited, sys.executable, *command], stdout=output, stderr=output,
                                stdin=subprocess.DEVNULL, start_new_session=True, cwd=folder)


@contextmanager
def started(command: Sequence[str], folder: Path, out: str = "out", file_limit: int | None = None,
            descriptors: int | None = None) -> Iterator[Run]:
    """A command in a session of its own; whatever is left of its session is killed at the end.

    `file_limit`: bytes that a file which it writes may have, as if the disk were full beyond. `descriptors`: how many
    it may have open.
    """
    log = folder / f"{out}.log"
    limits = [f"--fsize={file_limit}"] * bool(file_limit) + [f"--nofile={descriptors}"] * bool(descriptors)
    if command[0] == "-m" and not limits:
        process: Process = forking.start(command[1], command[2:], log, folder=folder, session=True)
    else:
        process = _limited(command, limits, folder, Path("/dev/null") if file_limit else log)
    try:
        yield Run(process, Results(folder / out), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)


def give_prompts(folder: Path, count: int = 400, prompts: list[Prompt] | None = None) -> None:
    """Lay ready prompts into a results folder: neither `fmload run` nor Locust prepares them then."""
    prompts = prompts or [Prompt(f"short-{number:06d}", "short", text=f"Count to {number}.", input_tokens=20,
                                 tokenizer="bundled", output_tokens=5) for number in range(count)]
    store.write(Results(folder).prompts / "short.jsonl", prompts)


def fmload_run(folder: Path, path: Path, *options: str, out: str = "out") -> Any:
    """`fmload run` on a run file."""
    give_prompts(folder / out)
    return started(["-m", "fmload", "run", str(path), "--out", str(folder / out), *options], folder, out)


def finished(folder: Path, limit_s: float, keys: dict[str, Any]) -> Run:
    """A run of a run file with these keys, once it has ended; its code is the audit's, which a busy client fails."""
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump(keys))
    run: Run
    with fmload_run(folder, path) as run:
        run.wait(limit_s)
    return run


def measured(folder: Path, ways: dict[str, dict[str, Any]], prompts: dict[str, Any], load: dict[str, Any],
             *options: str, **keys: Any) -> tuple[Run, list[truth.Truth]]:
    """A finished run, side by side at one emulator with these options, of one prompt set and endpoints with these keys
    (`ways`, by name); and what the emulator knows of its requests."""
    with emulator(folder, *options) as server:
        run = finished(folder, RUN_LIMIT_S, {
            "name": "measured", "endpoints": [{"name": name, "url": server.url, **own} for name, own in ways.items()],
            "prompts": [{"name": "p", **prompts}],
            "load": {"ramp": 0, "warmup": 0, "side_by_side": True, **load}, **keys})
        assert run.results.summary_csv.exists(), run.output()
        return run, server.requests()


def locust(folder: Path, *options: str, out: str = "out", prompts: list[Prompt] | None = None,
           file: Path | None = None, **limits: int | None) -> Any:
    """Plain Locust with the locustfile for OpenAI endpoints, or `file`; `limits` of `started`."""
    give_prompts(folder / out, prompts=prompts)
    port = str(free_port())  # Locust's own port may be another test's
    return started(["-m", "locust", "-f", str(file or resource("locustfiles", "openai.py")), "--only-summary",
                    "--fmload-out", str(folder / out), "--master-bind-port", port, "--master-port", port, *options],
                   folder, out, **limits)


def sweep(folder: Path, path: Path, *options: str, processes: int = 2, prompts: list[Prompt] | None = None) -> Any:
    """A run file under headless Locust with worker processes: the load of `fmload run` without what is around it."""
    return locust(folder, "--headless", "--processes", str(processes), "--fmload-config", str(path), *options,
                  prompts=prompts)


def ids(records: Sequence[Record]) -> set[str]:
    return {record.request_id for record in records}


@dataclass
class Cluster:
    """A Locust master and its workers as processes of their own."""

    master: Run
    workers: list[Run]
    join: Callable[..., Run]  # starts one more worker; takes `file_limit` of `started`, and the port to connect to
    relay: subprocess.Popen[bytes] | None = None  # between the first worker and the master
    port: str = ""  # on which the master listens


@contextmanager
def cluster(folder: Path, path: Path, *options: str, workers: int = 2,
            file_limit: int | None = None, relayed: bool = False, master_file_limit: int | None = None,
            descriptors: int | None = None, disk: str | None = None, worker_file: Path | None = None,
            master_file: Path | None = None) -> Iterator[Cluster]:
    """A headless master on a free port and `workers` workers, all on this machine and in one results folder.

    `file_limit` and `descriptors` are limits of the first worker (see `started`); `relayed`: it reaches the master
    through a relay. `disk`: the results folder is a disk of its own, of that size. `worker_file`, `master_file`: other
    locustfiles, for the first worker and the master.
    """
    with ExitStack() as stack:
        port = str(free_port())
        if disk is not None:
            stack.enter_context(small_disk(folder / "out", disk))
        master = stack.enter_context(locust(folder, "--headless", "--master", "--master-bind-port", port,
                                            "--expect-workers", str(workers), "--fmload-config", str(path), *options,
                                            file=master_file, file_limit=master_file_limit))

        def join(file_limit: int | None = None, port: str = port, file: Path | None = None,
                 descriptors: int | None = None) -> Run:
            command = ["-m", "locust", "-f", str(file or resource("locustfiles", "openai.py")), "--worker",
                       "--master-host", "127.0.0.1", "--master-port", port]
            run: Run = stack.enter_context(started(command, folder, f"worker-{len(found.workers)}", file_limit,
                                                   descriptors))
            found.workers.append(run)
            return run

        way = stack.enter_context(relay(folder, port)) if relayed else None
        found = Cluster(master, [], join, way[0] if way else None, port)
        join(file_limit, way[1] if way else port, worker_file, descriptors)
        for _ in range(workers - 1):
            join()
        yield found


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """A disk in memory of so many bytes (`900k`), mounted there while the block runs. Needs the right to mount."""
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "--lazy", str(where)], check=True)


def may_mount() -> bool:
    """Whether this process has the right to mount a small disk."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder], capture_output=True,
                              check=False)
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def grow_disk(where: Path, size: str) -> None:
    """Give a small disk more room."""
    subprocess.run(["mount", "-o", f"remount,size={size}", str(where)], check=True)


@contextmanager
def relay(folder: Path, port: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A relay to a port of the loopback, and the port on which it listens; frozen, it is a cut cable."""
    own = str(free_port())
    with (folder / "relay.log").open("wb") as output:
        process = subprocess.Popen([sys.executable, str(RELAY), own, "127.0.0.1", port, "0"], stdout=output,
                                   stderr=output)
    try:
        yield process, own
    finally:
        process.kill()
        process.wait(10)


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def three_workers(stack: ExitStack, folder: Path, file: str, path: Path) -> tuple[Run, list[Run]]:
    """A run file under plain Locust, headless: the master's run and three workers, which end with the stack."""
    port = str(free_port())
    (folder / "out").mkdir()
    run = stack.enter_context(started(
        ["-m", "locust", "-f", file, "--headless", "--master", "--expect-workers", "3", "--master-bind-port", port,
         "--fmload-config", str(path), "--fmload-out", str(folder / "out")], folder))
    return run, [stack.enter_context(started(
        ["-m", "locust", "-f", file, "--worker", "--master-host", "127.0.0.1", "--master-port", port], folder,
        f"w{number}")) for number in range(3)]


def kill_inside_a_session(worker: Run) -> None:
    """Kill a worker at an instant at which a session has a record and has not ended."""
    def killed() -> bool:
        worker.process.send_signal(signal.SIGSTOP)
        if inside := bool(_open_sessions(worker.process.pid)):
            worker.process.kill()
        worker.process.send_signal(signal.SIGCONT)
        return inside

    wait_until(killed, 30.0, "a session that has begun")


def _open_sessions(pid: int) -> set[str]:
    """The sessions of a worker that have records and no end, by the journals that it has open."""
    begun: set[str | None] = set()
    ended: set[str | None] = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        if (path := link.readlink()).parent.name == "journal":
            for packed in journal.read(path):
                if not answers.is_answer(packed):
                    begun.add((scenario_of(unpack(packed).detail) or {}).get("session"))
                elif session := sessions.unpack(packed):
                    ended.add(session.session)
    return {name for name in begun - ended if name}
