"""What runs on every host of a fleet: `python -m fmload_deploy.fleet.host CONFIG`, a JSON text without secrets.

The first host is the master: it takes the run out of the mailbox, runs `fmload run`, tells how it goes, and puts the
results into the mailbox. Every host keeps workers until their run has ended. It ends with the run, at the end of its
lease at the latest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from fmload.base.errors import FmloadError
from fmload.base.resources import resource
from fmload_deploy.fleet import delivery
from fmload_deploy.fleet.base import Told
from fmload_deploy.fleet.belongings import put_files, remove_files
from fmload_deploy.fleet.mailbox import RUN, STATUS, STOP, TAKEN, Folder, Mailbox
from fmload_deploy.fleet.parcel import RUN_FILE, pack_results, unpack

Value = TypeVar("Value")
LOOK_EVERY_S, LOOK_EVERY_AWS_S = 0.5, 5.0
_POLITE_S, _TAKE_LIMIT_S = 20.0, 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0  # before the mailbox is tried again
_NOT_CONNECTED = 1  # a worker's exit status before it has met a master; it says 0, 2 or 4 of a run


@dataclass(frozen=True, slots=True)
class Config:
    """`mailbox`: a folder, or `s3://bucket`. `workers`: how many the master waits for; None on the other hosts.
    `processes`: workers of this host. `until`: the end of the lease, seconds since 1970; None where the host itself
    sees to that. `parameters`: of Systems Manager, their values together the secrets as JSON; none where the
    environment holds them.
    `waits`: the host stays until the results have been taken, since they go with it. `patience_s`: without a run or
    a master it ends after so long."""

    home: str
    mailbox: str
    port: int
    processes: int
    master: str = ""
    workers: int | None = None
    until: float | None = None
    parameters: Sequence[str] = ()
    region: str | None = None
    waits: bool = False
    patience_s: float = 1800.0

    def text(self) -> str:
        """As the program takes it."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})


class Host:
    """This host: its children, and whether it has been asked to end."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.ending = threading.Event()
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._born = time.monotonic()

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes] | None:
        """A child; None when the host is ending."""
        with self._lock:
            if self.ending.is_set():
                return None
            with log.open("ab") as output:
                child = subprocess.Popen([sys.executable, "-P", "-m", *command], stdin=subprocess.DEVNULL,
                                         stdout=output, stderr=subprocess.STDOUT, cwd=self.config.home)
            self._children.append(child)
            return child

    def end(self) -> None:
        """Ask every child to end, and see to it."""
        self.ending.set()
        with self._lock:
            living = [child for child in self._children if child.poll() is None]
        for child in living:
            child.terminate()
        limit = time.monotonic() + _POLITE_S
        for child in living:
            try:
                child.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()

    def over(self) -> bool:
        """Whether the lease is over."""
        return self.config.until is not None and time.time() >= self.config.until

    def impatient(self) -> bool:
        """Whether nothing has come for so long that nothing will: whoever made the fleet was killed meanwhile."""
        return time.monotonic() - self._born > self.config.patience_s

    def pause(self, seconds: float) -> bool:
        """Wait; whether the host is to end."""
        return self.ending.wait(seconds) or self.over()


def work(host: Host, number: int) -> None:
    """Keep one worker: it is started again while there is no master yet, and not once its run has ended."""
    config = host.config
    command = ["fmload.locust", "-f", str(resource("locustfiles", "openai.py")), "--worker",
               "--exit-code-on-error", "0", "--master-host", config.master, "--master-port", str(config.port)]
    while True:
        child = host.start(command, Path(config.home) / f"worker-{number}.log")
        if child is None or _ended(host, child) != _NOT_CONNECTED or host.pause(1.0) or host.impatient():
            return


def _ended(host: Host, child: subprocess.Popen[bytes]) -> int:
    while (code := child.poll()) is None:
        if host.over() and host.config.workers is None:  # the master's own ends with its run
            host.end()
        time.sleep(LOOK_EVERY_S)
    return code


def measure(host: Host, mailbox: Mailbox, every_s: float) -> None:
    """The master's part: from the run in the mailbox to the results in it."""
    home = Path(host.config.home)
    insist = Insistence(host)
    insist(lambda: mailbox.write(STATUS, _status(Told("waiting"))))
    while not insist(lambda: mailbox.fetch(RUN, home / RUN)):
        if host.pause(every_s) or host.impatient():
            return
    unpack(home / RUN, home)
    results, log = home / "results", home / "master.log"
    child = host.start(["fmload", "run", RUN_FILE, "--out", "results", "--yes", "--remote-workers",
                        str(host.config.workers), "--bind", f"0.0.0.0:{host.config.port}"], log)
    if child is None:
        return
    _watch(host, child, mailbox, results, every_s)
    insist(lambda: mailbox.write(STATUS, _status(Told("packing", *_workers(results), _stage(results)))))
    if any(results.rglob("*.log")):
        pack_results(results, tar := home / "results.tar")
        delivery.send(tar, mailbox, insist)
    code = child.returncode
    insist(lambda: mailbox.write(STATUS, _status(Told(
        "ended", *_workers(results), exit_code=code, why=_why(log) if code else "",
        ended_utc=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())))))
    if host.config.waits:
        _await_taken(host, mailbox, every_s if any(results.glob("journal/*.log")) else 0.0)


class Insistence:
    """Calls what needs the mailbox until it succeeds: a mailbox that fails for a while, or whose disk is full, loses
    nothing that was measured. Once the host is to end, for a minute more; then the error is raised."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._until: float | None = None

    def __call__(self, act: Callable[[], Value]) -> Value:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return act()
            except (OSError, FmloadError) as error:
                print(f"the mailbox: {error}", file=sys.stderr, flush=True)
                if self._is_late():
                    raise
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _is_late(self) -> bool:
        if self._until is None and (self._host.ending.is_set() or self._host.over()):
            self._until = time.monotonic() + _TAKE_LIMIT_S
        return self._until is not None and time.monotonic() > self._until


def _await_taken(host: Host, mailbox: Mailbox, every_s: float) -> None:
    """Stay until somebody has the results; once asked to end, a minute more for whoever waits for them. 0: there are
    none."""
    last: float | None = None
    while every_s and mailbox.read(TAKEN) is None and (last is None or time.monotonic() < last):
        if last is None and (host.ending.is_set() or host.over()):
            last = time.monotonic() + _TAKE_LIMIT_S
        time.sleep(every_s)


def _watch(host: Host, child: subprocess.Popen[bytes], mailbox: Mailbox, results: Path, every_s: float) -> None:
    """Tell how the run goes until it has ended; it is asked to end once, by the mailbox or with the lease. A mailbox
    that cannot be reached for a while, or whose disk is full, ends nothing."""
    asked, beat = False, 0
    while child.poll() is None:
        time.sleep(every_s)
        beat += 1
        connected, lost = _workers(results)
        phase = "measuring" if (results / "logs" / "live.json").exists() else "waiting"
        stop = False
        try:
            mailbox.write(STATUS, _status(Told(phase, connected, lost, _stage(results), beat=beat)))
            stop = mailbox.read(STOP) is not None
        except (OSError, FmloadError) as error:
            print(f"the mailbox: {error}", file=sys.stderr, flush=True)
        if not asked and (stop or host.over() or host.ending.is_set()):
            asked = True
            child.send_signal(signal.SIGINT)


def _workers(results: Path) -> tuple[int, int]:
    """How many have connected, and how many of them were lost."""
    from fmload.launch.processes import connected
    from fmload.results.folder import Results

    events = Results(results).events_jsonl
    lines = events.read_text(errors="replace").splitlines() if events.exists() else []
    return connected(Results(results)), sum('"worker_lost"' in line for line in lines)


def _stage(results: Path) -> str:
    try:
        stages = json.loads((results / "stages.json").read_text())["stages"]
    except (OSError, ValueError, KeyError):
        return ""
    return f"{sum(stage.get('status') == 'done' for stage in stages)} of {len(stages)}"


def _why(log: Path) -> str:
    """The error of `fmload run`, by its own log."""
    lines = log.read_text(errors="replace").splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[found[-1]:] if found else lines[-5:])


def _status(told: Told) -> str:
    return json.dumps(asdict(told))


def _look_every_s(config: Config) -> float:
    """AWS bills every look; an emulation on this host does not."""
    if not config.mailbox.startswith("s3://"):
        return LOOK_EVERY_S
    from fmload_deploy.aws import pause_s

    return min(LOOK_EVERY_AWS_S, max(LOOK_EVERY_S, pause_s(None)))


def _mailbox(config: Config) -> Mailbox:
    if not config.mailbox.startswith("s3://"):
        return Folder(Path(config.mailbox))
    import boto3

    from fmload_deploy.fleet.bucket import Bucket

    return Bucket(boto3.client("s3", region_name=config.region), config.mailbox.removeprefix("s3://"))


def _take_secrets(config: Config) -> None:
    """Put the fleet's secrets into this process's environment, for its children; those that are files, into files."""
    if config.parameters:
        import boto3

        ssm = boto3.client("ssm", region_name=config.region)
        os.environ.update(json.loads("".join(
            ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] for name in config.parameters)))
    put_files(os.environ, Path(config.home))


@contextmanager
def _ended_in_order(host: Host) -> Iterator[None]:
    """SIGTERM has the host end: the run is drained, and its results are kept."""
    def ask(number: int, frame: FrameType | None) -> None:
        host.ending.set()
    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        host.end()
        remove_files(Path(host.config.home))
        signal.signal(signal.SIGTERM, before)


def main(argv: Sequence[str]) -> int:
    """The config; two of them on Kubernetes, where all pods are told the same: the master's, and the others'."""
    said: dict[str, Any] = json.loads(argv[0 if os.environ.get("JOB_COMPLETION_INDEX", "0") == "0" else -1])
    host = Host(config := Config(**said))
    Path(config.home).mkdir(parents=True, exist_ok=True, mode=0o700)
    with _ended_in_order(host):
        _take_secrets(config)
        workers = [threading.Thread(target=work, args=(host, number)) for number in range(config.processes)]
        for worker in workers:
            worker.start()
        if config.workers is not None:
            measure(host, _mailbox(config), _look_every_s(config))
            host.end()
        for worker in workers:
            while worker.is_alive():
                worker.join(LOOK_EVERY_S)
                if host.ending.is_set():
                    host.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
