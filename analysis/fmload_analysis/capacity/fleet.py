"""A fleet of replicas under arrivals: routing, replicas that fail, replicas that are started and stopped by load.

Deterministic: the same arrivals, lengths and seed give the same result.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from fmload_analysis.capacity.autoscale import Autoscale, Look, leaving, wanted
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.replica import NEVER, Job, Replica
from fmload_analysis.capacity.routing import Router

RESTART_S = 180.0  # until a replica that failed is replaced, where nothing else is said
_COUNTED = 1000  # of more replicas the number that is up is as good as normal
_DUE, _LOOK, _READY, _FAIL, _LOSE = range(5)  # kinds of events, in the order in which they are taken at one instant


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated beside the arrivals. Times in seconds.

    `replicas` at the start. `kill`: (instant, place) of replicas that are lost for good; where that one is down,
    another that is up, if there is one. `mtbf_s`: mean time between the failures of one replica, drawn by `seed`, each
    replaced after `restart_s`; as many as chance has down in the long run are down at the start, each for what is left
    of its restart; of a fleet of `of` replicas, of which these are a share, their share. A lost replica loses what it
    holds, and for `detect_s` still gets requests, which fail at once. `reuse`: the share of a prompt that the replica
    which served the session last needs no prefill for; where a session has but one place to go (`prefix_aware`, a
    fleet of one), of one that is `known` the first one too, on a replica that was up at the beginning.
    """

    model: ReplicaModel
    replicas: int
    routing: str = "round_robin"
    autoscale: Autoscale | None = None
    kill: tuple[tuple[float, int], ...] = ()
    mtbf_s: float | None = None
    restart_s: float = RESTART_S
    detect_s: float = 0.0
    reuse: float = 0.0
    seed: int = 0
    of: int = 0


def availability(mtbf_s: float | None, restart_s: float) -> float:
    """The share of the time in which a replica is up in the long run."""
    return 1.0 if mtbf_s is None else mtbf_s / (mtbf_s + restart_s)


@dataclass(slots=True)
class Outcome:
    """What became of the jobs, and of the fleet: seconds of replicas that were paid for, busy, down by a failure, and
    of slots taken."""

    jobs: list[Job]
    until_s: float
    end_s: float = 0.0
    paid_s: float = 0.0
    busy_s: float = 0.0
    slot_s: float = 0.0
    down_s: float = 0.0
    largest: int = 0
    failures: int = 0
    sizes: list[tuple[float, int]] = field(default_factory=list)  # (from, replicas that are paid for)
    looks: list[Look] = field(default_factory=list)  # of autoscaling


def simulate(fleet: Fleet, jobs: Sequence[Job], until_s: float, users: int | None = None) -> Outcome:
    """All jobs, by their arrivals (ascending), to the end of the last one. `users`: a closed loop of so many instead:
    the next job comes when one has ended, until `until_s`; those that never came have no arrival (NaN). `until_s` is
    also when replicas end to be started, stopped and paid for."""
    return _Simulation(fleet, jobs, until_s, users).run()


class _Simulation:
    def __init__(self, fleet: Fleet, jobs: Sequence[Job], until_s: float, users: int | None) -> None:
        self.fleet, self.jobs, self.until_s = fleet, jobs, until_s
        self.closed = users is not None
        self.router = Router(fleet.routing)
        self.draw = random.Random(f"{fleet.seed}/failures")
        self.ready: list[Replica] = []  # that get requests, the dead that are not known to be among them
        self.dead: set[int] = set()
        self.first: set[int] = set()  # that were up at the beginning
        self.all: dict[int, Replica] = {}
        self.paid_from: dict[int, float] = {}
        self.down_from: dict[int, float] = {}  # those that are restarted
        self.starting: set[int] = set()
        self.leaving: set[int] = set()
        self.outcome = Outcome(list(jobs), until_s)
        self.events: list[tuple[float, int, int, int]] = []  # (instant, kind, order, replica)
        self.order = 0
        self.next_job = 0
        self.ended = 0
        self.last_need_s = 0.0
        self._begin(users or 0)

    def _begin(self, users: int) -> None:
        """The replicas, the first events and, of a closed loop, each user's first job."""
        fleet = self.fleet
        up = self._up_at_first()
        for number in range(fleet.replicas):
            self._restart(0.0, 0.0 if number < up else self.draw.random() * fleet.restart_s)
        self.first.update(one.number for one in self.ready)
        for at_s, place in fleet.kill:
            self._plan(at_s, _LOSE, place)
        if fleet.autoscale:
            self._plan(fleet.autoscale.look_s, _LOOK, -1)
        for _ in range(min(users, len(self.jobs))):
            self._arrive_next(0.0)

    def run(self) -> Outcome:
        while True:
            event_s = self.events[0][0] if self.events else NEVER
            if not self.closed and self.next_job < len(self.jobs) and (
                    self.jobs[self.next_job].arrival_s <= event_s):
                self.next_job += 1
                self._arrive(self.jobs[self.next_job - 1])
            elif not self.events or (self.ended >= self.next_job == len(self.jobs) and event_s > self.until_s):
                break
            else:
                self._happen(*heappop(self.events))
        return self._told()

    def _happen(self, now_s: float, kind: int, order: int, number: int) -> None:
        if kind == _DUE:
            replica = self.all[number]
            if replica.due_s == now_s and number not in self.dead:
                self._count(replica.advance(), now_s)
                self._plan(replica.due_s, _DUE, number)
                if number in self.leaving and not replica.in_flight:
                    self._stop(number, now_s)
        elif now_s > self.until_s:
            return
        elif kind == _LOOK:
            self._look(now_s)
        elif kind == _READY:
            self._join(number, now_s)
        elif kind == _LOSE:
            self._lose_one(number, now_s)
        elif kind == _FAIL and number in self.paid_from:
            self._fail(number, now_s)
            self._restart(now_s, self.fleet.restart_s)

    def _plan(self, at_s: float, kind: int, number: int) -> None:
        if at_s < NEVER:
            self.order += 1
            heappush(self.events, (at_s, kind, self.order, number))

    # --- requests ---

    def _arrive_next(self, now_s: float) -> None:
        if self.next_job < len(self.jobs) and now_s < self.until_s:
            job = self.jobs[self.next_job]
            self.next_job += 1
            job.arrival_s = now_s
            self._arrive(job)

    def _arrive(self, job: Job) -> None:
        if not self.ready:
            self._lose([job], job.arrival_s)
            return
        home = self.router.last.get(job.session)
        replica = self.router.choose(job, self.ready)
        job.replica = replica.number
        if replica.number in self.dead:
            self._lose([job], job.arrival_s)
            return
        if home == replica.number or (home is None and job.known and self._keeps_sessions(replica.number)):
            job.uncached = job.input_tokens * (1 - self.fleet.reuse)
        before_s = replica.due_s
        replica.offer(job, job.arrival_s)
        if replica.due_s != before_s:
            self._plan(replica.due_s, _DUE, replica.number)

    def _keeps_sessions(self, number: int) -> bool:
        """Whether all turns of a session went to this replica before the simulation began."""
        fleet = self.fleet
        alone = max(fleet.replicas, fleet.of) == 1
        return number in self.first and (alone or fleet.routing == "prefix_aware")

    def _count(self, ended: Sequence[Job], now_s: float) -> None:
        self.ended += len(ended)
        if self.closed:
            for _ in ended:
                self._arrive_next(now_s)

    def _lose(self, jobs: Sequence[Job], now_s: float) -> None:
        for job in jobs:
            job.lost, job.end_s = True, now_s
        self._count(jobs, now_s)

    # --- replicas ---

    def _start(self, now_s: float, startup_s: float) -> None:
        number = len(self.all)
        self.all[number] = Replica(self.fleet.model, number, self.until_s, self.fleet.seed)
        self.paid_from[number] = now_s
        self._resized(now_s)
        if startup_s:
            self.starting.add(number)
            self._plan(now_s + startup_s, _READY, number)
        else:
            self._join(number, now_s)

    def _join(self, number: int, now_s: float) -> None:
        """A replica takes requests; or it is known at last that a dead one does not."""
        if number in self.dead:
            self.ready = [one for one in self.ready if one.number != number]
            return
        if number not in self.paid_from:  # let go while it started
            return
        self.starting.discard(number)
        self._restarted(number, now_s)
        self.ready.append(self.all[number])
        if self.fleet.mtbf_s:
            self._plan(now_s + self.draw.expovariate(1 / self.fleet.mtbf_s), _FAIL, number)

    def _lose_one(self, place: int, now_s: float) -> None:
        """One for good: that of this place where it is up, else another that is, else one that is starting."""
        left = [one.number for one in self.ready if one.number not in self.dead] or list(self.paid_from)
        if left:
            self._fail(place if place in left else left[0], now_s)

    def _fail(self, number: int, now_s: float) -> None:
        self.dead.add(number)
        self._lose(self.all[number].fail(), now_s)
        self._stop(number, now_s)
        if self.fleet.detect_s:
            self._plan(now_s + self.fleet.detect_s, _READY, number)
        else:
            self._join(number, now_s)

    def _restart(self, now_s: float, lasts_s: float) -> None:
        self.down_from[len(self.all)] = now_s  # the next that is started
        self._start(now_s, lasts_s)

    def _restarted(self, number: int, now_s: float) -> None:
        """Its restart is over: it serves, it was stopped, or the simulation ends."""
        self.outcome.down_s += now_s - self.down_from.pop(number, now_s)

    def _up_at_first(self) -> int:
        """Replicas that are up at any time: chance as in the whole fleet, of which these have their share."""
        fleet, many = self.fleet, max(self.fleet.replicas, self.fleet.of)
        share = availability(fleet.mtbf_s, fleet.restart_s)
        if many <= _COUNTED:
            up = float(sum(self.draw.random() < share for _ in range(many)))
        else:
            up = min(max(self.draw.gauss(many * share, math.sqrt(many * share * (1 - share))), 0.0), many)
        return int(up * fleet.replicas / many + (self.draw.random() if many > fleet.replicas else 0.0))

    def _stop(self, number: int, now_s: float) -> None:
        self.outcome.paid_s += now_s - self.paid_from.pop(number)
        self._restarted(number, now_s)
        self.starting.discard(number)
        self.leaving.discard(number)
        self._resized(now_s)

    def _resized(self, now_s: float) -> None:
        self.outcome.sizes.append((now_s, len(self.paid_from)))

    # --- autoscaling ---

    def _look(self, now_s: float) -> None:
        rule = self.fleet.autoscale
        assert rule is not None
        serving = [one for one in self.ready if one.number not in self.dead]
        in_flight = sum(one.in_flight for one in serving)
        target = wanted(rule, in_flight, self.fleet.model.slots)
        now = len(serving) + len(self.starting)
        if target >= now:
            self.last_need_s = now_s
        for _ in range(target - now):
            self._start(now_s, rule.startup_s)
        if target < now and now_s - self.last_need_s >= rule.cooldown_s:
            self._let_go(leaving(now, target), serving, now_s)
            self.last_need_s = now_s
        self.outcome.looks.append(Look(now_s, target, len(serving), len(self.paid_from)))
        self._plan(now_s + rule.look_s, _LOOK, -1)

    def _let_go(self, count: int, serving: Sequence[Replica], now_s: float) -> None:
        """Those that are starting go first, the newest of them before others. Then the emptiest take no more requests,
        and are stopped when they hold none; one always goes on."""
        early = sorted(self.starting, reverse=True)[:count]
        for number in early:
            self._stop(number, now_s)
        late = min(count - len(early), len(serving) - 1)
        for one in sorted(serving, key=lambda one: (one.in_flight, -one.number))[:late]:
            self.ready.remove(one)
            self.leaving.add(one.number)
            if not one.in_flight:
                self._stop(one.number, now_s)

    def _told(self) -> Outcome:
        outcome, replicas = self.outcome, self.all.values()
        for number in list(self.down_from):
            self._restarted(number, self.until_s)
        outcome.paid_s += sum(max(0.0, self.until_s - from_s) for from_s in self.paid_from.values())
        outcome.busy_s = sum(one.busy_s for one in replicas)
        outcome.slot_s = sum(one.slot_s for one in replicas)
        outcome.failures = len(self.dead)
        outcome.largest = max((one.largest for one in replicas), default=0)
        outcome.end_s = max((job.end_s for job in self.jobs if job.end_s == job.end_s), default=0.0)
        return outcome
