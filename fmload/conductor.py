"""Drives a run from the master: plan and prompts out; ramp, warm-up, window and drain of each step; the barrier.

It keeps its own time (a shape's tick is a second coarse) and knows no Locust: `target` is what the shape asks Locust
for. Every wait has a limit.
"""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from gevent.event import Event

from fmload.collector import Collector
from fmload.config.schema import RunFile
from fmload.crew import Crew, Runner
from fmload.errors import EXIT_INTERRUPTED, EXIT_INVALID, FmloadError
from fmload.handout import Handout
from fmload.stages import Stage, steps_of

logger = logging.getLogger(__name__)

SPAWN_RATE_PER_WORKER = 90.0  # Locust warns above 100
GREET_LIMIT_S = 15.0
READY_LIMIT_S = 120.0
USERS_LIMIT_S = 60.0
FLUSH_LIMIT_S = 60.0
ASK_AGAIN_S = 2.0
COMPACTION_LIMIT_S = 1800.0
INTERRUPT_DRAIN_S = 5.0
CENSOR_LIMIT_S = 10.0
POLL_S = 0.02
STALLED_S = 2.0
LEAD_S = 0.05  # a step begins so much ahead, so that every worker has its part by then


class Interrupted(Exception):
    """The run is to end now; what was measured is kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """What Locust shall hold: users in all, and how many it may start a second."""

    users: int
    rate: float
    turn: int = 0  # makes an equal target a new one, so that Locust spreads users again


class Conductor:
    """One run, from the plan to the last record. `run` is a greenlet's body; `ended` is set when all is written."""

    def __init__(self, run: RunFile, stages: list[Stage], collector: Collector, runner: Runner) -> None:
        self.target: Target | None = None
        self.changed = Event()
        self.ended = Event()
        self.exit_code: int | None = None
        self._run_file = run
        self._stages = stages
        self._collector = collector
        self._runner = runner
        self._crew = Crew(runner, collector, self._lost, self._back, self._joined)
        self._handout: Handout | None = None
        self._interrupt = Event()
        self._reason = ""
        self._helpers: list[gevent.Greenlet] = []
        self._step = -1
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

    def _say(self, phase: str, stages: list[Stage], left_s: float | None = None) -> None:
        done = sum(stage.status == "done" for stage in self._collector.stages)
        self._collector.live.run.update({
            "phase": phase, "stages": [stage.stage for stage in stages], "labels": [stage.label for stage in stages],
            "until_ns": None if left_s is None else time.monotonic_ns() + int(left_s * 1e9),
            "stages_done": done, "stages_in_all": len(self._collector.stages),
            "results": str(self._collector.results.root)})
        self._collector.write_live()

    def _begin(self) -> None:
        """Plan and prompts to every worker; then wait until all are ready and their clocks known."""
        self._say("preparing", [])
        self._collector.write_stages()
        self._wait(lambda: not self._runner.strangers(), GREET_LIMIT_S)
        members = self._crew.muster()
        run_id, results = self._collector.run_id, self._collector.results
        self._handout = Handout(self._run_file, run_id, results, len(members))
        for index, worker in enumerate(members):
            self._handout.give_plan(self._crew, worker, index, trial=index == 0)
        self._helpers = [gevent.spawn(self._crew.ping_for_ever), gevent.spawn(self._crew.watch_for_ever),
                         gevent.spawn(self._write_for_ever)]
        if not self._wait(lambda: all(self._is_ready(worker) for worker in self._crew.living()), READY_LIMIT_S):
            raise FmloadError(f"not all workers were ready within {READY_LIMIT_S:g} s", hint="their logs say why",
                              exit_code=EXIT_INVALID)

    def _is_ready(self, worker: str) -> bool:
        entry = self._collector.workers[worker]
        if entry.problem:
            raise FmloadError(entry.problem, hint=f"worker {worker} said so", exit_code=EXIT_INVALID)
        return entry.ready and entry.clock.best() is not None

    def _write_for_ever(self) -> None:
        """The live file, once a second. A master that stood still itself says so: its phases may be longer for it."""
        while True:
            before = time.monotonic()
            gevent.sleep(1.0)
            late_s = time.monotonic() - before - 1.0
            if late_s > STALLED_S:
                self._collector.event("master_stalled", None, f"the master stood still for {late_s:.1f} s")
            self._collector.write_live()

    # -- a step ---------------------------------------------------------------------------------------------------

    def _run_step(self, stages: list[Stage]) -> None:
        self._step += 1
        self._ask_for_users(stages)
        for stage in stages:
            stage.status = "running"
        self._collector.running = stages
        self._ramp(stages)
        self._warm_up(stages)
        self._window(stages)
        self._drain(stages, max(stage.drain_s for stage in stages))
        for stage in stages:
            stage.status = "done"
        self._collector.running = []
        self._collector.write_stages()

    def _ask_for_users(self, stages: list[Stage]) -> None:
        """Have Locust hold a user for every slot; an open loop needs one a worker, so that Locust sees it running."""
        workers = len(self._crew.living())
        wanted = sum(stage.slots for stage in stages) or workers
        self._turn += 1
        self.target = Target(wanted, SPAWN_RATE_PER_WORKER * workers, self._turn)
        self.changed.set()
        if not self._wait(lambda: sum(self._crew.users().values()) >= wanted, USERS_LIMIT_S):
            there = sum(self._crew.users().values())
            self._collector.event("users_missing", None, f"{there} of {wanted} users after {USERS_LIMIT_S:g} s")

    def _ramp(self, stages: list[Stage]) -> None:
        start_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
        for stage in stages:
            stage.ramp_start_ns = start_ns
        self._dealing = True
        self._deal(stages, [stage.ramp_s for stage in stages], start_ns)
        seconds = max(stage.ramp_s for stage in stages)
        self._say("ramp", stages, seconds)
        self._sleep(LEAD_S + seconds)

    def _deal(self, stages: list[Stage], ramps_s: list[float], since_ns: int) -> None:
        assert self._handout is not None
        self._handout.give_slots(self._crew, self._step, stages, ramps_s, since_ns)
        self._collector.write_stages()

    def _warm_up(self, stages: list[Stage]) -> None:
        for stage in stages:
            stage.warmup_start_ns = time.monotonic_ns()
        seconds = max(stage.warmup_s for stage in stages)
        self._say("warm-up", stages, seconds)
        self._sleep(seconds)

    def _window(self, stages: list[Stage]) -> None:
        """All lanes stay loaded until the last of their windows has closed, so that each has its neighbours."""
        self._crew.tell_all("fmload_window", {"step": self._step})
        start_ns = time.monotonic_ns()
        for stage in stages:
            stage.window_start_ns = start_ns
        ends_ns = {stage.stage: start_ns + int(self._window_limit_s(stage) * 1e9) for stage in stages}
        self._say("window", stages, (max(ends_ns.values()) - start_ns) / 1e9)
        self._collector.write_stages()
        still_open = list(stages)
        while still_open:
            next_end_ns = min(ends_ns[stage.stage] for stage in still_open)
            self._sleep(min(2 * POLL_S, max(0.0, (next_end_ns - time.monotonic_ns()) / 1e9)))
            for stage in list(still_open):
                if time.monotonic_ns() >= ends_ns[stage.stage] or self._has_enough(stage):
                    stage.window_end_ns = time.monotonic_ns()
                    still_open.remove(stage)

    def _has_enough(self, stage: Stage) -> bool:
        return stage.requests is not None and self._collector.completed(stage.stage) >= stage.requests

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
        self._crew.tell_all("fmload_close", {"step": self._step})
        ending = bool(self._reason)
        if not self._wait(self._all_idle, drain_s, interruptible=not ending):
            self._crew.tell_all("fmload_censor", {"outcome": "cancelled" if ending else "censored"})
            if not self._wait(self._all_idle, CENSOR_LIMIT_S, interruptible=False):
                self._collector.event("drain_incomplete", None, "a worker did not say that it is idle")
        for stage in stages:
            stage.drain_end_ns = time.monotonic_ns()

    def _all_idle(self) -> bool:
        return all(self._collector.workers[worker].idle_step >= self._step for worker in self._crew.living())

    # -- workers that go and come ---------------------------------------------------------------------------------

    def _lost(self, worker: str) -> None:
        if not self._crew.living():
            self.interrupt("no worker is left", EXIT_INVALID)
        elif self._run_file.load.respread:
            gevent.spawn(self._deal_again)

    def _back(self, worker: str) -> None:
        """It sends nothing more in this step, and takes part in the next."""
        self._crew.send("fmload_close", {"step": self._step}, worker)

    def _joined(self, worker: str) -> None:
        """Locust gives it users of the others at once, so it gets their slots as soon as it is ready."""
        assert self._handout is not None
        entry = self._collector.workers[worker]
        entry.idle_step = self._step
        self._handout.give_plan(self._crew, worker, entry.index, trial=False)
        if self._wait(lambda: entry.ready and entry.clock.best() is not None, READY_LIMIT_S, interruptible=False):
            self._deal_again()

    def _deal_again(self) -> None:
        """Deal the slots of the running step again, over the workers that there are now."""
        stages = self._collector.running
        if stages and self._dealing:
            self._ask_for_users(stages)
            if self._dealing and stages is self._collector.running:
                self._deal(stages, [0.0] * len(stages), time.monotonic_ns())

    # -- the end --------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Close what is open, bring in every record, write the files. Runs on every way out."""
        try:
            self._close_running()
            self._flush()
            self._say("writing", [])
            gevent.killall(self._helpers, block=False)
            self._collector.close()
            self._compact()
            if self.exit_code is None and not any(stage.status == "done" for stage in self._collector.stages):
                self.exit_code = EXIT_INVALID
        except Exception:
            logger.exception("the run's end failed; the journals hold its records ('fmload report' reads them)")
            self.exit_code = self.exit_code or EXIT_INVALID
        finally:
            self._say("interrupted" if self._reason else "failed" if self.exit_code else "ended", [])
            self.target = None
            self.ended.set()
            self.changed.set()

    def _close_running(self) -> None:
        stages = self._collector.running
        if not stages:
            return
        self._reason = self._reason or "the run failed"
        for stage in stages:
            stage.status = "interrupted"
            if stage.window_start_ns is not None and stage.window_end_ns is None:
                stage.window_end_ns = time.monotonic_ns()
        self._collector.event("interrupted", None, self._reason)
        self._drain(stages, min(INTERRUPT_DRAIN_S, max(stage.drain_s for stage in stages)))
        self._collector.running = []

    def _flush(self) -> None:
        """The barrier: every living worker says how many records it made, and they are all here."""
        self._say("collecting", [], FLUSH_LIMIT_S)
        asked = -ASK_AGAIN_S

        def complete() -> bool:
            nonlocal asked
            missing = self._collector.missing(self._crew.living())
            if missing and time.monotonic() - asked > ASK_AGAIN_S:
                asked = time.monotonic()
                for worker in missing:
                    self._crew.send("fmload_flush", {}, worker)
            return not missing

        if not self._wait(complete, FLUSH_LIMIT_S, interruptible=False):
            for worker in self._collector.missing(self._crew.living()):
                self._collector.event("records_missing", worker, "its journal has them, if its disk can be reached")

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

    # -- waiting --------------------------------------------------------------------------------------------------

    def _sleep(self, seconds: float) -> None:
        if self._interrupt.wait(timeout=seconds):
            raise Interrupted

    def _wait(self, done: Callable[[], bool], limit_s: float, interruptible: bool = True) -> bool:
        """Wait until `done()`; False at the limit. Raises Interrupted where that is allowed."""
        limit = time.monotonic() + limit_s
        while not done():
            if interruptible and self._interrupt.is_set():
                raise Interrupted
            if time.monotonic() >= limit:
                return False
            gevent.sleep(POLL_S)
        return True
