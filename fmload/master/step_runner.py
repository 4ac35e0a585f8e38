"""One step of a run on the master: users, ramp, warm-up, window and drain of the stages that run side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from fmload.master import stop_conditions
from fmload.master.assignment import Assignment
from fmload.master.collector import Collector
from fmload.master.user_target import UserTarget
from fmload.master.waits import POLL_S, Waits
from fmload.master.worker_registry import WorkerRegistry
from fmload.model.stage import Stage
from fmload.protocol.lease import LEASE_S, MARGIN_S
from fmload.protocol.messages import Censor, Close
from fmload.search import judging, saturation

USERS_LIMIT_S = 60.0
INTERRUPT_DRAIN_S = 5.0
STOPPED_BY_HAND = "ended by hand"  # how a window closed
CENSOR_LIMIT_S = 10.0
HANDOVER_S = 1.0  # arrivals that are dealt again change hands so much later: every worker knows by then
LEAD_S = 0.05  # a step begins so much ahead, so that every worker has its part by then

Say = Callable[[str, Sequence[Stage], float | None], None]  # phase, its stages, seconds left


class StepRunner:
    """Runs steps one after the other. `say` shows the phase; `total_s` is the limit of one request."""

    def __init__(self, registry: WorkerRegistry, collector: Collector, assignment: Assignment,
                 user_target: UserTarget, waits: Waits, say: Say, total_s: float, shaped: bool = False) -> None:
        self.number = -1
        self._registry = registry
        self._collector = collector
        self._assignment = assignment
        self._user_target = user_target
        self._waits = waits
        self._say = say
        self._total_s = total_s
        self._shaped = shaped  # users come and go by a shape of the locustfile's: none is waited for
        self._dealing = False  # whether slots of the running step may be dealt again

    def run(self, stages: list[Stage]) -> None:
        """The whole step. Raises Interrupted; `abort` then ends what is on."""
        self._outlast_the_lost(stages)
        self._ask_for_users(stages)
        for stage in stages:
            stage.become("running")
        self._collector.running = stages
        self._collector.observation.watch([stage.stage for stage in stages if stage.counts_requests],
                                          [stage.stage for stage in stages if stage.needs_requests])
        self._ramp(stages)
        self._warm_up(stages)
        self._window(stages)
        self._drain(stages, max(stage.drain_s for stage in stages))
        for stage in stages:
            self._conclude(stage)
            stage.become("done")
        self._collector.running = []
        self._collector.write_stages()

    def _outlast_the_lost(self, stages: list[Stage]) -> None:
        """A worker that was lost may go on sending: this step begins when it cannot any more, or is back."""
        if (left_s := self._registry.lease_left_s()) > 0:
            self._say("waiting for a lost worker", stages, left_s)
            self._waits.until(lambda: self._registry.lease_left_s() == 0, LEASE_S + MARGIN_S)

    def _conclude(self, stage: Stage) -> None:
        """What all requests of the stage say, for those that come after it; all records of it are here."""
        if not (stage.find or stage.stop_when_saturated) or not stage.window_end_ns:
            return
        seen = self._collector.observation.seen(stage.stage)
        stage.observed = saturation.observed(stage, seen, stage.window_end_ns)
        if stage.find and stage.find.objective is not None:
            stage.verdict = judging.final(stage, self._collector.observation)

    def abort(self) -> None:
        """Close the step that is on, if any, with a short drain; its stages are marked interrupted."""
        stages = self._collector.running
        if not stages:
            return
        if self._waits.counts and all(stage.window_start_ns for stage in stages):
            self._end_in_order(stages)
            return
        for stage in stages:
            stage.break_off(time.monotonic_ns())
        self._collector.event("interrupted", None, self._waits.reason)
        drain_s = max(stage.drain_s for stage in stages)
        self._drain(stages, drain_s if self._waits.whole_drain else min(INTERRUPT_DRAIN_S, drain_s))
        self._collector.running = []

    def _end_in_order(self, stages: list[Stage]) -> None:
        """A person ended the stages in their windows: these close now, and what is in flight may end."""
        now_ns = time.monotonic_ns()
        for stage in stages:
            if not stage.window_end_ns:
                stage.window_closed, stage.window_end_ns = STOPPED_BY_HAND, now_ns
        self._collector.event("stage_ended", None, self._waits.reason)
        self._drain(stages, max(stage.drain_s for stage in stages))
        for stage in stages:
            self._conclude(stage)
            stage.become("done")
        self._collector.running = []
        self._collector.write_stages()

    def deal_again(self) -> None:
        """Deal the slots, or the arrivals to come, of the running step again, over the workers that there are now."""
        stages = self._collector.running
        if stages and self._dealing and not stages[0].exact:  # what a lost worker has sent of its part is not known
            self._ask_for_users(stages)
            if self._dealing and stages is self._collector.running:
                later_s = 0.0 if any(stage.slots for stage in stages) else HANDOVER_S
                self._deal(stages, [0.0] * len(stages), time.monotonic_ns() + int(later_s * 1e9))

    # -- the phases -----------------------------------------------------------------------------------------------

    def _ask_for_users(self, stages: list[Stage]) -> None:
        """Have Locust hold a user for every slot; an open loop needs one a worker, so that Locust sees it running."""
        workers = len(self._registry.living())
        wanted = sum(stage.slots for stage in stages) or workers
        self._user_target.ask(wanted, workers)
        if self._shaped:
            return
        if not self._waits.until(lambda: sum(self._registry.users().values()) >= wanted, USERS_LIMIT_S):
            there = sum(self._registry.users().values())
            self._collector.event("users_missing", None, f"{there} of {wanted} users after {USERS_LIMIT_S:g} s")

    def _ramp(self, stages: list[Stage]) -> None:
        start_ns = time.monotonic_ns() + int(LEAD_S * 1e9)
        for stage in stages:
            stage.ramp_start_ns = start_ns
        self._dealing = True
        self.number += 1
        self._deal(stages, [stage.ramp_s for stage in stages], start_ns)
        if stages[0].exact:
            return  # the window is open from the first request on
        seconds = max(stage.ramp_s for stage in stages)
        self._say("ramp", stages, seconds)
        self._waits.sleep(LEAD_S + seconds)

    def _deal(self, stages: list[Stage], ramps_s: list[float], since_ns: int) -> None:
        self._assignment.give_slots(self._registry, self.number, stages, ramps_s, since_ns)
        self._collector.write_stages()

    def _warm_up(self, stages: list[Stage]) -> None:
        """Until it has ended for all of them: they open their windows together."""
        start_ns = time.monotonic_ns()
        for stage in stages:
            stage.warmup_start_ns = stage.ramp_start_ns if stage.exact else start_ns
        if stages[0].exact:
            return
        self._say("warm-up", stages, max(stage.warmup_s for stage in stages))

        def ended(stage: Stage, reason: str) -> None:
            stage.warmup_ended = reason
            self._tell_if_stopped(stage, reason)

        observation = self._collector.observation
        self._until_closed({stage.stage: stop_conditions.warmup(stage, observation) for stage in stages}, stages, ended)

    def _window(self, stages: list[Stage]) -> None:
        """All lanes stay loaded until the last of their windows has closed, so that each has its neighbours."""
        start_ns = time.monotonic_ns()
        for stage in stages:
            stage.window_start_ns = stage.ramp_start_ns if stage.exact else start_ns
        limits_s = {stage.stage: self._window_limit_s(stage) for stage in stages}
        self._say("window", stages, max(limits_s.values()))
        self._collector.write_stages()

        def closed(stage: Stage, reason: str) -> None:
            stage.window_closed, stage.window_end_ns = reason, self._end_ns(stage)
            self._tell_if_stopped(stage, reason)

        observation = self._collector.observation
        self._until_closed({stage.stage: stop_conditions.window(
            stage, observation, limits_s[stage.stage], self._due(stage), self._all_idle) for stage in stages},
            stages, closed)

    def _end_ns(self, stage: Stage) -> int:
        """Now; of exactly so many requests the end of the last of them, which is told of a moment later."""
        last_ns = self._collector.observation.last_end_ns(stage.stage) if stage.exact else None
        return time.monotonic_ns() if last_ns is None else last_ns + 1

    def _tell_if_stopped(self, stage: Stage, reason: str) -> None:
        if reason == stop_conditions.STOPPED:
            why = stop_conditions.why_stopped(stage, self._collector.observation)
            self._collector.event(reason, None, f"{why}: the stage ended early (load.stop_if)", stage.stage)

    def _due(self, stage: Stage) -> saturation.Due | None:
        return saturation.Due(self._assignment.arrivals(stage)) if stage.load.kind == "rate" else None

    def _until_closed(self, closings: dict[int, list[stop_conditions.StopCondition]], stages: list[Stage],
                      closed: Callable[[Stage, str], None]) -> None:
        """Ask the closings of each stage until one gives a reason, which goes to `closed`; wait for all stages."""
        still_open = list(stages)
        while still_open:
            now_ns = time.monotonic_ns()
            for stage in list(still_open):
                reasons = (close(now_ns) for close in closings[stage.stage])
                if (reason := next(filter(None, reasons), None)) is not None:
                    closed(stage, reason)
                    still_open.remove(stage)
            if still_open:
                waits = (stop_conditions.waits_for(stage, self._collector.observation) for stage in still_open)
                self._collector.live.run["waits_for"] = " | ".join(filter(None, waits))
                self._waits.sleep(2 * POLL_S)

    def _window_limit_s(self, stage: Stage) -> float:
        """The window's length; by requests alone, the longest that these requests can take."""
        if stage.window_s is not None:
            return stage.window_s
        if stage.exact and stage.load.kind == "rate":
            return 2 * (stage.requests or 1) / stage.load.value + self._total_s
        at_once = stage.load.value if stage.load.kind == "concurrency" else 1
        return stage.ramp_s + self._total_s * math.ceil((stage.requests or 1) / at_once)

    def _drain(self, stages: list[Stage], drain_s: float) -> None:
        """Nothing new is sent; what is in flight may end until the limit, and is censored then."""
        self._dealing = False
        self._say("drain", stages, drain_s)
        self._registry.tell_all(Close(self.number))
        ending = bool(self._waits.reason)
        if not self._waits.until(self._all_idle, drain_s, interruptible=not ending):
            self._registry.tell_all(Censor("cancelled" if ending and not self._waits.counts else "censored"))
            if not self._waits.until(self._all_idle, CENSOR_LIMIT_S, interruptible=False):
                self._collector.event("drain_incomplete", None, "a worker did not say that it is idle")
        for stage in stages:
            stage.drain_end_ns = time.monotonic_ns()

    def _all_idle(self) -> bool:
        return all(self._collector.workers[worker].idle_step >= self.number for worker in self._registry.living())
