"""Conducts a run from the master: plan and prompts out, step after step, every record in.

It keeps its own time (a shape's tick is a second coarse) and knows no Locust: `user_target` is what the shape asks
Locust for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import gevent
from gevent.event import Event

from fmload.base.errors import EXIT_BUDGET, EXIT_INTERRUPTED, EXIT_INVALID, FmloadError
from fmload.config.schema import RunFile
from fmload.master import flush, refused
from fmload.master.assignment import Assignment
from fmload.master.budget import Budget
from fmload.master.collector import Collector
from fmload.master.step_runner import StepRunner
from fmload.master.user_target import SCRIPTED_RATE_PER_WORKER, SPAWN_RATE_PER_WORKER, UserTarget
from fmload.master.waits import Interrupted, Waits
from fmload.master.worker_registry import Runner, WorkerRegistry
from fmload.model.stage import Stage
from fmload.plan.stages import planned_after_s
from fmload.protocol.messages import Close
from fmload.search import planner, saturation

logger = logging.getLogger(__name__)

GREET_LIMIT_S = 15.0
READY_LIMIT_S = 120.0
MADE_LIMIT_S = 900.0  # where the workers make images, sound and video first
STALLED_S = 2.0
BUDGET_EVERY_S = 0.05
ALL_GONE = ("every worker is gone: killed, crashed or cut off; logs/ and events.jsonl of the results folder say what "
            "was heard of them last")


class Controller:
    """One run, from the plan to the last record. `run` is a greenlet's body; `ended` is set when all is written."""

    def __init__(self, run: RunFile, stages: list[Stage], collector: Collector, runner: Runner,
                 budget: Budget | None = None, compact: Callable[[Path], None] = flush.compact) -> None:
        """`compact` makes Parquet of the journals in the results folder, at the end."""
        scripted = any(spec.scripted for spec in run.prompts)
        self.user_target = UserTarget(SCRIPTED_RATE_PER_WORKER if scripted else SPAWN_RATE_PER_WORKER)
        self.ended = Event()
        self.exit_code: int | None = None
        self._run_file = run
        self._stages = stages
        self._collector = collector
        self._runner = runner
        self._budget = budget
        self._compact = compact
        self._registry = WorkerRegistry(runner, collector, self._lost, self._back, self._joined)
        self._waits = Waits()
        self._assignment: Assignment | None = None
        self._step_runner: StepRunner | None = None
        self._helpers: list[gevent.Greenlet] = []
        self._refused: dict[str, str] = {}  # by endpoint, why it would not answer a first request
        collector.on_trouble = self._cannot_write

    # -- the run --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """The whole run. Expected failures end it with a message and an exit code; nothing is raised."""
        try:
            step_runner = self._begin()
            while step := planner.next_step(self._run_file, self._open):
                self._mind_the_budget(step)
                step_runner.run(step)
                saturation.skip_higher(step, self._stages, time.monotonic_ns())
            self._collector.write_stages()
        except Interrupted:
            if self._waits.exit_code is not None:
                self._fail(self._waits.reason, self._waits.exit_code)
            else:
                logger.warning("the run is interrupted: %s", self._waits.reason)
                self.exit_code = EXIT_INTERRUPTED
        except FmloadError as error:
            self._fail(str(error), error.exit_code)
        except Exception as error:
            logger.exception("the run failed")
            self._fail(f"{type(error).__name__}: {error}", EXIT_INVALID)
        finally:
            self._end()

    def interrupt(self, reason: str, exit_code: int | None = None, counts: bool = False) -> None:
        """End the run soon: no new requests, a short drain, the flush. Returns at once; see `ended`. With `counts` the
        stages whose windows are open are done, measured up to here."""
        self._waits.interrupt(reason, exit_code, counts)

    def _cannot_write(self, trouble: FmloadError) -> None:
        """The load stops at once; what has been written is kept."""
        logger.error("%s", trouble)
        self.interrupt(str(trouble), trouble.exit_code)

    def _mind_the_budget(self, step: Sequence[Stage]) -> None:
        """End the run in order, its drain whole, before what is under way passes `max_cost`. Raises Interrupted."""
        reason = self._budget.reason_to_stop(step) if self._budget is not None else None
        if reason is None or self._waits.reason:
            return
        self._collector.event("budget", None, reason)
        self._waits.whole_drain = True
        self.interrupt(reason, EXIT_BUDGET)
        raise Interrupted

    def _watch_budget(self) -> None:
        while True:
            with suppress(Interrupted):
                self._mind_the_budget(self._collector.running)
            gevent.sleep(BUDGET_EVERY_S)

    def _fail(self, message: str, exit_code: int) -> None:
        logger.error("%s", message)
        self._collector.live.run.update(error=message, exit_code=exit_code)
        self.exit_code = exit_code

    def _say(self, phase: str, stages: Sequence[Stage] = (), left_s: float | None = None) -> None:
        done = sum(stage.status == "done" for stage in self._collector.stages)
        self._collector.live.run.update({
            "phase": phase, "waits_for": "",
            "stages": [stage.stage for stage in stages], "labels": [stage.label for stage in stages],
            "until_ns": None if left_s is None else time.monotonic_ns() + int(left_s * 1e9),
            "stages_done": done, "stages_in_all": planner.at_most(self._run_file, self._collector.stages),
            "searching": self._run_file.load.find is not None,
            "after_s": planned_after_s(phase, stages, self._collector.stages),
            "results": str(self._collector.results.root)})
        self._collector.write_live()

    # -- the beginning --------------------------------------------------------------------------------------------

    def _begin(self) -> StepRunner:
        """Plan and prompts to every worker; then wait until all are ready and their clocks known."""
        self._say("preparing")
        self._collector.write_stages()
        members = self._muster()
        run_id, results = self._collector.run_id, self._collector.results
        self._assignment = Assignment(self._run_file, run_id, results, len(members), self._stages)
        self._step_runner = StepRunner(self._registry, self._collector, self._assignment, self.user_target,
                                       self._waits, self._say, self._run_file.timeouts.total_s,
                                       self._run_file.load.shape)
        for index, worker in enumerate(members):
            self._assignment.give_plan(self._registry, worker, index, trial=index == 0)
        self._helpers = [gevent.spawn(self._registry.ping_for_ever), gevent.spawn(self._registry.watch_for_ever),
                         gevent.spawn(self._write_for_ever), gevent.spawn(self._watch_budget)]
        if self._run_file.load.trial:
            self._collector.live.run["waits_for"] = "every worker; the first asks each endpoint once"
        limit_s = MADE_LIMIT_S if any(spec.media for spec in self._run_file.prompts) else READY_LIMIT_S
        if not self._waits.until(lambda: all(map(self._is_ready, self._registry.living())), limit_s):
            raise FmloadError(f"not all workers were ready within {limit_s:g} s", hint="their logs say why",
                              exit_code=EXIT_INVALID)
        self._leave_out_refused()
        return self._step_runner

    def _muster(self) -> list[str]:
        """The workers of the run: those that are there once all have greeted. Those of a run that has just been stopped
        are about to come back. Raises FmloadError where none is there, or one is refused."""
        self._waits.until(lambda: bool(self._runner.users()) and not self._runner.strangers(), GREET_LIMIT_S)
        if refused := self._runner.refused():
            worker, reason = next(iter(refused.items()))
            raise FmloadError(f"worker {worker} is refused: {reason}", exit_code=EXIT_INVALID)
        if not (members := self._registry.muster()):
            raise FmloadError(f"no worker was there within {GREET_LIMIT_S:g} s",
                              hint="start one, or look into their logs", exit_code=EXIT_INVALID)
        return members

    @property
    def _open(self) -> list[Stage]:
        """The stages that can be run; all of them, and the list itself, where no endpoint has refused."""
        if not self._refused:
            return self._stages
        return [stage for stage in self._stages if stage.endpoint not in self._refused]

    def _leave_out_refused(self) -> None:
        """Go on without the endpoints that refused a first request, and say so. Raises FmloadError where that cannot
        be."""
        self._refused = {name: why for worker in self._registry.living()
                         for name, why in self._collector.workers[worker].refused.items()}
        refused.require_others(self._run_file, self._refused)
        refused.mark(self._stages, self._refused, time.monotonic_ns())
        for why in self._refused.values():
            told = f"{why}. The other endpoints are measured without it"
            self._collector.event(refused.REFUSED, None, told)
            self._collector.warn(told)

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

    # -- workers that go and come ---------------------------------------------------------------------------------

    def _lost(self, worker: str) -> None:
        if not self._registry.living():
            self.interrupt(ALL_GONE, EXIT_INVALID)
        elif self._run_file.load.respread and self._step_runner is not None:
            gevent.spawn(self._step_runner.deal_again)

    def _back(self, worker: str) -> None:
        """It sends nothing more in this step, and takes part in the next."""
        if self._step_runner is not None:
            self._registry.send(Close(self._step_runner.number), worker)

    def _joined(self, worker: str) -> None:
        """Locust gives it users of the others at once, so it gets their slots as soon as it is ready."""
        assert self._assignment is not None and self._step_runner is not None
        entry = self._collector.workers[worker]
        entry.idle_step = self._step_runner.number
        self._assignment.give_plan(self._registry, worker, entry.index, trial=False)
        if self._waits.until(lambda: entry.ready and entry.clock.best() is not None, READY_LIMIT_S,
                                interruptible=False):
            self._step_runner.deal_again()

    # -- the end --------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Close what is open, bring in every record, write the files. Runs on every way out."""
        try:
            self._close()
            if self.exit_code is None and not any(stage.status == "done" for stage in self._collector.stages):
                self.exit_code = EXIT_INVALID
        except Exception:
            logger.exception("the run's end failed; the journals hold its records ('fmload report' reads them)")
            self.exit_code = self.exit_code or EXIT_INVALID
        finally:
            self._say("interrupted" if self._waits.reason else "failed" if self.exit_code else "ended")
            self.ended.set()
            self.user_target.end()

    def _close(self) -> None:
        if self._step_runner is not None and self._collector.running:
            self._waits.reason = self._waits.reason or "the run failed"
            self._step_runner.abort()
        self._say("collecting", (), flush.FLUSH_LIMIT_S)
        flush.flush(self._registry, self._collector, self._waits)
        self._say("writing")
        gevent.killall(self._helpers, block=False)
        self._collector.close()
        self._compact(self._collector.results.root)
