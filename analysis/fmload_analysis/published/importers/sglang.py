"""SGLang's `bench_serving --output-file`: one JSON object a line and run, old ones with fewer figures.

Its E2E latency goes to the end of the stream; its ITL is one sample a chunk (our ICL); `concurrency` is the sum of the
latencies over the duration.
"""

from __future__ import annotations

import re
from typing import Any

from fmload_analysis.published.importers.array_requests import requests_of
from fmload_analysis.published.importers.arrays import recomputed
from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source
from fmload_analysis.published.rows.request import LAID_OUT

NOTES = ("throughput is over the whole run, its first and last requests included",
         "ITL is one sample a chunk: our ICL", "E2E latency goes to the end of the stream")
_METRICS = {"ttft": "ttft", "tpot": "tpot", "itl": "icl", "e2e_latency": "e2e"}
_STAT = re.compile(r"(mean|median|std|max|p[\d.]+)_(ttft|tpot|itl|e2e_latency)_ms")
_TOTALS = {"duration_s": "duration", "completed": "completed", "input_tokens": "total_input_tokens",
           "output_tokens": "total_output_tokens", "output_tokens_per_s": "output_throughput",
           "input_tokens_per_s": "input_throughput", "total_tokens_per_s": "total_throughput",
           "achieved_concurrency": "concurrency", "goodput_per_s": "goodput"}


class SGLang:
    """Reads the JSON lines of SGLang's serving benchmark."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        return any(_is_sglang(content) for content in source.objects)

    @staticmethod
    def read(source: Source) -> Published:
        """One row a line."""
        rows = [_row(content, f"{source.path}, line {at}") for at, content in enumerate(source.objects, 1)]
        placed = any(row.requests for row in rows)
        return Published("sglang", source.path, rows, (*NOTES, LAID_OUT) if placed else NOTES)


def _is_sglang(content: dict[str, Any]) -> bool:
    return "random_range_ratio" in content or "mean_e2e_latency_ms" in content or "sharegpt_output_len" in content


def _row(content: dict[str, Any], where: str) -> Row:
    figures = Figures(where)
    figures.take("concurrency", content, "max_concurrency")
    figures.take("offered_per_s", content, "request_rate")
    figures.take("transactions_per_minute", content, "request_throughput", 60)
    for ours, theirs in _TOTALS.items():
        if not isinstance(content.get(theirs), dict | list):
            figures.take(ours, content, theirs)
    if str(content.get("dataset_name", "")).startswith("random"):
        figures.take("max_output_tokens", content, "random_output_len")
    for key in content:
        found = _STAT.fullmatch(key)
        if found:
            figures.take(f"{_METRICS[found[2]]}_{JSON_STATS.get(found[1], found[1])}", content, key, 1e-3)
    data = content.get("dataset_name")
    return figures.row(_label(figures, content), endpoint=content.get("tag") or content.get("backend"),
                       prompt_set=data if isinstance(data, str) else None, recomputed=recomputed(content, where),
                       requests=requests_of(content, where))


def _label(figures: Figures, content: dict[str, Any]) -> str:
    data = content.get("dataset_name")
    return f"{figures.load()} {data}" if isinstance(data, str) and data else figures.load()
