"""The limits that make a request a good one: said once, for live figures and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fmload.base.units import parse_duration_s
from fmload.config.objectives import Objective


def request_limits_s(objectives: Mapping[str, Any]) -> dict[str, float]:
    """The limits on TTFT, TPOT and E2E among the objectives, whatever their statistic: those of a good request."""
    found: dict[str, float] = {}
    for name, limit in objectives.items():
        metric = name.partition("_")[0]
        if metric in ("ttft", "tpot", "e2e") and isinstance(limit, str):
            found[metric] = min(parse_duration_s(limit), found.get(metric, float("inf")))
    return found



def limits_of(objectives: Iterable[Objective]) -> dict[str, float]:
    """Per-request limits, for goodput: those given for each request, else the limit of the highest percentile.

    `e2e_p95: 5s` makes a request good when it takes at most 5 s.
    """
    found: dict[str, tuple[float, float]] = {}
    for objective in objectives:
        rank = 101.0 if objective.per_request else objective.percentile
        if rank is None or objective.level != "request" or objective.bound != "at most":
            continue
        if objective.metric not in found or rank > found[objective.metric][0]:
            found[objective.metric] = (rank, objective.limit)
    return {metric: limit for metric, (_, limit) in found.items()}
