"""Objectives as the run file may name them: a metric with its statistic, a price, and a limit with its unit.

`e2e_p95: 5s`, `error_rate: 0`, `price_per_10k_transactions: 50`, `requests_per_s: 4` (a minimum, for what is better
higher). A request metric without a statistic, `ttft: 2s`, is a limit for each request and counts in goodput alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.units import parse_duration_s

_NAME = re.compile(r"(?P<metric>.+?)(?:_(?P<stat>mean|min|max|p\d+(?:\.\d+)?))?")
_STATS = ("mean", "p50", "p90", "p95", "p99")
_PRICES = ("transaction", "token", "1m_input_tokens", "1m_output_tokens", "good_request", "1k_transactions",
           "10k_transactions", "1m_tokens")


@dataclass(frozen=True, slots=True)
class Objective:
    """One limit, in the metric's unit. `stat` is None for metrics of a stage and for limits of each request."""

    name: str
    metric: str
    stat: str | None
    limit: float
    unit: str
    bound: Literal["at most", "at least"]
    level: Literal["request", "token", "session", "stage"]

    @property
    def per_request(self) -> bool:
        """True for a request metric without a statistic: it counts in goodput, and no stage is judged by it."""
        return self.stat is None and self.level == "request"

    @property
    def percentile(self) -> float | None:
        """95.0 for `…_p95`; else None."""
        return float(self.stat[1:]) if self.stat and self.stat.startswith("p") else None


def parse_objectives(given: Mapping[str, Any]) -> tuple[Objective, ...]:
    """The objectives of a run file. Raises FmloadError for the first that cannot be judged."""
    for name, wrong in broken(given):
        raise FmloadError(f"objectives.{name}: {wrong}")
    return tuple(_objective(str(name), limit) for name, limit in given.items())


def _objective(name: str, limit: Any) -> Objective:
    from fmload.metrics.definitions import METRICS

    if name not in METRICS and name.startswith("price_per_"):
        return Objective(name, name, None, _value(limit), "USD", "at most", "stage")
    match = None if name in METRICS else _NAME.fullmatch(name)
    metric = METRICS[match["metric"] if match else name]
    return Objective(name, metric.name, match["stat"] if match else None, _value(limit), metric.unit,
                     "at least" if metric.better == "higher" else "at most", metric.level)


def _value(limit: Any) -> float:
    """A limit in its metric's unit, from text with a unit, a share in percent, or a number."""
    if not isinstance(limit, str):
        return float(limit)
    return float(limit.strip().removesuffix("%")) / 100 if limit.strip().endswith("%") else parse_duration_s(limit)


def broken(objectives: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, what is wrong) of every objective that cannot be judged."""
    for name, limit in objectives.items():
        wrong = _wrong_name(str(name)) or _wrong_limit(str(name), limit)
        if wrong:
            yield str(name), wrong


def unsearchable(objectives: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, what is wrong) of every objective by which a search for the highest load cannot go."""
    for name, wrong in broken(objectives):
        yield name, wrong
    for name in objectives:
        if not next(broken({name: objectives[name]}), None) and not searchable({name: objectives[name]}):
            yield name, ("a search needs a limit that low loads meet: a percentile or mean of a latency, such as "
                         "ttft_p95, or error_rate")


def searchable(objectives: Any) -> tuple[Objective, ...]:
    """Those of the objectives by which a search can go: percentiles and means of latencies and of durations of
    sessions, and the error rate."""
    given = objectives if isinstance(objectives, Mapping) else {}
    sound = {name: limit for name, limit in given.items() if not next(broken({name: limit}), None)}
    return tuple(one for one in parse_objectives(sound) if one.bound == "at most" and (
        one.percentile is not None or (one.stat == "mean" and one.level in ("request", "session"))
        or one.name == "error_rate"))


RATES = ("requests_per_s", "output_tokens_per_s")


def statistic(name: str) -> Objective:
    """What a sound name such as ttft_p95 names; its limit is 0."""
    return _objective(name, 0)


def not_estimable(name: str) -> str | None:
    """Why a metric's confidence interval cannot be followed during a stage; None when it can."""
    if wrong := _wrong_name(name):
        return wrong
    found = statistic(name)
    followed = found.percentile is not None and found.level != "session"
    if name in RATES or followed or (found.stat == "mean" and found.level == "request"):
        return None
    return f"'{name}' has no interval to follow; give a percentile or mean, such as ttft_p95, or {' or '.join(RATES)}"


def not_of_requests(name: str) -> str | None:
    """Why a name is not that of a metric with one value a request; None when it is."""
    from fmload.metrics.definitions import of_level

    known = [metric.name for metric in of_level("request")]
    return None if name in known else f"'{name}' is none of {', '.join(known)}{did_you_mean(name, known)}"


def known_names() -> list[str]:
    """The names an objective can have, with the usual statistics."""
    from fmload.metrics.definitions import METRICS  # numpy: not before an objective is read

    names = [f"price_per_{what}" for what in _PRICES]
    for metric in METRICS.values():
        names += [] if metric.level == "stage" else [f"{metric.name}_{stat}" for stat in _STATS]
        names += [] if metric.level in ("token", "session") else [metric.name]
    return list(dict.fromkeys(names))


def _wrong_name(name: str) -> str | None:
    from fmload.metrics.definitions import METRICS

    match = _NAME.fullmatch(name)
    metric = METRICS.get(match["metric"]) if match else None
    if name in known_names() or (metric and match and match["stat"] and metric.level != "stage"):
        return None
    if name in METRICS:
        return f"say which statistic of {name}, for example {name}_p95"
    return f"unknown metric '{name}'{did_you_mean(name, known_names())}; 'fmload help metrics' lists them all"


def _wrong_limit(name: str, limit: Any) -> str | None:
    from fmload.metrics.definitions import METRICS

    match = _NAME.fullmatch(name)
    metric = METRICS.get(name) or METRICS.get(match["metric"] if match else "")
    if metric and metric.in_seconds:
        return _wrong_duration(limit)
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    share = isinstance(limit, str) and re.fullmatch(r"\d+(\.\d+)?\s*%", limit)
    return None if number or (share and metric and metric.unit == "share") else f"must be a number, not {limit!r}"


def _wrong_duration(limit: Any) -> str | None:
    if isinstance(limit, str):
        try:
            parse_duration_s(limit)
        except ValueError as error:
            return str(error)
        return None
    if limit == 0 and not isinstance(limit, bool):
        return None
    return f"{limit!r} has no unit; write a duration such as {limit}s or 500ms"
