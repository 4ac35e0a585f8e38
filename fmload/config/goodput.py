"""The limits that make a request a good one: said once, for live figures, searches and the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fmload.config.objectives import Objective, parse_objectives


def limits_of(objectives: Iterable[Objective]) -> dict[str, float]:
    """The limits of a good request by metric, in the metric's unit: those given for each request, else the limit of
    the highest percentile.

    `e2e_p95: 5s` makes a request good when it takes at most 5 s; with `ttft_p50: 500ms` and `ttft_p99: 2s` the limit
    is 2 s; `ttft: 1s` beside them holds alone. Means, minima, rates and prices limit no single request.
    """
    found: dict[str, tuple[float, float]] = {}
    for objective in objectives:
        rank = 101.0 if objective.per_request else objective.percentile
        if rank is None or objective.level != "request" or objective.bound != "at most":
            continue
        if objective.metric not in found or rank > found[objective.metric][0]:
            found[objective.metric] = (rank, objective.limit)
    return {metric: limit for metric, (_, limit) in found.items()}


def judged_by(objectives: Mapping[str, Any] | None, sought: Mapping[str, Any] | None) -> tuple[Objective, ...]:
    """What a run's stages are judged by: its objectives; those of its search where it has none of its own."""
    return parse_objectives(objectives or sought or {})


def limits_of_tenants(tenants: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The limits of a good request of those tenants that have objectives of their own, by name; of the entries of a run
    file."""
    return {str(tenant["name"]): limits_of(parse_objectives(tenant["objectives"]))
            for tenant in tenants if tenant.get("objectives")}
