"""Objectives as the run file may name them: a metric with its statistic, a price, and a limit with its unit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fmload.registry import did_you_mean
from fmload.units import parse_duration_s

_NAME = re.compile(r"(?P<metric>.+?)(?:_(?P<stat>mean|min|max|p\d+(?:\.\d+)?))?")
_STATS = ("mean", "p50", "p90", "p95", "p99")
_PRICES = ("transaction", "token", "1m_input_tokens", "1m_output_tokens", "good_request", "1k_transactions",
           "10k_transactions", "1m_tokens")


def broken(objectives: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, what is wrong) of every objective that cannot be judged."""
    for name, limit in objectives.items():
        wrong = _wrong_name(str(name)) or _wrong_limit(str(name), limit)
        if wrong:
            yield str(name), wrong


def known_names() -> list[str]:
    """The names an objective can have, with the usual statistics."""
    from fmload.metrics import METRICS  # numpy: not before an objective is read

    names = [f"price_per_{what}" for what in _PRICES]
    for metric in METRICS.values():
        names += [] if metric.level == "stage" else [f"{metric.name}_{stat}" for stat in _STATS]
        names += [] if metric.level == "token" else [metric.name]
    return list(dict.fromkeys(names))


def _wrong_name(name: str) -> str | None:
    from fmload.metrics import METRICS

    match = _NAME.fullmatch(name)
    metric = METRICS.get(match["metric"]) if match else None
    if name in known_names() or (metric and match and match["stat"] and metric.level != "stage"):
        return None
    if name in METRICS:
        return f"say which statistic of {name}, for example {name}_p95"
    return f"unknown metric '{name}'{did_you_mean(name, known_names())}; docs/metrics.md lists them all"


def _wrong_limit(name: str, limit: Any) -> str | None:
    from fmload.metrics import METRICS

    match = _NAME.fullmatch(name)
    metric = METRICS.get(name) or METRICS.get(match["metric"] if match else "")
    if metric and metric.unit in ("s", "s/token"):
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
