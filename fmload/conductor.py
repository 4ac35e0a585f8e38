"""Drives a run from the master: plan and prompts out; ramp, warm-up, window and drain of each step; the barrier.

It keeps its own time (a shape's tick is a second coarse) and knows no Locust: `Crew` says which workers there are and
how many users each has, `target` is what the shape asks Locust for. Every wait has a limit.
"""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import gevent
import msgpack
from gevent.event import Event

from fmload.clocks import boot_id
from fmload.collector import Collector, host_name
from fmload.config.dumping import values
from fmload.config.schema import RunFile
from fmload.errors import EXIT_INTERRUPTED, EXIT_INVALID, FmloadError
from fmload.live import request_limits_s
from fmload.prompt import Prompt
from fmload.prompts import store
from fmload.stages import Stage, steps_of
from fmload.worker import Link

logger = logging.getLogger(__name__)

SPAWN_RATE_PER_WORKER = 90.0  # Locust warns above 100
READY_LIMIT_S = 120.0
USERS_LIMIT_S = 60.0
FLUSH_LIMIT_S = 60.0
COMPACTION_LIMIT_S = 1800.0
INTERRUPT_DRAIN_S = 5.0
CENSOR_LIMIT_S = 10.0
PROMPT_BATCH_BYTES = 512 * 1024
POLL_S = 0.02
LEAD_S = 0.05


class Crew(Link, Protocol):
    """The workers as the runner sees them now: id → users, those that are missing left out."""

    def users(self) -> dict[str, int]: ...


class Interrupted(Exception):
    """The run is to end now; what was measured is kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """What Locust shall hold: users in all, and how many it may start a second."""

    users: int
    rate: float
    turn: int = 0  # makes an equal target a new one, so that Locust spreads users again


def deal(slots: list[int], users: Mapping[str, int]) -> dict[str, list[int]]:
    """Slots of every lane on every worker: each lane's sum is what was asked, no worker gets more than its users.

    Lanes are spread as evenly as the users are. With too few users in all, the later lanes get fewer.
    """
    left = dict(sorted(users.items()))
    dealt = {worker: [0] * len(slots) for worker in left}
    for lane, wanted in enumerate(slots):
        for _ in range(min(wanted, sum(left.values()))):
            worker = min((w for w in left if left[w]), key=lambda w: (dealt[w][lane], -left[w]))
            dealt[worker][lane] += 1
            left[worker] -= 1
    return dealt


class Conductor:
    """One run, from the plan to the last record. `run` is a greenlet's body; `ended` is set when all is written."""

    def __init__(self, run: RunFile, stages: list[Stage], collector: Collector, crew: Crew) -> None:
        self.target: Target | None = None
        self.changed = Event()
        self.ended = Event()
        self.exit_code: int | None = None
        self._run_file = run
        self._stages = stages
        self._collector = collector
        self._crew = crew
        self._interrupt = Event()
        self._reason = ""
        self._members: list[str] = []
        self._lost: set[str] = set()
        self._step = -1
        self._helpers: list[gevent.Greenlet] = []
        self._shards: list[dict[str, list[Prompt]]] = []
        self._turn = 0
        self._dealing = False  # whether slots of the running step may be dealt again

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole run. Expected failures end it with a message and an exit code; nothing is raised."""
        try:
            self._begin()
            for step in steps_of(stage for stage in self._stages if stage.status == "pending"):
                self._run_step(step)
        except Interrupted:
            logger.warning("the run is interrupted: %s", self._reason)
            self.exit_code = self.exit_code or EXIT_INTERRUPTED
        except FmloadError as error:
            self._fail(str(error), error.exit_code)
        except Exception as error:
            logger.exception("the run failed")
            self._fail(f"{type(error).__name__}: {error}", EXIT_INVALID)
        finally:
            self._end()

    def interrupt(self, reason: str, exit_code: int | None = None) -> None:
        """End the run soon: no new requests, a short drain, the barrier. Returns at once; see `ended`."""
        self._reason = self._reason or reason
        self.exit_code = self.exit_code or exit_code
        self._interrupt.set()

    def _fail(self, message: str, exit_code: int) -> None:
        logger.error("%s", message)
        self._collector.live.run["error"] = message
        self.exit_code = exit_code

    def _say(self, phase: str, stages: list[Stage], left_s: float | None) -> None:
        done = sum(stage.status == "done" for stage in self._collector.stages)
        self._collector.live.run.update({
            "phase": phase, "stages": [stage.stage for stage in stages], "labels": [stage.label for stage in stages],
            "until_ns": None if left_s is None else time.monotonic_ns() + int(left_s * 1e9),
            "stages_done": done, "stages_in_all": len(self._collector.stages),
            "results": str(self._collector.results.root)})
        self._collector.write_live()

    # -- before the first step ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._say("preparing", [], None)
        self._collector.write_stages()
        self._members = sorted(self._crew.users())
        for worker in self._members:
            self._collector.admit(worker)
        self._send_plan()
        self._helpers = [gevent.spawn(self._ping_for_ever), gevent.spawn(self._watch_for_ever),
                         gevent.spawn(self._write_for_ever)]
        workers = self._collector.workers
        self._wait(lambda: all(workers[worker].ready for worker in self._living()), READY_LIMIT_S,
                   "not all workers took the plan")
        for worker in self._living():
            if workers[worker].problem:
                raise FmloadError(f"{workers[worker].problem}", hint=f"worker {worker} said so", exit_code=EXIT_INVALID)
        self._wait(lambda: all(workers[worker].clock.best() for worker in self._living()), READY_LIMIT_S,
                   "not all workers answered a ping")

    def _send_plan(self) -> None:
        names = [spec.name for spec in self._run_file.prompts]
        prompts = {name: store.read(self._collector.results.prompts / f"{name}.jsonl") for name in names}
        shards = {name: store.shards(prompts[name], len(self._members)) for name in names}
        # Fewer prompts than workers: those that got none share all, which repeats prompts but sends some.
        self._shards = [{name: shards[name][index] or prompts[name] for name in names}
                        for index in range(len(self._members))]
        for index, worker in enumerate(self._members):
            self._send_plan_to(worker, self._shards[index], trial=index == 0)

    def _send_plan_to(self, worker: str, shard: dict[str, list[Prompt]], trial: bool) -> None:
        self._send("fmload_plan", self._plan(shard, trial), worker)
        for name, prompts in shard.items():
            for batch in _batches([asdict(prompt) for prompt in prompts]):
                self._send("fmload_prompts", {"prompt_set": name, "prompts": batch}, worker)

    def _plan(self, shard: Mapping[str, list[Prompt]], trial: bool) -> dict[str, Any]:
        return {"run": values(self._run_file), "run_id": self._collector.run_id,
                "prompts": {name: len(prompts) for name, prompts in shard.items()},
                "journal": str(self._collector.results.journal.resolve()), "host": host_name(), "boot_id": boot_id(),
                "limits_s": request_limits_s(self._run_file.objectives), "trial": trial}

    # -- a step ---------------------------------------------------------------------------------------------------

    def _run_step(self, stages: list[Stage]) -> None:
        self._step += 1
        self._dealing = True
        self._ask_for_users(sum(stage.slots for stage in stages))
        for stage in stages:
            stage.status = "running"
        self._collector.running = stages
        self._ramp(stages)
        self._pause("warm-up", stages, max(stage.warmup_s for stage in stages))
        self._window(stages)
        self._drain(stages, max(stage.drain_s for stage in stages))
        for stage in stages:
            stage.status = "done"
        self._collector.running = []
        self._collector.write_stages()

    def _ask_for_users(self, users: int) -> None:
        """Have Locust hold enough users; an open loop needs one a worker, so that Locust sees it running."""
        living = self._living()
        wanted = max(users, 1) if users else len(living)
        self._set_target(wanted, SPAWN_RATE_PER_WORKER * len(living))
        arrived = self._wait(lambda: sum(self._crew.users().values()) >= wanted, USERS_LIMIT_S, None)
        if not arrived:
            self._collector.event("users_missing", None,
                                  f"{sum(self._crew.users().values())} of {wanted} users after {USERS_LIMIT_S:g} s")

    def _set_target(self, users: int, rate: float) -> None:
        self._turn += 1
        self.target = Target(users, rate, self._turn)
        self.changed.set()

    def _ramp(self, stages: list[Stage]) -> None:
        """The step begins a moment ahead, so that every worker has its part by then."""
        start_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
        for stage in stages:
            stage.ramp_start_ns = start_ns
        self._deal(stages, [stage.ramp_s for stage in stages], since_ns=start_ns)
        self._sleep(LEAD_S)
        self._pause("ramp", stages, max(stage.ramp_s for stage in stages))

    def _deal(self, stages: list[Stage], ramps_s: list[float], since_ns: int) -> None:
        """Give every worker its slots of every lane, or its share of the arrivals that are due after `since_ns`."""
        present = self._crew.users()
        users = {worker: present[worker] for worker in self._living() if worker in present}
        dealt = deal([stage.slots for stage in stages], users)
        for lane, stage in enumerate(stages):
            stage.workers = sorted({*stage.workers, *users})
            stage.users = sum(slots[lane] for slots in dealt.values()) if stage.slots else None
        for index, worker in enumerate(users):
            lanes = [{"stage": stage.stage, "endpoint": stage.endpoint, "prompt_set": stage.prompt_set, "slots": slots,
                      "ramp_s": ramp_s, "index": index, "workers": len(users), "start_ns": stage.ramp_start_ns,
                      "since_ns": since_ns, "rate": stage.load.value if stage.load.kind == "rate" else None,
                      "arrivals": stage.load.arrivals, "seed": f"{self._run_file.seed}/{stage.stage}"}
                     for stage, slots, ramp_s in zip(stages, dealt[worker], ramps_s, strict=True)]
            self._send("fmload_step", {"step": self._step, "lanes": lanes}, worker)
        self._collector.write_stages()

    def _pause(self, phase: str, stages: list[Stage], seconds: float) -> None:
        self._say(phase, stages, seconds)
        self._sleep(seconds)
        if phase == "ramp":
            for stage in stages:
                stage.warmup_start_ns = time.monotonic_ns()

    def _window(self, stages: list[Stage]) -> None:
        """All lanes stay loaded until the last of their windows has closed, so that each has its neighbours."""
        for worker in self._living():
            self._send("fmload_window", {"step": self._step}, worker)
        start_ns = time.monotonic_ns()
        for stage in stages:
            stage.window_start_ns = start_ns
        limits_s = {stage.stage: self._window_limit_s(stage) for stage in stages}
        self._say("window", stages, max(limits_s.values()))
        self._collector.write_stages()
        open_stages = list(stages)
        while open_stages:
            self._sleep(min(0.05, *(max(0.001, limits_s[stage.stage] - (time.monotonic_ns() - start_ns) / 1e9)
                                    for stage in open_stages)))
            elapsed_s = (time.monotonic_ns() - start_ns) / 1e9
            for stage in list(open_stages):
                enough = stage.requests is not None and self._collector.completed(stage.stage) >= stage.requests
                if enough or elapsed_s >= limits_s[stage.stage]:
                    stage.window_end_ns = time.monotonic_ns()
                    open_stages.remove(stage)

    def _window_limit_s(self, stage: Stage) -> float:
        """The window's length; by requests alone, the longest that these requests can take."""
        if stage.window_s is not None:
            return stage.window_s
        at_once = stage.load.value if stage.load.kind == "concurrency" else 1
        return self._run_file.timeouts.total_s * math.ceil((stage.requests or 1) / at_once)

    def _drain(self, stages: list[Stage], drain_s: float) -> None:
        """Nothing new is sent; what is in flight may end until the limit, and is censored then."""
        self._dealing = False
        self._say("drain", stages, drain_s)
        for worker in self._living():
            self._send("fmload_close", {"step": self._step}, worker)
        if not self._wait(self._all_idle, drain_s, None, interruptible=not self._reason):
            self._censor("cancelled" if self._reason else "censored")
        for stage in stages:
            stage.drain_end_ns = time.monotonic_ns()

    def _censor(self, outcome: str) -> None:
        for worker in self._living():
            self._send("fmload_censor", {"outcome": outcome}, worker)
        if not self._wait(self._all_idle, CENSOR_LIMIT_S, None, interruptible=False):
            self._collector.event("drain_incomplete", None, "a worker did not say that it is idle")

    def _all_idle(self) -> bool:
        return all(self._collector.workers[worker].idle_step >= self._step for worker in self._living())

    # -- the end --------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Close what is open, bring in every record, write the files. Runs on every way out."""
        try:
            self._close_running()
            self._flush()
            self._say("writing", [], None)
            gevent.killall(self._helpers, block=False)
            self._collector.close()
            self._compact()
            measured = any(stage.status == "done" for stage in self._collector.stages)
            if self.exit_code is None and not measured:
                self.exit_code = EXIT_INVALID
        except Exception:
            logger.exception("the run's end failed; the journals hold its records ('fmload report' reads them)")
            self.exit_code = self.exit_code or EXIT_INVALID
        finally:
            self._say("interrupted" if self._reason else "failed" if self.exit_code else "ended", [], None)
            self.target = None
            self.ended.set()
            self.changed.set()

    def _close_running(self) -> None:
        stages = self._collector.running
        if not stages:
            return
        now = time.monotonic_ns()
        for stage in stages:
            stage.status = "interrupted"
            if stage.window_start_ns is not None and stage.window_end_ns is None:
                stage.window_end_ns = now
        self._reason = self._reason or "the run failed"
        self._collector.event("interrupted", None, self._reason)
        self._drain(stages, min(INTERRUPT_DRAIN_S, max(stage.drain_s for stage in stages)))
        self._collector.running = []

    def _flush(self) -> None:
        """The barrier: every living worker says how many records it made, and they are all here."""
        self._say("collecting", [], FLUSH_LIMIT_S)
        asked = 0.0

        def complete() -> bool:
            nonlocal asked
            missing = self._collector.missing(self._living())
            if missing and time.monotonic() - asked > 2.0:
                asked = time.monotonic()
                for worker in missing:
                    self._send("fmload_flush", {}, worker)
            return not missing

        if not self._wait(complete, FLUSH_LIMIT_S, None, interruptible=False):
            for worker in self._collector.missing(self._living()):
                self._collector.event("records_missing", worker, "its journal has them if its disk is reachable")

    def _compact(self) -> None:
        """Journals to Parquet, in a process of its own: neither its memory nor its time are the master's."""
        try:
            done = subprocess.run([sys.executable, "-m", "fmload.journal", str(self._collector.results.root)],
                                  capture_output=True, text=True, timeout=COMPACTION_LIMIT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            logger.error("the journals were not compacted (%s); 'fmload report' will do it", error)
            return
        log = logger.info if done.returncode == 0 else logger.error
        log("journals compacted: %s", (done.stdout or done.stderr).strip())

    # -- helpers --------------------------------------------------------------------------------------------------

    def _living(self) -> list[str]:
        return [worker for worker in self._members if worker not in self._lost]

    def _send(self, kind: str, data: dict[str, Any], worker: str) -> None:
        try:
            self._crew.send(kind, data, worker)
        except ConnectionError as error:
            logger.warning("%s did not get through to %s: %s", kind, worker, error)

    def _sleep(self, seconds: float) -> None:
        if self._interrupt.wait(timeout=seconds):
            raise Interrupted

    def _wait(self, done: Callable[[], bool], limit_s: float, failure: str | None, interruptible: bool = True) -> bool:
        """Wait until `done()`. At the limit raises FmloadError(failure), or returns False where that is None."""
        limit = time.monotonic() + limit_s
        while not done():
            if interruptible and self._interrupt.is_set():
                raise Interrupted
            if time.monotonic() >= limit:
                if failure is None:
                    return False
                raise FmloadError(f"{failure} within {limit_s:g} s", hint="the workers' logs say why",
                                  exit_code=EXIT_INVALID)
            gevent.sleep(POLL_S)
        return True

    def _ping_for_ever(self) -> None:
        pings = 0
        while True:
            for worker in self._living():
                if not self._collector.workers[worker].ready and pings == 0:
                    continue
                try:
                    self._collector.ping(worker)
                except ConnectionError as error:
                    logger.warning("a ping did not get through to %s: %s", worker, error)
            pings += 1
            gevent.sleep(0.1 if pings < 10 else 1.0)

    def _watch_for_ever(self) -> None:
        while True:
            present = self._crew.users()
            for worker in self._living():
                if worker not in present:
                    self._lost.add(worker)
                    self._collector.event("worker_lost", worker, "it is gone or does not answer")
                    self._collector.lose(worker)
                    if self._run_file.load.respread:
                        self._respread()
            if not self._living():
                self.interrupt("no worker is left", EXIT_INVALID)
            for worker in present:
                if worker in self._lost:
                    self._welcome_back(worker)
                elif worker not in self._members:
                    self._welcome(worker)
            gevent.sleep(0.5)

    def _welcome_back(self, worker: str) -> None:
        """A worker that was silent answers again: it sends nothing more in this step, and takes part in the next."""
        self._lost.discard(worker)
        self._collector.find(worker)
        self._collector.event("worker_frozen", worker, "it is back after a silence")
        self._send("fmload_close", {"step": self._step}, worker)

    def _welcome(self, worker: str) -> None:
        """A worker joins late: Locust gives it users of the others at once, so it gets slots as soon as it is ready."""
        self._members.append(worker)
        entry = self._collector.admit(worker)
        entry.idle_step = self._step
        self._collector.event("worker_joined_late", worker, "it takes a share of the users, and repeats prompts")
        self._send_plan_to(worker, self._shards[entry.index % len(self._shards)], trial=False)
        if self._wait(lambda: entry.ready and entry.clock.best() is not None, READY_LIMIT_S, None, interruptible=False):
            self._respread()

    def _respread(self) -> None:
        """Deal the slots of the running step again, over the workers that there are now."""
        stages = self._collector.running
        if stages and self._dealing:
            wanted = sum(stage.slots for stage in stages)
            self._ask_for_users(wanted)
            if self._dealing and stages is self._collector.running:
                self._deal(stages, [0.0] * len(stages), time.monotonic_ns())

    def _write_for_ever(self) -> None:
        while True:
            gevent.sleep(1.0)
            self._collector.write_live()


def _batches(prompts: list[dict[str, Any]]) -> Iterator[bytes]:
    batch: list[dict[str, Any]] = []
    size = 0
    for prompt in prompts:
        length = len(msgpack.packb(prompt))
        if batch and size + length > PROMPT_BATCH_BYTES:
            yield msgpack.packb(batch)
            batch, size = [], 0
        batch.append(prompt)
        size += length
    if batch:
        yield msgpack.packb(batch)
