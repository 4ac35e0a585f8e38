"""Whether a figure keeps its limit, by the bounds of its samples: it does, it does not, or it cannot be told. Pure.

One rule for searches, which look while a stage runs, and for the report.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fmload.config.objectives import Objective
from fmload.metrics.definitions import Bools
from fmload.model.verdict import Judged, Result
from fmload.statistics import estimates, intervals
from fmload.statistics.estimates import Estimate, Samples


def of_samples(objective: Objective, samples: Samples, confidence: float) -> Judged:
    """A percentile or mean against its limit, by samples in order of their requests' start; a failed one is +∞."""
    if objective.percentile is None:
        found = estimates.mean(samples[0], 2 * confidence - 1) if len(samples[0]) else None
    else:
        found = estimates.percentile_bounds(objective, samples, confidence)
    if found is None:
        return Judged(objective.name, objective.limit, "unclear")
    judged = _against(objective, found)
    if judged.result != "unclear":
        return judged
    return replace(judged, needed=_more_for_mean(judged) if objective.percentile is None
                   else more_for_percentile(objective, samples, found.effect, confidence))


def more_for_percentile(objective: Objective, samples: Samples, effect: float, confidence: float) -> int | None:
    """How many more requests would show on which side of its limit a percentile lies."""
    values, weights, rows = samples
    above, n = int(weights[values > objective.limit].sum()), int(weights.sum())
    more = intervals.more_for_share(above, n, 1 - (objective.percentile or 0.0) / 100, effect, 1 - confidence)
    requests = n if rows is None else len(np.unique(rows))
    return None if more is None else math.ceil(more * requests / n)  # a request has many gaps


def _more_for_mean(judged: Judged) -> int | None:
    """The interval shrinks with the root of the number of requests."""
    if judged.value is None or judged.low is None or judged.high is None or judged.value == judged.limit:
        return None
    reach = (judged.high - judged.low) / 2
    total = math.ceil(judged.n * (reach / abs(judged.value - judged.limit)) ** 2)
    return total - judged.n if judged.n < total <= intervals.MOST_NEEDED else None


def error_rate(objective: Objective, failed: Bools, confidence: float) -> Judged:
    """The share of failed requests, in order of their start. Where no request failed, any limit is met: an interval
    would ask for hundreds of requests to exclude 1 %, and could never confirm 0."""
    n = len(failed)
    if not n:
        return Judged(objective.name, objective.limit, "unclear")
    share, both_sides = float(failed.mean()), 2 * confidence - 1
    effect = estimates.of_each(failed)[1]
    found = intervals.wilson(share, n, both_sides, effect)
    judged = _against(objective, Estimate(share, found.low, found.high, n, effect))
    if not share or not objective.limit:
        return replace(judged, result="fails" if share else "meets")
    if judged.result != "unclear":
        return judged
    return replace(judged, needed=intervals.more_needed(
        n, lambda total: _excludes(intervals.wilson(share, total, both_sides, effect), objective.limit)))


def _excludes(found: intervals.Interval, limit: float) -> bool:
    return (found.high is not None and found.high <= limit) or (found.low is not None and found.low > limit)


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
