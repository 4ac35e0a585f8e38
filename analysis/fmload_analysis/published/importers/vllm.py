"""`vllm bench serve --save-result` (and `sweep`): one JSON object a run, milliseconds, percentiles by
`--metric-percentiles`.

Its throughput is over the whole run, ramp and tail included; its ITL is one sample a chunk (our ICL).
"""

from __future__ import annotations

import re
from typing import Any

from fmload_analysis.published.importers.array_requests import laid_out, requests_of
from fmload_analysis.published.importers.arrays import recomputed
from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number
from fmload_analysis.published.rows.request import LAID_OUT

NOTES = ("throughput is over the whole run, its first and last requests included",
         "ITL is one sample a chunk: our ICL")
_METRICS = {"ttft": "ttft", "tpot": "tpot", "itl": "icl", "e2el": "e2e"}
_STAT = re.compile(r"(mean|median|std|p[\d.]+)_(ttft|tpot|itl|e2el)_ms")


class VLLM:
    """Reads the JSON of vLLM's serving benchmark."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        return any(_is_vllm(content) for content in source.objects)

    @staticmethod
    def read(source: Source) -> Published:
        """One row a JSON object: the file may hold one, an array of them, or one a line."""
        several = len(source.objects) > 1
        rows = [_row(content, f"{source.path}, object {at}" if several else str(source.path))
                for at, content in enumerate(source.objects, 1)]
        placed = any(row.requests and laid_out(content) for row, content in zip(rows, source.objects, strict=True))
        return Published("vllm", source.path, rows, (*NOTES, LAID_OUT) if placed else NOTES)


def _is_vllm(content: dict[str, Any]) -> bool:
    return ("request_throughput" in content and "hw" not in content and "random_range_ratio" not in content
            and any(_STAT.fullmatch(key) for key in content))


def _row(content: dict[str, Any], where: str) -> Row:
    figures = Figures(where)
    figures.take("concurrency", content, "max_concurrency")
    figures.take("offered_per_s", content, "request_rate")
    figures.take("burstiness", content, "burstiness")
    figures.take("requests", content, "num_prompts")
    figures.take("completed", content, "completed")
    figures.take("errors", content, "failed")
    figures.take("duration_s", content, "duration")
    figures.take("transactions_per_minute", content, "request_throughput", 60)
    for key in ("request_goodput", "request_goodput:"):
        figures.take("goodput_per_s", content, key)
    figures.take("input_tokens", content, "total_input_tokens")
    figures.take("output_tokens", content, "total_output_tokens")
    figures.take("output_tokens_per_s", content, "output_throughput")
    figures.take("total_tokens_per_s", content, "total_token_throughput")
    for key in content:
        found = _STAT.fullmatch(key)
        if found:
            stat = JSON_STATS.get(found[1], found[1])
            figures.take(f"{_METRICS[found[2]]}_{stat}", content, key, 1e-3)
    _no_rate_limit(figures, content)
    return figures.row(endpoint=content.get("model_id"), recomputed=recomputed(content, where),
                       requests=requests_of(content, where), date=_date(content.get("date")))


def _no_rate_limit(figures: Figures, content: dict[str, Any]) -> None:
    """A closed loop is as fast as the server; a rate given beside it is then the load, and the users its limit."""
    if json_number(content.get("request_rate"), "request_rate") is None:
        figures.values.pop("burstiness", None)


def _date(text: Any) -> str | None:
    """`20260428-095035` as an ISO date."""
    found = re.match(r"(\d{4})-?(\d\d)-?(\d\d)", str(text or ""))
    return "-".join(found.groups()) if found else None
