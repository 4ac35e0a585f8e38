"""`vllm bench serve --save-result`: one JSON object a run, milliseconds, percentiles by `--metric-percentiles`.

Its throughput is over the whole run, ramp and tail included; its ITL is one sample a chunk (our ICL).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fmload.base.units import format_users
from fmload_analysis.published.importers.markdown_tables import known
from fmload_analysis.published.published import Published, Row

NOTES = ("throughput is over the whole run, its first and last requests included",
         "ITL is one sample a chunk: our ICL")
_METRICS = {"ttft": "ttft", "tpot": "tpot", "itl": "icl", "e2el": "e2e"}


class VLLM:
    """Reads the JSON of vLLM's (and SGLang's) serving benchmark."""

    @staticmethod
    def recognises(path: Path, text: str) -> bool:
        """By the names of its fields."""
        return "mean_ttft_ms" in text and "request_throughput" in text

    @staticmethod
    def read(path: Path, text: str) -> Published:
        """One row a JSON object; a file may hold one object or one a line."""
        try:
            contents = [json.loads(text)]
        except ValueError:
            contents = [json.loads(line) for line in text.split("\n") if line.strip()]
        return Published("vllm", path, [_row(content) for content in contents], NOTES)


def _row(content: dict[str, Any]) -> Row:
    completed, failed, seconds = content.get("completed"), content.get("failed"), content.get("duration")
    figures: dict[str, float | None] = {
        "concurrency": content.get("max_concurrency"), "requests": _total(completed, failed, content), "errors": failed,
        "transactions_per_minute": _times(content.get("request_throughput"), 60), "duration_s": seconds,
        "output_tokens_per_s": content.get("output_throughput"),
        "goodput_per_s": content.get("request_goodput"),
        "input_tokens_mean": _over(content.get("total_input_tokens"), completed),
        "output_tokens_mean": _over(content.get("total_output_tokens"), completed),
        "input_tokens_per_s": _over(content.get("total_input_tokens"), seconds),
    }
    for theirs, ours in _METRICS.items():
        for stat in ("mean", "median", "p50", "p90", "p95", "p99"):
            value = content.get(f"{stat}_{theirs}_ms")
            if value is not None:
                figures[f"{ours}_{'p50' if stat == 'median' else stat}"] = value / 1000
    concurrency = content.get("max_concurrency")
    label = format_users(concurrency) if concurrency else f"{content.get('request_rate', '?')} requests/s"
    return Row(label, known(figures), endpoint=content.get("model_id"))


def _total(completed: float | None, failed: float | None, content: dict[str, Any]) -> float | None:
    if completed is not None and failed is not None:
        return completed + failed
    return content.get("num_prompts")


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _over(value: float | None, divisor: float | None) -> float | None:
    return value / divisor if value is not None and divisor else None
