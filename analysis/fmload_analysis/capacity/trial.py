"""Fleets of so many replicas under a demand, each simulated over the seeds and judged by the objectives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fmload.config.objectives import Objective
from fmload_analysis.capacity.autoscale import Autoscale, Look
from fmload_analysis.capacity.demand import Demand, Floats, Window
from fmload_analysis.capacity.figures import Estimate, of_window, over_seeds
from fmload_analysis.capacity.fleet import RESTART_S, Fleet, availability, simulate
from fmload_analysis.capacity.limits import Judged, judged, keeps
from fmload_analysis.capacity.model import ReplicaModel

WIDER = 4  # times as many replicas are simulated to confirm what a share says
_FAR = 1.5  # times its limit: such a fleet needs no more seeds


@dataclass(frozen=True, slots=True)
class Settings:
    """What is simulated, beside model and demand. `lose`: replicas that fail half-way through and do not come back.

    `most_simulated`: of a larger fleet so many replicas that are up are simulated, with their share of the demand; of
    more replicas than can just serve the demand the same share of it, so that as many requests judge them.
    """

    routing: str = "round_robin"
    autoscale: Autoscale | None = None
    lose: int = 0
    mtbf_s: float | None = None
    restart_s: float = RESTART_S
    detect_s: float = 0.0
    seeds: int = 5
    first_seed: int = 1
    requests: int = 6_000
    most_simulated: int = 16

    @property
    def up(self) -> float:
        """The share of the time in which a replica is up in the long run."""
        return availability(self.mtbf_s, self.restart_s)

    @property
    def most_drawn(self) -> int:
        """Replicas that are simulated at the most, those that are down among them."""
        return math.ceil(self.most_simulated / self.up)


@dataclass(frozen=True, slots=True)
class Tried:
    """A fleet of so many replicas as simulated: its figures over the seeds, and whether the objectives are kept.

    `share` of the demand is simulated; `wider`: more of the fleet than the search takes. `looks` are those of
    autoscaling in the first seed, of that share.
    """

    replicas: int
    simulated: int
    figures: dict[str, Estimate]
    rows: tuple[Judged, ...]
    looks: tuple[Look, ...] = ()
    window: Window | None = None
    share: float = 1.0
    wider: bool = False

    @property
    def keeps(self) -> bool:
        """Whether every objective is kept."""
        return keeps(self.rows)

    @property
    def whole(self) -> bool:
        """Whether all replicas that serve are simulated: of a fleet without those that are lost from the start."""
        return self.share >= 1


class Trial:
    """Simulates fleets of this demand, each number of replicas once. `share` of the demand is simulated at least, so
    that many replicas have as many requests to be judged by as few."""

    def __init__(self, model: ReplicaModel, demand: Demand, objectives: Sequence[Objective], settings: Settings,
                 window: Window, tell: Callable[[str], None], share: float = 0.0) -> None:
        self.model, self.demand, self.objectives, self.settings = model, demand, objectives, settings
        self.window, self.tell, self.share = window, tell, share
        self.found: dict[int, Tried] = {}
        self.wider: dict[int, Tried] = {}  # with more of them simulated

    def of(self, replicas: int, simulated: int | None = None) -> Tried:
        """A fleet of so many replicas, of which `simulated` are; by default as many as the settings say."""
        if simulated is None and replicas in self.found:
            return self.found[replicas]
        usual = min(replicas, max(self.settings.most_drawn, math.ceil(replicas * self.share)))
        count, lost, serving = simulated or usual, self.settings.lose, replicas
        if count < replicas:  # of a share of a fleet none is killed: those that are lost are missing from the start
            lost, serving = 0, max(replicas - self.settings.lose, 1)
            count = min(count, serving)
        tried = self._tried(replicas, replace(self._fleet(count, lost), of=serving), count / serving)
        if simulated is None:
            self.found[replicas] = tried
        return tried

    def wide(self, replicas: int, simulated: int) -> Tried:
        """The fleet with more of it simulated than the `simulated` of `of`."""
        if replicas not in self.wider:
            self.wider[replicas] = replace(self.of(replicas, min(replicas, WIDER * simulated)), wider=True)
        return self.wider[replicas]

    def scaled(self, rule: Autoscale, replicas: int) -> Tried:
        """The fleet with autoscaling: its limits, and the demand, divided where a share is simulated, of which one
        replica is no more than the rule's most."""
        share = min(1.0, max(self.settings.most_drawn / 2 / replicas, 1 / rule.most))
        own = replace(rule, least=max(1, round(rule.least * share)), most=max(1, round(rule.most * share)))
        window = self.demand.steepest(rule.startup_s, self.window.end_s - self.window.begin_s)
        at_s = np.array([window.begin_s])
        per_s = np.interp(at_s, self.demand.at_s, self.demand.per_s) * share
        first = needed(self.model, self.demand, own, per_s, self.settings.routing)
        start = int(np.clip(math.ceil(float(first[0])), own.least, own.most))
        trial = Trial(self.model, self.demand, self.objectives, self.settings, window, self.tell)
        return trial._tried(replicas, replace(trial._fleet(start, round(self.settings.lose * share)), autoscale=own),
                            share)

    def _fleet(self, count: int, lost: int) -> Fleet:
        settings = self.settings
        length = self.window.end_s - self.window.begin_s
        return Fleet(self.model, count, settings.routing, None,
                     tuple((length / 2, place) for place in range(min(lost, count - 1))), settings.mtbf_s,
                     settings.restart_s, settings.detect_s, self.demand.reuse)

    def _tried(self, replicas: int, fleet: Fleet, share: float) -> Tried:
        found: list[dict[str, float]] = []
        looks: tuple[Look, ...] = ()
        for number in range(self.settings.seeds):
            self.tell(f"{replicas:,} replicas, seed {number + 1} of {self.settings.seeds}")
            seed = self.settings.first_seed + number
            jobs = self.demand.jobs(self.model, self.window, share, seed)
            length = self.window.end_s - self.window.begin_s
            outcome = simulate(replace(fleet, seed=seed), jobs, length)
            found.append(of_window(self.model, outcome, self.window.from_s, length))
            looks = looks or tuple(outcome.looks)
            if number == 1 and self._hopeless(found):
                break
        figures = over_seeds(found)
        return Tried(replicas, fleet.replicas, figures, judged(self.objectives, figures), looks, self.window,
                     share)

    def _hopeless(self, found: Sequence[Mapping[str, float]]) -> bool:
        """Whether every seed so far misses an objective by a half: more seeds would not change that."""
        rows = [judged(self.objectives, {name: Estimate(value) for name, value in one.items()}) for one in found]
        return any(all(row.found.value > _FAR * row.limit for row in of_one) for of_one in zip(*rows, strict=True)
                   if of_one[0].name != "kept_up")


def needed(model: ReplicaModel, demand: Demand, rule: Autoscale, per_s: Floats, routing: str) -> Floats:
    """Replicas (a real number) that a rate calls for: each serves what it does with `target` of its slots taken."""
    each = model.requests_per_s(float(demand.inputs.mean()), float(demand.outputs.mean()), rule.target * model.slots,
                                demand.uncached if routing == "prefix_aware" else None)
    return np.asarray(per_s / each)
