"""The plan: the fewest replicas that keep the objectives at a demand, by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fmload.base.errors import EXIT_INVALID, FmloadError
from fmload.base.units import format_duration
from fmload.config.objectives import Objective
from fmload_analysis.capacity.autoscale import MOST_REPLICAS, Autoscale, Ints, called_for, over_period
from fmload_analysis.capacity.demand import LEAST_WINDOW_S, Demand, Floats, Window
from fmload_analysis.capacity.limits import Judged
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.trial import Settings, Trial, Tried, needed

LEAST_UP = 0.01  # of the time: a fleet of replicas that are hardly ever up is none
_ROOM = 4.0  # times the least that could serve the peak: from there on the search ends where more do not help
_HELPS = 0.98  # of a figure: twice as many replicas that bring it no lower do not help
_FILLS = 7.0  # times what a request takes with all slots taken is simulated at least: the first 15 % fill the fleet
_FINE = 0.005  # the number of replicas is found to half a percent


@dataclass(frozen=True, slots=True)
class Day:
    """The demand from end to end under autoscaling: at each instant the rate, the replicas that it calls for at the
    rule's target, and those that are paid for, which are let go one cooldown after the other."""

    at_s: Floats
    per_s: Floats
    called_for: Ints
    paid: Ints


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer: `best`, the fewest replicas that keep the objectives; None: no number does.

    `tried` are all fleets, ascending. `share_error`: figure → how far `searched` simulated replicas, as many as the
    search takes, are off those of `best`, where that has more. `paid_replicas`: the mean over the whole day, which with
    autoscaling is `day`.
    """

    best: Tried | None
    tried: tuple[Tried, ...]
    window: Window
    share_error: dict[str, float] = field(default_factory=dict)
    scaled: Tried | None = None
    paid_replicas: float | None = None
    day: Day | None = None
    searched: int = 0

    @property
    def share_left(self) -> float:
        """How far the worst figure of `best` may be off those of its whole fleet, as that error falls as 1 ÷ replicas
        that are simulated; 0 where all are that serve."""
        if self.best is None or self.best.whole or not self.share_error:
            return 0.0
        return max(map(abs, self.share_error.values())) * self.searched / (self.best.simulated - self.searched)


def plan(model: ReplicaModel, demand: Demand, objectives: Sequence[Objective], settings: Settings,
         tell: Callable[[str], None] = lambda said: None) -> Plan:
    """Search by halving for the fewest replicas; `tell` hears of every fleet. With autoscaling that is simulated
    beside, and what its day pays."""
    least = _least(model, demand, settings.up)
    share = min(least, settings.most_drawn) / least
    window = demand.window(settings.requests, share, max(LEAST_WINDOW_S, _FILLS * _mean_stay_s(model, demand)))
    if all(job.arrival_s < window.from_s for job in demand.jobs(model, window, share, settings.first_seed)):
        raise FmloadError("no request comes in the part of the demand that is simulated, of "
                          f"{format_duration(window.end_s - window.begin_s)}: it has too few to plan with",
                          hint="mind the unit of --demand", exit_code=EXIT_INVALID)
    trial = Trial(model, demand, objectives, settings, window, tell, share)
    least = max(least, settings.lose + 1)
    fewest = _fewest(trial, least)
    best, share_error = _confirmed(trial, fewest, least)
    found = Plan(best, tuple(trial.found[count] for count in sorted(trial.found)), window, share_error,
                 searched=fewest.simulated if fewest and share_error else 0)
    if settings.autoscale is None or best is None:
        return replace(found, paid_replicas=float(best.replicas) if best else None)
    day = _day(model, demand, settings.autoscale, settings.routing)
    return replace(found, scaled=trial.scaled(settings.autoscale, best.replicas), day=day,
                   paid_replicas=float(day.paid.mean()))


def _mean_stay_s(model: ReplicaModel, demand: Demand) -> float:
    """How long a request is in its slot on average with all slots taken, by Little's law."""
    return model.slots / _most(model, demand)


def _most(model: ReplicaModel, demand: Demand) -> float:
    """Requests a second of one replica at the most, prefixes reused as often as a session can."""
    return model.most_requests_per_s(float(demand.inputs.mean()), float(demand.outputs.mean()), demand.uncached)


def _least(model: ReplicaModel, demand: Demand, up: float) -> int:
    """Fewer replicas, which are up for a share of the time, cannot serve the mean of the demand, whatever waits."""
    if up < LEAST_UP:
        raise FmloadError(f"by --mtbf and --restart a replica would be up for {100 * up:.3g} % of the time: nothing "
                          f"can be planned with less than {100 * LEAST_UP:g} %", exit_code=EXIT_INVALID,
                          hint="--mtbf is the time between failures of one replica, --restart until it is replaced")
    each = _most(model, demand) * up
    least = max(1, math.ceil(demand.mean_per_s / each * 0.9))
    if least > MOST_REPLICAS:
        raise FmloadError(f"the demand needs more than {MOST_REPLICAS:,} replicas of {each:.3g} requests/s",
                          hint="mind the unit of --demand", exit_code=EXIT_INVALID)
    return least


def _fewest(trial: Trial, least: int) -> Tried | None:
    """Doubling the excess until the objectives are kept, then halving. Bursts may need far more than the peak's rate
    does, so that it goes on as long as that helps."""
    peak = max(least, math.ceil(least * trial.demand.peak_per_s / trial.demand.mean_per_s))
    most = max(least + 4, math.ceil(peak * _ROOM))
    low, high, step = least - 1, least, max(1, (peak - least) // 2, least // 20)
    while not trial.of(high).keeps:
        if high >= most and not (2 * high <= MOST_REPLICAS and _helped(trial.of(low), trial.of(high))):
            return None
        low, high, step = high, min(high + step, most) if high < most else 2 * high, step * 2
    while high - low > max(1, int(high * _FINE)):
        middle = (low + high) // 2
        low, high = (low, middle) if trial.of(middle).keeps else (middle, high)
    return trial.of(high)


def _helped(few: Tried, many: Tried) -> bool:
    """Whether more replicas brought an objective that is not kept nearer to its limit."""
    rows = [(_short(before), _short(now)) for before, now in zip(few.rows, many.rows, strict=True)
            if now.result != "kept"]
    return any(now < _HELPS * before for before, now in rows)


def _short(row: Judged) -> float:
    """What more replicas bring down."""
    return 1 - row.found.value if row.name == "kept_up" else row.found.value


def _confirmed(trial: Trial, best: Tried | None, least: int) -> tuple[Tried | None, dict[str, float]]:
    """The fewest replicas from `least` on, to a percent, that keep the objectives when more of the fleet is simulated
    than the search took for `best` (None where neither twice as many do, nor the most that did in the search); and how
    far the smaller share is off. Where all that serve are simulated there is nothing to confirm."""
    if best is None or best.whole:
        return best, {}
    high = _widened(trial, best, least)
    narrow = trial.of(high)
    trial.found.update(trial.wider)
    found = trial.found[high]
    if not found.keeps:
        return None, {}
    names = ("ttft_p50", "ttft_p95", "ttft_p99", "e2e_p50", "e2e_p95", "e2e_p99", "utilisation")
    return found, {
        name: narrow.figures[name].value / found.figures[name].value - 1 for name in names if found.figures[name].value}


def _widened(trial: Trial, best: Tried, least: int) -> int:
    """From the fleet that was found up or down, in growing steps and then by halving."""
    def keeps(replicas: int) -> bool:
        return trial.wide(replicas, best.simulated).keeps

    most = max([2 * best.replicas, *(replicas for replicas, tried in trial.found.items() if tried.keeps)])
    step = math.ceil(0.01 * best.replicas)
    low, high = (best.replicas - step, best.replicas) if keeps(best.replicas) else (best.replicas, best.replicas + step)
    low = max(low, least - 1)
    while low >= best.replicas and not keeps(high) and high < most:
        low, high, step = high, min(high + 2 * step, most), 2 * step
    while least <= low < best.replicas and keeps(low):
        low, high, step = max(low - 2 * step, least - 1), low, 2 * step
    while high - low > max(1, math.ceil(0.01 * high)):
        middle = (low + high) // 2
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high


def _day(model: ReplicaModel, demand: Demand, rule: Autoscale, routing: str) -> Day:
    at_s = np.arange(0.0, demand.lasts_s, 10.0)
    per_s = np.interp(at_s, demand.at_s, demand.per_s)
    replicas = needed(model, demand, rule, per_s, routing)
    return Day(at_s, per_s, called_for(rule, replicas), over_period(rule, at_s, replicas))
