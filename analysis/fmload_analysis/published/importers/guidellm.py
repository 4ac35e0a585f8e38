"""GuideLLM's benchmarks.json: one row a benchmark, of its successful requests.

Its TPOT counts the first token's wait (`(t_L − t_send) / N`); its ITL is `(t_L − t_1) / (N − 1)` per request: our TPOT.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fmload.base.units import format_users
from fmload_analysis.published.importers.markdown_tables import known
from fmload_analysis.published.published import Published, Row

NOTES = ("its ITL is (last − first token) ÷ (tokens − 1) of each request: our TPOT",
         "its TPOT counts the wait for the first token, and is left out")
_METRICS = {  # theirs: ours, and what divides it
    "time_to_first_token_ms": ("ttft", 1000), "inter_token_latency_ms": ("tpot", 1000), "request_latency": ("e2e", 1),
    "prompt_token_count": ("input_tokens", 1), "output_token_count": ("output_tokens", 1)}


class GuideLLM:
    """Reads GuideLLM's JSON report."""

    @staticmethod
    def recognises(path: Path, text: str) -> bool:
        """By the names of its fields."""
        return '"benchmarks"' in text and "time_to_first_token_ms" in text

    @staticmethod
    def read(path: Path, text: str) -> Published:
        """One row a benchmark."""
        return Published("guidellm", path, [_row(found) for found in json.loads(text)["benchmarks"]], NOTES)


def _row(benchmark: dict[str, Any]) -> Row:
    metrics = benchmark["metrics"]
    totals = metrics.get("request_totals") or {}
    good, bad = totals.get("successful"), totals.get("errored")
    figures: dict[str, float | None] = {
        "achieved_concurrency": _mean(metrics, "request_concurrency"), "errors": bad,
        "requests": good + bad if good is not None and bad is not None else None,
        "transactions_per_minute": _per_minute(_mean(metrics, "requests_per_second")),
        "output_tokens_per_s": _mean(metrics, "output_tokens_per_second"), "concurrency": _streams(benchmark)}
    for theirs, (ours, scale) in _METRICS.items():
        summary = (metrics.get(theirs) or {}).get("successful") or {}
        found = {"mean": summary.get("mean"), **{p: (summary.get("percentiles") or {}).get(p)
                                                 for p in ("p50", "p90", "p95", "p99")}}
        figures |= {f"{ours}_{stat}": value / scale for stat, value in found.items() if value is not None}
    told = known(figures)
    users = told.get("concurrency") or told.get("achieved_concurrency")
    return Row(format_users(users) if users else str(_strategy(benchmark).get("type_", "benchmark")), told)


def _strategy(benchmark: dict[str, Any]) -> dict[str, Any]:
    holder = benchmark.get("config") or benchmark.get("scheduler") or benchmark.get("args") or {}
    strategy = holder.get("strategy") if isinstance(holder, dict) else None
    return strategy if isinstance(strategy, dict) else {}


def _streams(benchmark: dict[str, Any]) -> float | None:
    strategy = _strategy(benchmark)
    streams = strategy.get("streams")
    return float(streams) if streams else 1.0 if strategy.get("type_") == "synchronous" else None


def _mean(metrics: dict[str, Any], name: str) -> float | None:
    value: float | None = ((metrics.get(name) or {}).get("successful") or {}).get("mean")
    return value


def _per_minute(value: float | None) -> float | None:
    return None if value is None else value * 60
