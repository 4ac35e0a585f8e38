"""What the live view takes from one record: the fast forms of the metrics that are watched, and whether it was good."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from fmload.metrics.definitions import METRICS, Metric
from fmload.metrics.per_record import Ints, gaps_of
from fmload.model.record import Record

_log = logging.getLogger(__name__)
_LONGEST_NS = 2**63 - 1  # what a histogram of any metric can hold
_failed: set[str] = set()  # metrics of other distributions whose fast form raised: told once, then left to the report


@cache
def watched() -> tuple[Metric, ...]:
    """The metrics that have a histogram while a run goes on, in the order in which they are shown."""
    return tuple(metric for metric in METRICS.values() if metric.family and metric.live is not None)


def request_metrics_ns(record: Record) -> dict[str, int | Ints]:
    """The watched metrics of one request in whole nanoseconds, as far as it has them: most have one value a request,
    those of its tokens an array."""
    gaps, found = gaps_of(record), dict[str, int | Ints]()
    for metric in watched():
        values = _fast(metric, record if metric.level == "request" else gaps)
        if isinstance(values, int):
            found[metric.name] = max(-_LONGEST_NS, min(values, _LONGEST_NS))
        elif values is not None and np.size(values):
            found[metric.name] = np.atleast_1d(values).astype(np.int64, copy=False)
    return found


def is_good(record: Record, limits: Mapping[str, float]) -> bool:
    """Whether a request ended well and keeps every limit (as `scaled` makes them); what it lacks breaks none."""
    return record.outcome == "ok" and all(
        (value := _fast(METRICS[name], record)) is None or value <= limit for name, limit in limits.items())


def scaled(limits: Mapping[str, float]) -> dict[str, float]:
    """Limits in the unit of the fast forms: seconds become nanoseconds. Limits on metrics that have no fast form are
    left to the report."""
    by_name = {name: METRICS.get(name) for name in limits}
    return {name: limits[name] * (1e9 if metric.in_seconds else 1)
            for name, metric in by_name.items() if metric is not None and metric.level == "request" and metric.live}


def _fast(metric: Metric, source: Any) -> Any:
    """The fast form's value. None where there is none, or where it raised: no request may be lost for a screen."""
    if source is None or metric.live is None or metric.name in _failed:
        return None
    try:
        return metric.live(source)
    except Exception:
        _failed.add(metric.name)
        _log.exception("metric '%s': its live form failed; it is left to the report", metric.name)
        return None
