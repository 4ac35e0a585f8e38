"""What can befall a distributed run, each fault once as code: struck inside a window, then everything is counted.

A request is *finished* when the server wrote its last byte and its client lived to read it. Bytes that the server
wrote into the socket of a process that was killed are read by nobody: of a killed process, requests whose last byte
went out after `UNREAD_S` before the kill are counted apart, as *unread*, and there can be at most one for each slot
of that process (`unread_limit`).
"""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgpack
import zmq

from fmload.base.errors import EXIT_DISK_FULL
from fmload.base.resources import resource
from fmload.model.record import Record, pack
from fmload.results.journal import compact
from tests.distributed.rogue import MAY_HEAR, Rogue
from tests.emulators import START_LIMIT_S
from tests.load_rig import Cluster, Run, Server, cluster, emulator, grow_disk, ids, run_file, wait_until
from tests.one_record import record

UNREAD_S = 0.25
END_LIMIT_S = 60.0
QUIET_S = 1.0
LOAD = {"concurrency": [4], "ramp": "200ms", "warmup": "200ms", "window": "3s", "drain": "10s"}


@dataclass(frozen=True)
class Fault:
    """`strike` acts on a cluster whose window is open. `kills` says whose slots die with what was in flight."""

    strike: Callable[[Cluster, random.Random], None]
    load: dict[str, Any] = field(default_factory=lambda: dict(LOAD))
    kills: tuple[str, ...] = ()  # of "worker-0", "worker-1"
    options: dict[str, Any] = field(default_factory=dict)  # of `cluster`
    server: tuple[str, ...] = ()  # more options of the emulator
    afterwards: Callable[[Cluster, random.Random], None] | None = None  # what befalls the folder once all has ended
    told: bool = False  # finished requests may be missing, if the run says how many


@dataclass
class Outcome:
    """One run that was struck: request ids at the server and in the records, and how everything ended."""

    run: Run
    finished: set[str]
    unread: set[str]
    unread_limit: int
    records: list[Record]
    invented: set[str]
    exit_codes: dict[str, int]
    wait_s: float  # from the fault to the end of the last process
    marks: set[str] = field(default_factory=set)  # what the stages are marked with
    told_lost: int = 0  # records that the run itself says are lost or set aside
    may_lose: bool = False

    @property
    def missing(self) -> set[str]:
        """Finished requests without a record."""
        return self.finished - ids(self.records)

    @property
    def duplicates(self) -> int:
        """Records too many: one request, one record."""
        return len(self.records) - len(ids(self.records))

    def check(self) -> None:
        """Raises AssertionError unless every finished request is a record, once."""
        allowed = self.told_lost if self.may_lose else 0
        assert len(self.missing) <= allowed, (
            f"{len(self.missing)} of {len(self.finished)} finished requests have no record, {self.told_lost} are told")
        assert not self.duplicates, f"{self.duplicates} records are there twice"
        assert not self.invented, f"{len(self.invented)} successes that the server does not know"
        assert len(self.unread - ids(self.records)) <= self.unread_limit, "more unread answers than slots"


def suffer(folder: Path, name: str, number: int = 0, load: dict[str, Any] | None = None) -> Outcome:
    """Two workers, one master, and the fault; concurrency (without a `load`), pace and instant drawn by `number`."""
    fault, draw = FAULTS[name], random.Random(number)
    load = load or {**fault.load, "concurrency": [draw.randint(2, 16) for _ in fault.load["concurrency"]]}
    pace = ("--ttft", f"{draw.randint(1, 60)}ms", "--gap", f"{draw.randint(1, 20)}ms", "--jitter", "0.3")
    with emulator(folder, *pace, "--seed", str(number), *fault.server) as server, \
            cluster(folder, run_file(folder, {"a": server.url}, load, seed=number), **fault.options) as all:
        wait_until(lambda: all.master.in_window() or all.master.process.poll() is not None, START_LIMIT_S, "the window")
        assert all.master.process.poll() is None, f"the master ended before its window:\n{all.master.output()}"
        time.sleep(draw.uniform(0.0, 0.8))
        struck_ns = time.monotonic_ns()
        fault.strike(all, draw)
        codes = await_the_end(all, server)
        wait_s = (time.monotonic_ns() - struck_ns) / 1e9
        if fault.afterwards is not None:
            fault.afterwards(all, draw)
        return counted(all, server, fault, struck_ns, codes, wait_s)


def await_the_end(all: Cluster, server: Server) -> dict[str, int]:
    """Exit codes by process. Workers that no master ends go on until they notice; then they are asked to end."""
    codes = {"master": all.master.wait(END_LIMIT_S)}
    ended = codes["master"] >= 0
    for number, worker in enumerate(all.workers):
        if worker.process.poll() is None and not (ended and gone_within(worker, 10.0)):
            wait_until(lambda: quiet(server), 30.0, "the workers to stop sending")
            worker.process.send_signal(signal.SIGTERM)
        codes[f"worker-{number}"] = worker.wait(30.0)
    return codes


def gone_within(run: Run, limit_s: float) -> bool:
    limit = time.monotonic() + limit_s
    while run.process.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    return run.process.poll() is not None


def quiet(server: Server) -> bool:
    """No request has come for a while."""
    newest = max((one.received_ns for one in server.requests()), default=0)
    return time.monotonic_ns() - newest > QUIET_S * 1e9


def counted(all: Cluster, server: Server, fault: Fault, struck_ns: int, codes: dict[str, int],
            wait_s: float) -> Outcome:
    if "disk" in fault.options:
        grow_disk(all.master.results.root, "64m")
    set_aside = compact(all.master.results).set_aside_in_all
    records = all.master.records()
    made = sum(stage["records"] or 0 for stage in all.master.stages())
    served = {one.request_id: one.end_ns or 0 for one in server.requests() if one.outcome == "ok"}
    doubtful = struck_ns - int(UNREAD_S * 1e9)
    # Who sent a request is known from its record alone: of those without one, all that ended late are in doubt.
    unread = {request for request, end_ns in served.items() if fault.kills and end_ns > doubtful} - ids(records)
    slots = max((stage["users"] or 0 for stage in all.master.stages()), default=0)
    limit = -(-slots // len(all.workers)) * len(fault.kills)
    invented = {record.request_id for record in records if record.outcome == "ok"} - set(served)
    return Outcome(all.master, set(served) - unread, unread, limit, records, invented, codes, wait_s,
                   {mark["kind"] for stage in all.master.stages() for mark in stage["marks"]},
                   max(0, made - len(records) - set_aside) + set_aside, fault.told)


# -- the faults ---------------------------------------------------------------------------------------------------


def none(all: Cluster, draw: random.Random) -> None:
    """The run goes on undisturbed."""


def worker_killed(all: Cluster, draw: random.Random) -> None:
    """kill -9 of one worker."""
    all.workers[0].process.kill()


def worker_frozen(all: Cluster, draw: random.Random) -> None:
    """One worker stands still until the master has taken it for lost, and wakes up."""
    frozen = all.workers[0].process
    frozen.send_signal(signal.SIGSTOP)
    wait_until(lambda: "worker_lost" in kinds(all.master), 20, "the silence to be noticed")
    frozen.send_signal(signal.SIGCONT)


def worker_frozen_long(all: Cluster, draw: random.Random) -> None:
    """One worker stands still until the next stage is measured without it, and wakes up."""
    frozen = all.workers[0].process
    frozen.send_signal(signal.SIGSTOP)
    wait_until(lambda: bool(all.master.stages()[1]["window_start_ns"]), 60, "the next stage's window")
    frozen.send_signal(signal.SIGCONT)


def worker_cut_off(all: Cluster, draw: random.Random) -> None:
    """Nothing passes between master and one worker any more; in every second run the way is mended after a while."""
    assert all.relay is not None
    all.relay.send_signal(signal.SIGSTOP)
    if draw.random() < 0.5:
        time.sleep(5.0)
        all.relay.send_signal(signal.SIGCONT)


def worker_late(all: Cluster, draw: random.Random) -> None:
    """A third worker comes in the middle of a window."""
    all.join()


def master_killed(all: Cluster, draw: random.Random) -> None:
    """kill -9 of the master."""
    all.master.process.kill()


def ctrl_c(all: Cluster, draw: random.Random) -> None:
    """Ctrl-C in a terminal reaches master and workers at the same time."""
    interrupt(all.master, *all.workers)


def ctrl_c_twice(all: Cluster, draw: random.Random) -> None:
    """Ctrl-C, and again before the first has come to its end."""
    interrupt(all.master, *all.workers)
    time.sleep(draw.uniform(0.05, 0.5))
    interrupt(all.master, *all.workers)


def interrupt(*runs: Run) -> None:
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGINT)


def slow_master(all: Cluster, draw: random.Random) -> None:
    """The master stands still for longer than its workers wait for an acknowledgement, less than a lease."""
    all.master.process.send_signal(signal.SIGSTOP)
    time.sleep(draw.uniform(2.5, 7.0))
    all.master.process.send_signal(signal.SIGCONT)


def hangup(all: Cluster, draw: random.Random) -> None:
    """The terminal is closed: every process of it gets SIGHUP."""
    for run in (all.master, *all.workers):
        run.process.send_signal(signal.SIGHUP)


def master_killed_writing(all: Cluster, draw: random.Random) -> None:
    """kill -9 of the master in the moment in which its journal grows."""
    journal, = all.master.results.journal.glob("master-*.log")
    before = journal.stat().st_size
    while journal.stat().st_size == before:
        pass
    all.master.process.kill()


def workers_killed(all: Cluster, draw: random.Random) -> None:
    """kill -9 of every worker."""
    for worker in all.workers:
        worker.process.kill()


def garbage(all: Cluster, draw: random.Random) -> None:
    """Bytes that are no message, on the master's port: through its protocol, and through a bare socket."""
    context = zmq.Context()
    stranger = context.socket(zmq.DEALER)
    stranger.connect(f"tcp://127.0.0.1:{all.port}")
    for sent in (b"\xc1", b"", draw.randbytes(300), msgpack.packb(193), msgpack.packb(["heartbeat", None, "nobody"]),
                 msgpack.packb(["stats", {"user_count": "x"}, "nobody"]), msgpack.packb([None, None, None]),
                 msgpack.packb(["fmload_records", {"run_id": "x"}, "nobody"])):
        stranger.send(sent)
    with socket.create_connection(("127.0.0.1", int(all.port))) as bare:
        bare.sendall(draw.choice([b"\xc1", b"GET / HTTP/1.1\r\n\r\n", draw.randbytes(64), b"\xff" + bytes(9)]))
        time.sleep(0.2)
    stranger.close(linger=1000)
    context.term()


def rogue_worker(all: Cluster, draw: random.Random) -> None:
    """Strangers without the token ask for a part in the run, and send records: in a name of their own, in that of a
    worker over a connection of their own, and over a connection that bears a worker's name."""
    victim, run_id = all.master.workers()[0]["worker"], json.loads(all.master.results.stages_json.read_text())["run_id"]
    forged = [pack(replace(record(), request_id=f"forged-{number}")) for number in range(2000)]
    strangers = [Rogue(all.port), Rogue(all.port, b"rogue_that_lies"), Rogue(all.port, victim.encode())]
    for stranger, name in zip(strangers, (None, victim, victim), strict=True):
        stranger.ask_in()
        stranger.forge(run_id, forged, name)
        stranger.say("client_ready", "2.47.0", name)
    for stranger in strangers:
        stranger.listen(0.3)
        assert stranger.kinds <= MAY_HEAR, f"a stranger was sent {stranger.kinds - MAY_HEAR}"
        stranger.close()


def other_version(protocol: int, fmload: str) -> str:
    """A locustfile whose processes speak another protocol and say that they are another fmload."""
    file = str(resource("locustfiles", "openai.py"))
    return (f"from fmload.protocol import messages\n"
            f"messages.PROTOCOL_VERSION, messages.__version__ = {protocol}, {fmload!r}\n"
            f"exec(compile(open({file!r}).read(), {file!r}, 'exec'))\n")


def mixed_versions(all: Cluster, draw: random.Random) -> None:
    """Workers of another version come into the run: one of a later protocol, one of the first. Ctrl-C when both were
    refused."""
    for number, (protocol, version) in enumerate(((99, "9.9"), (1, "0.1"))):
        other = all.master.results.root.parent / f"other-{number}.py"
        other.write_text(other_version(protocol, version))
        all.join(file=other)
    wait_until(lambda: refusals(all.master) == 2, START_LIMIT_S, "both to be refused")
    time.sleep(0.5)
    interrupt(all.master, *all.workers[:2])


def refusals(run: Run) -> int:
    """How many workers the master has refused so far."""
    return len({event["worker"] for event in run.events() if event["kind"] == "worker_refused"})


def damaged(all: Cluster, damage: Callable[[bytearray], None]) -> None:
    """The workers' journals are all that is left, and each is damaged."""
    for path in all.master.results.journal.glob("*.log"):
        if path.name.startswith("master-"):
            path.unlink()
            continue
        data = bytearray(path.read_bytes())
        damage(data)
        path.write_bytes(data)


def flipped_bits(all: Cluster, draw: random.Random) -> None:
    """One bit in the middle of each journal."""
    def flip(data: bytearray) -> None:
        data[draw.randrange(len(data) // 4, 3 * len(data) // 4)] ^= 1 << draw.randrange(8)

    damaged(all, flip)


def zeroed_tails(all: Cluster, draw: random.Random) -> None:
    """The end of each journal is zeros, as after a power cut."""
    def zero(data: bytearray) -> None:
        at = len(data) - draw.randrange(1, 400)
        data[at:] = bytes(len(data) - at + draw.randrange(4096))

    damaged(all, zero)


def full_while_reporting(all: Cluster, draw: random.Random) -> None:
    """The disk is full when the report is made; there is room again later."""
    root = all.master.results.root
    for made in root.glob("records/*.parquet"):
        made.unlink()
    with (root / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    command = [sys.executable, "-m", "fmload", "report", str(root)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == EXIT_DISK_FULL and "disk full" in refused.stderr, refused.stderr
    assert "Traceback" not in refused.stderr
    (root / "ballast").unlink()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode in (0, 4) and (root / "report.html").stat().st_size, again.stderr


def kinds(run: Run) -> set[str]:
    """The kinds of events so far."""
    return {event["kind"] for event in run.events()}


FAULTS: dict[str, Fault] = {
    "none": Fault(none),
    "worker_killed": Fault(worker_killed, {**LOAD, "concurrency": [4, 2]}, kills=("worker-0",)),
    "worker_frozen": Fault(worker_frozen, {**LOAD, "concurrency": [4, 2], "window": "5s", "drain": "3s"}),
    "worker_frozen_long": Fault(worker_frozen_long, {**LOAD, "concurrency": [4, 2], "window": "5s", "drain": "3s"}),
    "worker_cut_off": Fault(worker_cut_off, {**LOAD, "window": "7s"}, options={"relayed": True}),
    "worker_late": Fault(worker_late, {**LOAD, "window": "6s"}),
    "master_killed": Fault(master_killed, {**LOAD, "window": "60s"}),
    "ctrl_c": Fault(ctrl_c, {**LOAD, "window": "60s"}),
    "ctrl_c_twice": Fault(ctrl_c_twice, {**LOAD, "window": "60s"}, kills=("worker-0", "worker-1")),
    "disk_full": Fault(none, options={"file_limit": 8000}),
    "slow_master": Fault(slow_master, {**LOAD, "window": "4s"}),
    "disk_full_all": Fault(none, {**LOAD, "window": "60s"}, options={"disk": "700k"}, told=True),
    "disk_full_master": Fault(none, {**LOAD, "window": "60s"}, options={"master_file_limit": 150_000}),
    "disk_full_report": Fault(none, options={"disk": "8m"}, afterwards=full_while_reporting),
    "poisoned_record": Fault(none, server=("--fault", "usage:share=0.05,factor=1000000000"), told=True),
    "hangup": Fault(hangup, {**LOAD, "window": "60s"}),
    "workers_killed": Fault(workers_killed, {**LOAD, "window": "60s"}, kills=("worker-0", "worker-1")),
    "master_killed_writing": Fault(master_killed_writing, {**LOAD, "window": "60s"}),
    "flipped_bits": Fault(none, afterwards=flipped_bits, told=True),
    "zeroed_tails": Fault(none, afterwards=zeroed_tails, told=True),
    "rogue_worker": Fault(rogue_worker, {**LOAD, "window": "5s"}),
    "mixed_versions": Fault(mixed_versions, {**LOAD, "window": "300s"}),
    "garbage": Fault(garbage, {**LOAD, "window": "4s"}),
    "out_of_descriptors": Fault(none, {**LOAD, "concurrency": [120]}, options={"descriptors": 64}),
}


def names(asked: str) -> Sequence[str]:
    """The faults that `--fault` names."""
    return list(FAULTS) if asked == "all" else [asked]
