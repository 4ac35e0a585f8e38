"""AIPerf's exports: `profile_export_aiperf.json` and `.csv` of all versions; each metric `{unit, avg, p50, …}`.

Its inter-token latency is `(E2E − TTFT) / (tokens − first chunk's tokens)` of each request: our TPOT.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from fmload_analysis.published.importers import triton_exports
from fmload_analysis.published.importers.aiperf_records import is_records, rows_of_records
from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping, sequence

NOTES = ("its inter-token latency is one value a request: our TPOT",
         "throughput is from the first request to the last response, ramp and tail included",
         "rates of 0.13 are over the whole phase, from start_time to end_time: longer than benchmark_duration")
_METRICS = {
    "time_to_first_token": "ttft", "ttft": "ttft", "inter_token_latency": "tpot", "request_latency": "e2e",
    "inter_chunk_latency": "icl", "output_sequence_length": "output_tokens", "input_sequence_length": "input_tokens",
    "output_token_throughput_per_user": "user_tokens_per_s"}
_SINGLE = {"output_token_throughput": "output_tokens_per_s", "goodput": "goodput_per_s",
           "total_token_throughput": "total_tokens_per_s", "input_token_throughput": "input_tokens_per_s",
           "error_request_count": "errors", "benchmark_duration": "duration_s", "request_count": "completed",
           "effective_concurrency": "achieved_concurrency", "total_osl": "output_tokens",
           "total_output_sequence_length": "output_tokens", "total_isl": "input_tokens",
           "total_input_sequence_length": "input_tokens"}
_TIMES = ("ttft", "tpot", "e2e", "icl")
_ENDS_APART_S = 0.1
_SAME_S, _SAME = 0.002, 0.001  # how far a phase may be from requests ÷ rate: its ends are told in µs
_IDLE_ARRIVALS = 10  # a phase may begin so many mean arrivals before its first request
Value = TypeVar("Value")
_WARMUPS = ("warmup", "warm_up")


class AIPerf:
    """Reads AIPerf's JSON, CSV and JSON lines."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields; GenAI-Perf writes the same ones beside its own run file's."""
        if source.is_json:
            return is_records(source.first) or (
                _is_export(source.first) and not triton_exports.is_genai_perf(source.first))
        return triton_exports.is_csv(source) and "Benchmark Duration" in source.text

    @staticmethod
    def read(source: Source) -> Published:
        """The file's one row; of records one a phase that is no warm-up."""
        if not source.is_json:
            rows = [_over_the_phase(triton_exports.csv_row(source, _METRICS, _SINGLE))]
        elif is_records(source.first):
            rows = rows_of_records(source)
        else:
            rows = [json_row(content, str(source.path)) for content in source.objects]
        return Published("aiperf", source.path, [_with_ends(row) for row in rows], NOTES)


def _with_ends(row: Row) -> Row:
    """Its duration and the window of its rates may end at different events of the last response (0.13: 16 ms apart)."""
    if "duration_s" not in row.figures or "first_to_last_s" in row.figures or row.requests:
        return row
    return replace(row, steps={**row.steps, "duration_s": _ENDS_APART_S})


def _over_the_phase(row: Row) -> Row:
    """A CSV does not tell its phase: where all its rates are over one that is a little longer than the benchmark, no
    duration is told for them."""
    seconds = row.figures.get("duration_s")
    spans = [row.figures[amount] / row.figures[rate] * by for amount, rate, by in (
        ("completed", "transactions_per_minute", 60.0), ("output_tokens", "output_tokens_per_s", 1.0),
        ("input_tokens", "input_tokens_per_s", 1.0)) if row.figures.get(rate) and row.figures.get(amount)]
    if seconds is None or len(spans) < 2 or max(spans) > min(spans) * 1.01:
        return row
    idle = min(spans) - seconds
    if not _ENDS_APART_S < idle <= _IDLE_ARRIVALS * min(spans) / max(row.figures.get("completed", 1.0), 1.0):
        return row
    return replace(row, figures=_renamed(row.figures), names=_renamed(row.names), steps=_renamed(row.steps),
                   scales=_renamed(row.scales))


def _renamed(held: Mapping[str, Value]) -> dict[str, Value]:
    return {("first_to_last_s" if name == "duration_s" else name): value for name, value in held.items()}


def _is_export(content: Mapping[str, Any]) -> bool:
    records = content.get("records")
    metrics = records if isinstance(records, dict) else content
    return any(isinstance(metrics.get(name), dict) and "unit" in metrics[name]
               for name in ("request_latency", "request_throughput", "time_to_first_token", "ttft"))


def json_row(content: Mapping[str, Any], where: str) -> Row:
    """The row of one export."""
    metrics = content["records"] if isinstance(content.get("records"), dict) else content
    figures = Figures(where)
    _phase(figures, content, metrics)
    for theirs, ours in _METRICS.items():
        metric = mapping(metrics.get(theirs), f"{where}: {theirs}")
        timed = bool(metric) and ours in _TIMES
        figures.stats(ours, metric, theirs, triton_exports.in_seconds(metric, f"{where}: {theirs}") if timed else 1.0)
    for theirs, ours in _SINGLE.items():
        metric = mapping(metrics.get(theirs), f"{where}: {theirs}")
        figures.put(ours, json_number(metric.get("avg"), f"{where}: {theirs}.avg"), theirs,
                    triton_exports.PER_SECOND.get(str(metric.get("unit")), 1.0))
    rate = mapping(metrics.get("request_throughput"), f"{where}: request_throughput")
    figures.put("transactions_per_minute", json_number(rate.get("avg"), f"{where}: request_throughput.avg"),
                "request_throughput", 60.0)
    if "completed" in figures.values:
        figures.put("errors", _errors(content, where), "error_summary")
    _load(figures, content.get("input_config") or {})
    return figures.row(endpoint=_model(content.get("input_config")), date=_date(content.get("start_time")))


def _phase(figures: Figures, content: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """The phase as the duration, where the rate is over it; the benchmark's own then goes by another name."""
    begun, ended = (_instant(content.get(name)) for name in ("start_time", "end_time"))
    count, rate, own = (json_number(mapping(metrics.get(name), f"{figures.where}: {name}").get("avg"),
                                    f"{figures.where}: {name}")
                        for name in ("request_count", "request_throughput", "benchmark_duration"))
    if begun is None or ended is None or not count or not rate or own is None:
        return
    unit, seconds = _unit_of(metrics.get("benchmark_duration")), ended - begun
    if _same(count / rate, seconds) and not _same(count / rate, own * unit):
        figures.put("duration_s", seconds, "end_time − start_time")
        figures.put("first_to_last_s", own, "benchmark_duration", unit)


def _same(seconds: float, other: float) -> bool:
    return abs(seconds - other) <= _SAME_S + _SAME * other


def _instant(text: Any) -> float | None:
    """An ISO instant as seconds; None where there is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None


def _unit_of(metric: Any) -> float:
    return triton_exports.PER_SECOND.get(str(metric.get("unit")), 1.0) if isinstance(metric, dict) else 1.0


def _errors(content: Mapping[str, Any], where: str) -> float | None:
    """The failures of `error_summary`; None where the file has no such list."""
    if not isinstance(content.get("error_summary"), list):
        return None
    counts = (json_number(mapping(entry, where).get("count"), f"{where}: error_summary")
              for entry in sequence(content["error_summary"], where))
    return sum(count or 0.0 for count in counts)


def _load(figures: Figures, config: Any) -> None:
    """Concurrency and rate of the profiling phase, or the first ones at any depth of older files."""
    phases = config.get("phases") if isinstance(config, dict) else None
    if isinstance(phases, list):
        config = next((phase for phase in phases if isinstance(phase, dict) and not _is_warmup(phase)), {})
    for name, ours in (("concurrency", "concurrency"), ("request_rate", "offered_per_s"), ("rate", "offered_per_s")):
        figures.put(ours, _first_number(config, name), name)


def _is_warmup(phase: Mapping[str, Any]) -> bool:
    kinds = (str(phase.get(key) or "").lower() for key in ("name", "kind", "phase"))
    return bool(phase.get("exclude_from_results")) or any(kind in _WARMUPS for kind in kinds)


def _first_number(config: Any, name: str) -> float | None:
    """The first positive number under a key of that name, at any depth; warm-ups left out."""
    if isinstance(config, dict):
        value = config.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            return float(value)
        config = [entry for key, entry in config.items() if key not in _WARMUPS]
    if isinstance(config, list):
        return next((found for found in (_first_number(entry, name) for entry in config) if found is not None), None)
    return None


def _model(config: Any) -> str | None:
    found = re.search(r"'(?:model_names|name)': \[?'([^']+)'", str(config)) if config else None
    return found[1] if found else None


def _date(text: Any) -> str | None:
    return text[:10] if isinstance(text, str) and re.match(r"\d{4}-\d\d-\d\d", text) else None


