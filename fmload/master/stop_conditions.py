"""What closes a stage's window, and what ends its warm-up: a time, a number of requests, or what its requests say.

A stop condition is asked again and again while it goes on; it gives the reason once it is time, and None before.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fmload.config.objectives import RATES, Objective, statistic
from fmload.model.outcome import NEITHER
from fmload.model.stage import Stage
from fmload.model.verdict import Reached
from fmload.search import judging, saturation
from fmload.search.saturation import Due
from fmload.statistics.estimates import Estimate, latency, rate
from fmload.statistics.observation import Observation
from fmload.statistics.steady_state import settled

NS = 1e9
STOPPED = "stop_if"
GROWTH = 1.25  # from one look at the requests to the next: what has come since then can change the picture
WARMUP_GROWTH, FIRST_LOOK_S = 1.1, 1.0
LEAST_LATENCIES = 5  # a warm-up is no shorter than so many requests one after the other: that is what a queue remembers

StopCondition = Callable[[int], str | None]  # an instant of the master's clock → why it is over


def after(seconds: float, start_ns: int, reason: str) -> StopCondition:
    """Over at so many seconds after the start."""
    return lambda now_ns: reason if now_ns >= start_ns + int(seconds * NS) else None


def window(stage: Stage, observation: Observation, limit_s: float, due: Due | None = None,
           idle: Callable[[], bool] = lambda: False) -> list[StopCondition]:
    """What closes the window that opened at the stage's `window_start_ns`. `due`: its arrivals, of an open loop;
    `idle`: whether every worker has sent all of its part, of exactly so many requests."""
    watched: list[StopCondition] = [Overload(stage, observation, due)] if stage.stop_when_saturated and due else []
    if stage.stop_if is not None:
        watched.append(stopped(stage, observation))
    if stage.exact:
        all_ended = completed(stage.stage, stage.requests or 0, observation, 0)
        return [*watched, lambda now_ns: all_ended(now_ns) or ("requests" if idle() else None),
                after(limit_s, stage.window_start_ns, "time")]
    if stage.find is not None and stage.find.objective is not None:
        return [*watched, judging.Judging(stage, observation), after(limit_s, stage.window_start_ns, "at_most")]
    if stage.until is not None:
        return [*watched, Precision(stage, observation), after(limit_s, stage.window_start_ns, "at_most")]
    if stage.requests is not None:
        enough = completed(stage.stage, stage.requests, observation, stage.window_start_ns)
        return [*watched, enough, after(limit_s, stage.window_start_ns, "time")]
    return [*watched, after(limit_s, stage.window_start_ns, "time")]


def warmup(stage: Stage, observation: Observation) -> list[StopCondition]:
    """What ends the warm-up that began at the stage's `warmup_start_ns`."""
    begin_ns, asked = stage.warmup_start_ns, stage.warmup
    watched = [stopped(stage, observation)] if stage.stop_if is not None else []
    if asked.requests is not None:
        return [*watched, completed(stage.stage, asked.requests, observation, begin_ns),
                after(stage.warmup_s, begin_ns, "at_most")]
    if asked.steady is not None:
        return [*watched, Steady(stage, observation), after(stage.warmup_s, begin_ns, "at_most")]
    return [*watched, after(stage.warmup_s, begin_ns, "time")]


def stopped(stage: Stage, observation: Observation) -> StopCondition:
    """Over once the requests of the stage, its warm-up included, have become what `stop_if` names."""
    return lambda now_ns: STOPPED if why_stopped(stage, observation) else None


def why_stopped(stage: Stage, observation: Observation) -> str | None:
    """`34 % of 52 requests failed`, `10 requests were throttled`; None while nothing of `stop_if` is so."""
    asked, outcomes = stage.stop_if, observation.outcomes(stage.stage)
    if asked is None:
        return None
    ended = sum(outcomes[outcome] for outcome in outcomes if outcome not in NEITHER)
    failed = ended - outcomes["ok"]
    limit = asked.error_rate
    if limit is not None and ended >= asked.after and failed > limit * ended:
        return f"{failed / ended:.1%} of {ended} requests failed, more than {limit:.1%}"
    for outcome, most in asked.outcomes.items():
        if outcomes[outcome] >= most:
            return f"{outcomes[outcome]} requests ended as '{outcome}'"
    return None


def completed(stage: int, requests: int, observation: Observation, since_ns: int) -> StopCondition:
    """Over once so many requests have ended since then, whatever became of them."""
    return lambda now_ns: "requests" if observation.ended_since(stage, since_ns) >= requests else None


class _Looks:
    """When to look: not before `first_s`, and then each time that so much more time has passed."""

    def __init__(self, start_ns: int, first_s: float, growth: float) -> None:
        self._start_ns = start_ns
        self._next_s = first_s
        self._growth = growth

    def due(self, now_ns: int) -> bool:
        passed_s = (now_ns - self._start_ns) / NS
        if passed_s < self._next_s:
            return False
        self._next_s = max(self._next_s, passed_s) * self._growth
        return True


class Precision:
    """Over once half the confidence interval of the metric is at most `within` of its value.

    Requests count that began in the window early enough to have ended by now, were they as long as the longest: the
    short ones among the last are not taken for all of them. Stopping at a width is the sequential procedure of Chow
    and Robbins (Ann. Math. Statist. 36, 1965), whose coverage is the nominal one for small widths.
    """

    def __init__(self, stage: Stage, observation: Observation) -> None:
        assert stage.until is not None
        self._stage = stage
        self._observation = observation
        self._since_ns = stage.window_start_ns
        self._asked = stage.until
        self._what: Objective = statistic(stage.until.metric)
        self._looks = _Looks(self._since_ns, stage.until.at_least_s, GROWTH)

    def __call__(self, now_ns: int) -> str | None:
        if not self._looks.due(now_ns):
            return None
        found = self._estimate(now_ns)
        self._stage.reached = None if found is None else reached(self._asked.metric, found)
        width = found.half_width if found else None
        return "precise" if width is not None and width <= self._asked.within else None

    def _estimate(self, now_ns: int) -> Estimate | None:
        confidence: float = self._asked.confidence
        seen = self._observation.seen(self._stage.stage)
        if self._what.name in RATES:
            return rate(self._what.name, seen, self._since_ns, now_ns, confidence)
        return latency(self._what, seen.settled(self._since_ns, now_ns), confidence)


class Overload:
    """Over once the endpoint cannot keep up with the arrivals (`saturation.falls_behind`)."""

    def __init__(self, stage: Stage, observation: Observation, due: Due) -> None:
        self._stage, self._observation, self._due = stage, observation, due
        self._looks = _Looks(stage.window_start_ns, saturation.LEAST_S, GROWTH)

    def __call__(self, now_ns: int) -> str | None:
        if not self._looks.due(now_ns):
            return None
        return "saturated" if saturation.falls_behind(self._stage, self._observation, self._due, now_ns) else None


def reached(metric: str, found: Estimate) -> Reached:
    """What was known at the last look."""
    value, low, high = (end if end is not None and math.isfinite(end) else None
                        for end in (found.value, found.low, found.high))
    return Reached(metric, value, low, high, found.half_width, found.n, found.effect)


class Steady:
    """Over once a metric has come to rest (`steadiness.settled`), by the requests that began in the warm-up and early
    enough to have ended by now."""

    def __init__(self, stage: Stage, observation: Observation) -> None:
        assert stage.warmup.steady is not None
        self._stage, self._since_ns = stage.stage, stage.warmup_start_ns
        self._metric = stage.warmup.steady
        self._observation = observation
        self._looks = _Looks(self._since_ns, FIRST_LOOK_S, WARMUP_GROWTH)

    def __call__(self, now_ns: int) -> str | None:
        if not self._looks.due(now_ns):
            return None
        seen = self._observation.seen(self._stage).settled(self._since_ns, now_ns)
        if not seen.ok.any() or not settled(seen.values(self._metric)[seen.ok]):
            return None
        latency_s = float(np.median(seen.values("e2e")[seen.ok]))
        return "steady" if now_ns - self._since_ns >= LEAST_LATENCIES * latency_s * NS else None


def waits_for(stage: Stage, observation: Observation) -> str:
    """What a stage in its warm-up or window waits for, and how far that is; empty where only time has to pass."""
    if not stage.window_start_ns:
        if stage.warmup.steady:
            return f"until {stage.warmup.steady} is steady"
        return _requests(stage, stage.warmup.requests, observation, stage.warmup_start_ns)
    if stage.find is not None:
        return judging.waits_for(stage)
    if stage.until is None:
        return _requests(stage, stage.requests, observation, stage.window_start_ns)
    width = stage.reached.half_width if stage.reached else None
    now = f", now ± {100 * width:.3g} %" if width else ""
    return f"until {stage.until.metric} ± {100 * stage.until.within:.3g} %{now}"


def _requests(stage: Stage, asked: int | None, observation: Observation, since_ns: int) -> str:
    if asked is None or not since_ns:
        return ""
    return f"{min(observation.ended_since(stage.stage, since_ns), asked)} of {asked} requests"
