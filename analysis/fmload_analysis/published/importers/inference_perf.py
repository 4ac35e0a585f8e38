"""inference-perf's `stage_N_lifecycle_metrics.json` and `summary_lifecycle_metrics.json`; seconds.

Its TPOT is `(last − first token) / (tokens − 1)`; its ITL is one sample a chunk (our ICL).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping, numbers
from fmload_analysis.published.rows.request import Request
from fmload_analysis.published.rows.requests import row_of

NOTES = ("ITL is one sample a chunk: our ICL", "throughput is from the first request to the last response of the stage")
_LATENCIES = {"request_latency": "e2e", "time_to_first_token": "ttft", "time_per_output_token": "tpot",
              "inter_token_latency": "icl", "normalized_time_per_output_token": "normalized_tpot"}
_STAGE = re.compile(r"stage_(\d+)")


class InferencePerf:
    """Reads inference-perf's lifecycle metrics."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By its three blocks, or the instants of each request."""
        return source.is_json and (is_records(source.first) or (
            "load_summary" in source.first and "successes" in source.first))

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row."""
        if source.is_json and is_records(source.first):
            rows = [row_of(requests, f"stage {stage}") for stage, requests in _by_stage(source).items()]
        else:
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
    for theirs, ours in (("prompt_len", "input_tokens"), ("prompt_tokens", "input_tokens"),
                         ("output_len", "output_tokens"), ("output_tokens", "output_tokens")):
        found = good.get(theirs)
        if isinstance(found, dict):  # a total beside the statistics since 0.7
            figures.stats(ours, found, theirs)
            figures.put(ours, json_number(found.get("total"), f"{where}: {theirs}.total"), f"{theirs}.total")
    _by_chunk(figures)
    named = _STAGE.search(source.path.name)
    label = figures.load() if figures.load() != "run" else "summary" if "summary" in source.path.name else (
        f"stage {named[1]}" if named else "run")
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


def is_records(content: Mapping[str, Any]) -> bool:
    """Whether an object is a request of `per_request_lifecycle_metrics.json`."""
    return "start_time" in content and "end_time" in content and isinstance(content.get("info"), dict)


def _by_stage(source: Source) -> dict[int, list[Request]]:
    stages: dict[int, list[Request]] = {}
    for at, content in enumerate(source.objects):
        where = f"{source.path}[{at}]"
        stage = json_number(content.get("stage_id"), f"{where}: stage_id")
        stages.setdefault(int(stage or 0), []).append(_request(content, where))
    return stages


def _request(content: Mapping[str, Any], where: str) -> Request:
    """Instants of a monotonic clock, in seconds; chunks with their times."""
    info = mapping(content.get("info"), f"{where}: info")
    answer = mapping(info.get("response_metrics"), f"{where}: response_metrics") or info
    stamps = numbers(answer.get("output_token_times"), f"{where}: output_token_times")
    send = json_number(content.get("start_time"), f"{where}: start_time")
    return Request(
        send_s=send or 0.0, scheduled_s=json_number(content.get("scheduled_time"), f"{where}: scheduled_time"),
        first_s=stamps[0] if stamps else None, last_s=stamps[-1] if stamps else None,
        end_s=json_number(content.get("end_time"), f"{where}: end_time"),
        input_tokens=json_number(info.get("input_tokens"), f"{where}: input_tokens"),
        output_tokens=json_number(answer.get("output_tokens"), f"{where}: output_tokens"),
        gaps_s=tuple(later - earlier for earlier, later in pairwise(stamps)),
        error=_error(content.get("error")), counted_by="tokenizer")


def _error(error: Any) -> str | None:
    if not error:
        return None
    return str(error.get("error_type") or "error") if isinstance(error, dict) else str(error)
