"""Objectives of the run file: any metric and statistic against a limit, judged stage by stage.

`e2e_p95: 5s`, `error_rate: 0`, `price_per_10k_transactions: 50`, `requests_per_s: 4` (a minimum, for what is better
higher). A request metric without a statistic, `ttft: 2s`, is a limit for each request and counts in goodput alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from analysis.cost import PRICES
from fmload.errors import FmloadError
from fmload.metrics import METRICS
from fmload.registry import did_you_mean
from fmload.units import parse_duration_s

_STATISTIC = re.compile(r"^(?P<metric>.+)_(?P<stat>mean|min|max|p\d+(?:\.\d+)?)$")
Value = Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class Objective:
    """One limit, in the metric's unit. `stat` is None for metrics of a stage and for limits of each request."""

    name: str
    metric: str
    stat: str | None
    limit: float
    unit: str
    bound: Literal["at most", "at least"]

    @property
    def per_request(self) -> bool:
        """True for a request metric without a statistic: it counts in goodput, and no stage is judged by it."""
        return self.stat is None and self.metric in METRICS and METRICS[self.metric].level == "request"

    @property
    def percentile(self) -> float | None:
        """95.0 for `…_p95`; else None."""
        return float(self.stat[1:]) if self.stat and self.stat.startswith("p") else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective against one stage. An unknown value is not met, and `reason` says why it is unknown."""

    objective: Objective
    value: float | None
    met: bool
    reason: str | None = None


def parse_objectives(given: Mapping[str, Any]) -> tuple[Objective, ...]:
    """The objectives of a run file. Raises FmloadError for an unknown metric or an unreadable limit."""
    return tuple(_objective(name, limit) for name, limit in given.items())


def _objective(name: str, limit: Any) -> Objective:
    if name in PRICES:
        return Objective(name, name, None, _number(name, limit), "USD", "at most")
    match = _STATISTIC.match(name)
    metric, stat = (match["metric"], match["stat"]) if match else (name, None)
    if metric not in METRICS or (stat and METRICS[metric].level == "stage"):
        raise FmloadError(f"objectives.{name}: unknown metric{did_you_mean(name, known_names())}",
                          hint="a metric of docs/metrics.md with a statistic, such as ttft_p95 or e2e_mean")
    if not stat and METRICS[metric].level == "token":
        raise FmloadError(f"objectives.{name}: say which statistic", hint=f"for example {name}_p95")
    found = METRICS[metric]
    seconds = found.unit.startswith("s") and found.unit != "share"
    return Objective(name, metric, stat, _seconds(name, limit) if seconds else _number(name, limit), found.unit,
                     "at least" if found.better == "higher" else "at most")


def known_names() -> list[str]:
    """Names that an objective can have, with the usual statistics."""
    stats = [f"{m.name}_{stat}" for m in METRICS.values() if m.level != "stage"
             for stat in ("mean", "p50", "p95", "p99")]
    return [*stats, *(m.name for m in METRICS.values() if m.level != "token"), *PRICES]


def _seconds(name: str, limit: Any) -> float:
    if isinstance(limit, str):
        try:
            return parse_duration_s(limit)
        except ValueError as error:
            raise FmloadError(f"objectives.{name}: {error}") from error
    if limit == 0:
        return 0.0
    raise FmloadError(f"objectives.{name}: {limit} has no unit", hint=f"write {limit}s or {limit}ms")


def _number(name: str, limit: Any) -> float:
    text = str(limit).strip()
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError as error:
        raise FmloadError(f"objectives.{name}: '{limit}' is not a number") from error


def limits_of(objectives: Iterable[Objective]) -> dict[str, float]:
    """Per-request limits, for goodput: those given for each request, else the limit of the highest percentile.

    `e2e_p95: 5s` makes a request good when it takes at most 5 s.
    """
    found: dict[str, tuple[float, float]] = {}
    for objective in objectives:
        rank = 101.0 if objective.per_request else objective.percentile
        if rank is None or METRICS[objective.metric].level != "request" or objective.bound != "at most":
            continue
        if objective.metric not in found or rank > found[objective.metric][0]:
            found[objective.metric] = (rank, objective.limit)
    return {metric: limit for metric, (_, limit) in found.items()}


def judge(objectives: Iterable[Objective], value_of: Value) -> tuple[Verdict, ...]:
    """The verdict on each objective that judges a stage."""
    return tuple(_verdict(objective, value_of(objective.name)) for objective in objectives if not objective.per_request)


def _verdict(objective: Objective, value: float | None) -> Verdict:
    if value is None:
        return Verdict(objective, None, False, "unknown: price n/a" if objective.unit == "USD"
                       else "unknown: not measured, or too few samples")
    met = value <= objective.limit if objective.bound == "at most" else value >= objective.limit
    return Verdict(objective, value, met)
