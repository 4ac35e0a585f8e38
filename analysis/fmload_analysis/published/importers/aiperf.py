"""AIPerf (and GenAI-Perf) `profile_export_aiperf.json`: one row a file; each metric `{unit, avg, p50, …}`.

Its inter-token latency is `(E2E − TTFT) / (tokens − first chunk's tokens)` of each request: our TPOT.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fmload.base.units import format_users
from fmload_analysis.published.importers.markdown_tables import known
from fmload_analysis.published.published import Published, Row

NOTES = ("its inter-token latency is one value a request: our TPOT",
         "throughput is from the first request to the last response, ramp and tail included")
_METRICS = {
    "time_to_first_token": "ttft", "inter_token_latency": "tpot", "request_latency": "e2e",
    "inter_chunk_latency": "icl", "output_sequence_length": "output_tokens", "input_sequence_length": "input_tokens"}
_SINGLE = {"output_token_throughput": "output_tokens_per_s", "goodput": "goodput_per_s",
           "error_request_count": "errors", "benchmark_duration": "duration_s",
           "effective_concurrency": "achieved_concurrency"}
_PER_SECOND = {"s": 1.0, "sec": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


class AIPerf:
    """Reads AIPerf's JSON export."""

    @staticmethod
    def recognises(path: Path, text: str) -> bool:
        """By the names of its fields."""
        return '"time_to_first_token"' in text and '"request_throughput"' in text

    @staticmethod
    def read(path: Path, text: str) -> Published:
        """The file's one row."""
        content = json.loads(text)
        metrics = content["records"] if isinstance(content.get("records"), dict) else content
        return Published("aiperf", path, [_row(metrics, content)], NOTES)


def _row(metrics: dict[str, Any], content: dict[str, Any]) -> Row:
    figures: dict[str, float | None] = {
        f"{ours}_{stat}": _seconds(metrics.get(theirs), key) for theirs, ours in _METRICS.items()
        for stat, key in (("mean", "avg"), ("p50", "p50"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"))}
    figures |= {ours: _seconds(metrics.get(theirs), "avg") for theirs, ours in _SINGLE.items()}
    rate, good = _seconds(metrics.get("request_throughput"), "avg"), _seconds(metrics.get("request_count"), "avg")
    figures["transactions_per_minute"] = None if rate is None else rate * 60
    figures["requests"] = None if good is None else good + (figures["errors"] or 0.0)
    figures["concurrency"] = _concurrency(content.get("input_config") or {})
    told = known(figures)
    return Row(format_users(told['concurrency']) if "concurrency" in told else "run", told)


def _seconds(metric: dict[str, Any] | None, key: str) -> float | None:
    """A metric's statistic; times in seconds whatever their unit."""
    value = metric.get(key) if metric else None
    return None if value is None or metric is None else value * _PER_SECOND.get(str(metric.get("unit")), 1.0)


def _concurrency(config: Any) -> float | None:
    """The first number under a key `concurrency`, at any depth."""
    if isinstance(config, dict):
        value = config.get("concurrency")
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        config = list(config.values())
    if isinstance(config, list):
        return next((found for found in map(_concurrency, config) if found is not None), None)
    return None
