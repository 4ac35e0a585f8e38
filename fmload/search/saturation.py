"""Whether an endpoint can keep up: completions that stay below the arrivals, throughput that no longer grows.

What a stage's requests say once is written into the stage (`observed`), so that later stages can be compared with it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import numpy as np

from fmload.model.stage import Stage, StageMark
from fmload.model.verdict import Observed
from fmload.statistics import estimates, intervals
from fmload.statistics.observation import Observation, Seen

CONFIDENCE = 0.95
SHORT = 0.05  # completions so much below the arrivals, or a throughput that grows by no more, are no chance
LEAST_S = 5.0
FIRST = 20  # requests that tell how long one takes before a queue has grown
NS = 1e9


def observed(stage: Stage, seen: Seen, end_ns: int) -> Observed:
    """Requests completed a second in the window with their interval, the mean E2E latency, and whether they kept up."""
    found = estimates.rate("requests_per_s", seen, stage.window_start_ns, end_ns, CONFIDENCE)
    latencies = seen.begun_within(stage.window_start_ns, end_ns)
    good = latencies.values("e2e")[latencies.ok] if len(latencies) else np.array([])
    e2e_mean_s = float(good.mean()) if len(good) else None
    return Observed(found.value, found.low, found.high, e2e_mean_s) if found else Observed(e2e_mean_s=e2e_mean_s)


class Due:
    """The arrivals of a stage, made anew from its schedule as far as they are asked for; seconds from its start."""

    def __init__(self, instants: Iterator[float | None]) -> None:
        self._instants = instants
        self._known: list[float] = []

    def between(self, from_s: float, to_s: float) -> int:
        """How many were due in [from, to): what chance brought, not what the rate promised."""
        while not self._known or self._known[-1] < to_s:
            instant = next(self._instants, math.inf)
            if instant is not None:  # None: another component's
                self._known.append(instant)
        return bisect_left(self._known, to_s) - bisect_left(self._known, from_s)


def falls_behind(stage: Stage, observation: Observation, due: Due, now_ns: int) -> bool:
    """Whether completions stay below the arrivals of an open loop: the whole interval of their rate is more than 5 %
    below it, over the part of the window that began twice as long after the load did as its first requests took.

    The arrivals are those that were due as much earlier as one request takes: a pause between bursts is no queue.
    """
    if stage.load.kind != "rate" or not stage.ramp_start_ns or not stage.window_start_ns:
        return False
    if stage.load.sessions:
        return _sessions_fall_behind(stage, observation, due, now_ns)
    seen = observation.seen(stage.stage)
    if not len(seen):
        return now_ns - stage.window_start_ns > 2 * LEAST_S * NS
    lasted = (seen.ended_ns - seen.begun_ns)[np.isfinite(seen.ended_ns)][:FIRST]
    one_ns = float(np.median(lasted)) if len(lasted) else 0.0
    from_ns = max(float(stage.window_start_ns), stage.ramp_start_ns + 2 * one_ns)
    if now_ns - from_ns < LEAST_S * NS:
        return False
    found = estimates.rate("requests_per_s", seen, from_ns, now_ns, CONFIDENCE)
    high = found.high if found else None if seen.ok.any() else 0.0
    from_s, to_s = ((instant_ns - one_ns - stage.ramp_start_ns) / NS for instant_ns in (from_ns, now_ns))
    return high is not None and high < (1 - SHORT) * due.between(from_s, to_s) / (to_s - from_s)


def _sessions_fall_behind(stage: Stage, observation: Observation, due: Due, now_ns: int) -> bool:
    """The same of sessions: those that finish against those that arrive, one duration earlier."""
    seen = observation.sessions(stage.stage)
    if not len(durations_s := seen.durations_s[:FIRST]):
        return False  # none has ended: how long one takes is not known
    one_ns = float(np.median(durations_s)) * NS
    from_ns = max(float(stage.window_start_ns), stage.ramp_start_ns + 2 * one_ns)
    if now_ns - from_ns < LEAST_S * NS:
        return False
    ended_ns = seen.ended_ns[seen.finished]
    inside = ended_ns[(ended_ns >= from_ns) & (ended_ns < now_ns)]
    found = intervals.throughput_interval((inside - from_ns) / NS, np.ones(len(inside)), (now_ns - from_ns) / NS,
                                          confidence=CONFIDENCE)
    from_s, to_s = ((instant_ns - one_ns - stage.ramp_start_ns) / NS for instant_ns in (from_ns, now_ns))
    high = found.high if found else None
    return high is not None and high < (1 - SHORT) * due.between(from_s, to_s) / (to_s - from_s)


def gains_nothing(stage: Stage, lower: Iterable[Stage]) -> bool:
    """Whether a stage of a closed loop completes no more than one at a lower load did."""
    high = stage.observed.high if stage.observed else None
    best = max((other.observed.requests_per_s or 0.0 for other in lower if other.observed), default=0.0)
    return stage.load.kind == "concurrency" and high is not None and best > 0 and high < (1 + SHORT) * best


def skip_higher(step: Iterable[Stage], stages: list[Stage], now_ns: int) -> None:
    """StageMark the pending stages as skipped whose load is higher than one of this step that was too much."""
    for stage in step:
        same = [other for other in stages if _line(other) == _line(stage)]
        lower = [other for other in same if other.status == "done" and other.load.value < stage.load.value]
        stopped = "stop_if" in (stage.window_closed, stage.warmup_ended)
        if stopped or stage.window_closed == "saturated" or gains_nothing(stage, lower):
            why = "was ended by stop_if" if stopped else "was more than it can take"
            for other in same:
                if other.status == "pending" and other.load.value > stage.load.value:
                    other.become("skipped")
                    other.marks.append(StageMark("skipped", now_ns, None, f"{stage.load.text} {why}"))


def _line(stage: Stage) -> tuple[str, str, str, str]:
    return stage.endpoint, stage.prompt_set, stage.load.kind, str(stage.load.arrivals)
