"""llmeter's `stats.json`: run figures, and `<metric>-<statistic>` of each metric; seconds.

Its requests a minute count all requests, failed ones too; the time is of the whole test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source

NOTES = ("requests a minute count failed requests, too",)
_METRICS = {"time_to_last_token": "e2e", "time_to_first_token": "ttft", "time_per_output_token": "tpot",
            "num_tokens_output": "output_tokens", "num_tokens_input": "input_tokens"}


class LLMeter:
    """Reads llmeter's statistics."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        return source.is_json and "total_test_time" in source.first and any(
            key.startswith("time_to_last_token-") or key == "failed_requests" for key in source.first)

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        return Published("llmeter", source.path, [_row(content, str(source.path)) for content in source.objects], NOTES)


def _row(content: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    figures.take("concurrency", content, "clients")
    figures.take("requests", content, "total_requests")
    figures.take("errors", content, "failed_requests")
    figures.take("error_rate", content, "failed_requests_rate")
    figures.take("duration_s", content, "total_test_time")
    if not figures.values.get("errors"):
        figures.take("transactions_per_minute", content, "requests_per_minute")
    figures.take("input_tokens", content, "total_input_tokens")
    figures.take("output_tokens", content, "total_output_tokens")
    for key in content:
        metric, _, stat = key.rpartition("-")
        if metric in _METRICS and stat in JSON_STATS:
            figures.take(f"{_METRICS[metric]}_{JSON_STATS[stat]}", content, key)
    start = content.get("start_time")
    return figures.row(endpoint=content.get("model_id") or content.get("endpoint_name"),
                       date=start[:10] if isinstance(start, str) else None)
