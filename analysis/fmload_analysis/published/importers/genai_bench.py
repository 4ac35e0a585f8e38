"""genai-bench's JSON, a file a level: `aggregated_metrics`, and beside them each request's.

With warm-up or cool-down shares its tokens are of the middle requests, its duration of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping, sequence

NOTES = ("with warm-up or cool-down shares, throughput is of the middle requests over the duration of all",)
_METRICS = {"ttft": "ttft", "tpot": "tpot", "e2e_latency": "e2e", "num_input_tokens": "input_tokens",
            "num_output_tokens": "output_tokens", "output_inference_speed": "request_tokens_per_s"}
_TIMES = ("ttft", "tpot", "e2e_latency")


class GenAIBench:
    """Reads genai-bench's results."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By its block of aggregates."""
        return source.is_json and "aggregated_metrics" in source.first

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        rows = [_row(content, str(source.path)) for content in source.objects]
        return Published("genai-bench", source.path, rows, NOTES)


def _row(content: Mapping[str, Any], where: str) -> Row:
    found = mapping(content.get("aggregated_metrics"), f"{where}: aggregated_metrics")
    scale = 1e-3 if content.get("_time_unit") == "ms" else 1.0
    figures = Figures(where)
    figures.take("concurrency", found, "num_concurrency")
    figures.take("requests", found, "num_requests")
    figures.take("completed", found, "num_completed_requests")
    figures.take("errors", found, "num_error_requests")
    figures.take("error_rate", found, "error_rate")
    figures.take("duration_s", found, "run_duration")
    figures.take("transactions_per_minute", found, "requests_per_second", 60)
    figures.take("output_tokens_per_s", found, "mean_output_throughput_tokens_per_s")
    figures.take("input_tokens_per_s", found, "mean_input_throughput_tokens_per_s")
    figures.take("total_tokens_per_s", found, "mean_total_tokens_throughput_tokens_per_s")
    stats = mapping(found.get("stats"), f"{where}: stats")
    for theirs, ours in _METRICS.items():
        figures.stats(ours, mapping(stats.get(theirs), f"{where}: {theirs}"), theirs,
                      scale if theirs in _TIMES else 1.0)
    figures.put("output_tokens", figures.values.get("output_tokens_sum"), "num_output_tokens.sum")
    figures.put("input_tokens", figures.values.get("input_tokens_sum"), "num_input_tokens.sum")
    figures.put("tpot_left_out", _without_tpot(content, where) or None, "individual_request_metrics")
    return figures.row(prompt_set=found.get("scenario"), recomputed=_recomputed(content, where, scale))


def _without_tpot(content: Mapping[str, Any], where: str) -> int:
    """Requests that are in the mean of TTFT and not in that of TPOT: the tool drops what came too fast to be true,
    which is what a busy client reads in one go."""
    requests = [mapping(one, where) for one in sequence(content.get("individual_request_metrics"), where)]
    return sum(one.get("ttft") is not None and one.get("tpot") is None and (one.get("num_output_tokens") or 0) != 1
               for one in requests if not one.get("error_code"))


def _recomputed(content: Mapping[str, Any], where: str, scale: float) -> dict[str, float]:
    """Means of the requests that stand in the file, where none was left out as warm-up."""
    requests = [mapping(one, where) for one in sequence(content.get("individual_request_metrics"), where)]
    good = [one for one in requests if not one.get("error_code")]
    count = mapping(mapping(content.get("aggregated_metrics"), where).get("stats"), where).get("ttft")
    found: dict[str, float] = {}
    for theirs, ours in _METRICS.items():
        values = [json_number(one.get(theirs), f"{where}: {theirs}") for one in good]
        known = np.array([value for value in values if value is not None])
        if len(known) and isinstance(count, dict):
            by = scale if theirs in _TIMES else 1.0
            found |= {f"{ours}_mean": float(known.mean() * by), f"{ours}_p50": float(np.median(known) * by),
                      f"{ours}_sum": float(known.sum() * by)}
    total = mapping(mapping(mapping(content.get("aggregated_metrics"), where).get("stats"), where).get(
        "num_output_tokens"), where).get("sum")
    told = json_number(total, f"{where}: num_output_tokens.sum")
    whole = found.get("output_tokens_sum")
    return found if told is None or whole is None or abs(told - whole) < 1e-6 * whole else {}
