"""What a stage's requests say about its load: every objective is met, one is missed, or it cannot be told. Pure.

`ttft_p95 ≤ 1 s` says that at most 5 % of the requests take longer than 1 s: a share, of which a one-sided binomial
test tells whether it is below or above, with an error of 1 − confidence at most. A mean or an error rate is met when
its upper bound is at or below the limit, and missed when its lower bound is above. A request that failed, or was not
answered within the drain, takes longer than any limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from fmload.config.objectives import Objective
from fmload.model.verdict import Judged, LoadVerdict, Result
from fmload.statistics import estimates, intervals
from fmload.statistics.estimates import Estimate
from fmload.statistics.observation import Seen


def judge(objectives: Iterable[Objective], seen: Seen, confidence: float) -> LoadVerdict:
    """The verdict on requests that began in one window. One missed objective decides; one unclear leaves it open."""
    judged = tuple(_judged(objective, seen, confidence) for objective in objectives)
    results = {one.result for one in judged}
    result: Result = "fails" if "fails" in results else "unclear" if "unclear" in results else "meets"
    return LoadVerdict(result, confidence, judged, "" if len(seen) else "no request began in the window")


def looks(extend: int) -> list[int]:
    """The window's lengths, in windows, at which its requests are judged: 1, 2, 4 … `extend`."""
    return [*(2**k for k in range(extend.bit_length()) if 2**k < extend), extend]


def confidence_of_look(confidence: float, extend: int) -> float:
    """Of each look, so that all looks of a stage together have the confidence asked for (Bonferroni)."""
    return 1 - (1 - confidence) / len(looks(extend))


def met(verdict: LoadVerdict | None) -> bool:
    """Whether a stage's verdict shows that its load meets: an unclear one does not."""
    return verdict is not None and verdict.result == "meets"


def _judged(objective: Objective, seen: Seen, confidence: float) -> Judged:
    if not (seen.ok | seen.failed).any():
        return Judged(objective.name, objective.limit, "unclear")
    both_sides = 2 * confidence - 1  # the interval whose ends are one-sided bounds of `confidence`
    if objective.name == "error_rate":
        return _error_rate(objective, seen, both_sides)
    found = (estimates.latency(objective, seen, both_sides, failed=math.inf) if objective.percentile is None
             else estimates.percentile_bounds(objective, seen, confidence))
    return _against(objective, found) if found else Judged(objective.name, objective.limit, "unclear")


def _error_rate(objective: Objective, seen: Seen, both_sides: float) -> Judged:
    """Where no request failed, any limit is met: an interval would ask for hundreds of requests to exclude 1 %, and
    could never confirm 0."""
    counted = seen.failed[seen.failed | seen.ok]
    share, n = float(counted.mean()), len(counted)
    effect = estimates.effect_of(counted, np.ones(n, dtype=np.int64), np.arange(n))
    found = intervals.wilson(share, n, both_sides, effect)
    judged = _against(objective, Estimate(share, found.low, found.high, n, effect))
    if share and objective.limit:
        return judged
    return replace(judged, result="fails" if share else "meets")


def _against(objective: Objective, found: Estimate) -> Judged:
    result: Result = "unclear"
    if found.high is not None and found.high <= objective.limit:
        result = "meets"
    elif found.low is not None and found.low > objective.limit:
        result = "fails"
    return Judged(objective.name, objective.limit, result, _finite(found.value), _finite(found.low),
                  _finite(found.high), found.n, found.effect)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
