"""inference-perf's `stage_N_lifecycle_metrics.json` and `summary_lifecycle_metrics.json`; seconds.

Its TPOT is `(last − first token) / (tokens − 1)`; its ITL is one sample a chunk (our ICL).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, mapping

NOTES = ("ITL is one sample a chunk: our ICL", "throughput is from the first request to the last response of the stage")
_LATENCIES = {"request_latency": "e2e", "time_to_first_token": "ttft", "time_per_output_token": "tpot",
              "inter_token_latency": "icl", "normalized_time_per_output_token": "normalized_tpot"}
_STAGE = re.compile(r"stage_(\d+)")


class InferencePerf:
    """Reads inference-perf's lifecycle metrics."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By its three blocks."""
        return source.is_json and "load_summary" in source.first and "successes" in source.first

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        rows = [_row(content, source) for content in source.objects]
        return Published("inference-perf", source.path, rows, NOTES)


def _row(content: Mapping[str, Any], source: Source) -> Row:
    where = str(source.path)
    figures = Figures(where)
    load, good, bad = (mapping(content.get(name), f"{where}: {name}") for name in (
        "load_summary", "successes", "failures"))
    figures.take("requests", load, "count")
    figures.take("completed", good, "count")
    figures.take("errors", bad, "count")
    figures.take("offered_per_s", load, "requested_rate")
    figures.take("sent_per_s", load, "achieved_rate")
    figures.take("sending_s", load, "send_duration")
    figures.take("concurrency", load, "concurrency")
    figures.take("duration_s", content, "benchmark_time_seconds")
    latencies = mapping(good.get("latency"), f"{where}: successes.latency")
    for theirs, ours in _LATENCIES.items():
        figures.stats(ours, mapping(latencies.get(theirs), f"{where}: {theirs}"), theirs)
    rates = mapping(good.get("throughput"), f"{where}: successes.throughput")
    figures.take("transactions_per_minute", rates, "requests_per_sec", 60)
    figures.take("output_tokens_per_s", rates, "output_tokens_per_sec")
    figures.take("input_tokens_per_s", rates, "input_tokens_per_sec")
    figures.take("total_tokens_per_s", rates, "total_tokens_per_sec")
    for theirs, ours in (("prompt_len", "input_tokens"), ("output_len", "output_tokens")):
        figures.stats(ours, mapping(good.get(theirs), f"{where}: {theirs}"), theirs)
    _by_chunk(figures)
    found = _STAGE.search(source.path.name)
    label = figures.load() if figures.load() != "run" else "summary" if "summary" in source.path.name else (
        f"stage {found[1]}" if found else "run")
    return figures.row(label)


def _by_chunk(figures: Figures) -> None:
    """A TPOT whose mean is that of the chunk gaps is one by chunks, in servers that send several of them a token."""
    each, gap = figures.values.get("tpot_mean"), figures.values.get("icl_mean")
    if each is None or gap is None or abs(each - gap) > 0.1 * gap:
        return
    last, first, tokens, whole = (figures.values.get(name, 0.0) for name in (
        "e2e_mean", "ttft_mean", "output_tokens_mean", "normalized_tpot_mean"))
    if abs(whole * tokens - last) > 0.15 * last:
        return  # which of E2E and tokens is wrong is for the audit to tell
    if abs(each * (tokens - 1) - (last - first)) <= 0.05 * last:
        return
    for name in [name for name in figures.values if name.startswith("tpot_")]:
        figures.values[f"chunk_{name}"] = figures.values.pop(name)
        figures.names[f"chunk_{name}"] = figures.names.pop(name)
