"""GuideLLM's reports (JSON and YAML of 0.2 to 0.8, CSV): one row a benchmark, of its successful requests.

Its TPOT counts the first token's wait (`(t_L − t_send) / N`); its ITL is `(t_L − t_1) / (N − 1)` per request: our TPOT.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fmload_analysis.published.importers.guidellm_requests import requests_of
from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping, sequence

NOTES = ("its ITL is (last − first token) ÷ (tokens − 1) of each request: our TPOT",
         "its TPOT counts the wait for the first token, and is left out",
         "requests that were not finished when the run ended are no failures",
         "what ends after a run's time is up counts in some of its rates, and in others not")
_WEAK = {"transactions_per_minute": "GuideLLM's request rate is (n − 1) ÷ duration, or n ÷ another window"}
_METRICS = {  # theirs: ours, and what it is multiplied by
    "time_to_first_token_ms": ("ttft", 1e-3), "inter_token_latency_ms": ("tpot", 1e-3), "request_latency": ("e2e", 1.0),
    "prompt_token_count": ("input_tokens", 1.0), "output_token_count": ("output_tokens", 1.0),
    "total_token_count": ("total_tokens", 1.0), "time_per_output_token_ms": ("tpot_with_ttft", 1e-3)}
_RATES = {"requests_per_second": ("transactions_per_minute", 60.0), "output_tokens_per_second":
          ("output_tokens_per_s", 1.0), "tokens_per_second": ("total_tokens_per_s", 1.0),
          "prompt_tokens_per_second": ("input_tokens_per_s", 1.0), "request_concurrency": ("achieved_concurrency", 1.0)}
_CSV = {"Request Latency": ("e2e", 1.0), "Time to First Token": ("ttft", 1e-3), "Inter Token Latency": ("tpot", 1e-3),
        "Time per Output Token": ("tpot_with_ttft", 1e-3)}
_CSV_PERCENTILES = ("min", "p0.1", "p1", "p5", "p10", "p25", "p75", "p90", "p95", "p99", "max")
_BENCHMARKS = re.compile(r"^benchmarks:", re.MULTILINE)
_STREAMS = re.compile(r"(?:streams|max_concurrency)['\"]?[=:]\s*(\d+)|concurrent@(\d+)")


class GuideLLM:
    """Reads GuideLLM's reports."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        if source.is_json:
            return any("benchmarks" in content for content in source.objects)
        head = source.text[:20_000]
        if "time_to_first_token_ms:" in source.text and _BENCHMARKS.search(source.text):
            return True
        return "Successful Requests" in head or ("Run Info" in head and "Request Latency" in head)

    @staticmethod
    def read(source: Source) -> Published:
        """One row a benchmark."""
        if source.is_json:
            rows = [row for content in source.objects for row in _rows(content, str(source.path))]
        elif _BENCHMARKS.search(source.text):
            rows = _rows(mapping(source.yaml, str(source.path)), str(source.path))
        else:
            rows = _of_csv(source)
        return Published("guidellm", source.path, rows, NOTES, _WEAK, loose=True, edges=True)


def _rows(content: Mapping[str, Any], where: str) -> list[Row]:
    benchmarks = sequence(content.get("benchmarks"), f"{where}: benchmarks")
    return [_row(mapping(found, f"{where}: benchmarks[{at}]"), f"{where}: benchmarks[{at}]")
            for at, found in enumerate(benchmarks)]


def _row(benchmark: Mapping[str, Any], where: str) -> Row:
    metrics = mapping(benchmark.get("metrics"), f"{where}.metrics")
    figures = Figures(where)
    strategy = _strategy(benchmark)
    kind = strategy.get("type_")
    if kind == "synchronous":
        figures.put("concurrency", 1.0)
    figures.take("concurrency", strategy, "streams")
    figures.take("offered_per_s", strategy, "rate") if kind in ("constant", "poisson", "async") else None
    _counts(figures, benchmark, metrics, where)
    for theirs, (ours, scale) in _METRICS.items():
        _summary(figures, metrics, theirs, ours, scale)
    for theirs, (ours, scale) in _RATES.items():
        successful = mapping(mapping(metrics.get(theirs), f"{where}.{theirs}").get("successful"), where)
        figures.put(ours, json_number(successful.get("mean"), f"{where}.{theirs}.mean"), theirs, scale)
    figures.put("output_tokens", figures.values.get("output_tokens_sum"), "output_token_count.total_sum")
    figures.put("input_tokens", figures.values.get("input_tokens_sum"), "prompt_token_count.total_sum")
    if not figures.values.get("incomplete"):
        figures.take("duration_s", benchmark, "duration")
    label = figures.load() if "concurrency" in figures.values or "offered_per_s" in figures.values else (
        f"{kind or 'benchmark'}, {figures.load()}")
    return figures.row(label, requests=requests_of(benchmark, where), date=_date(
        json_number(benchmark.get("start_time"), f"{where}.start_time")))


def _counts(figures: Figures, benchmark: Mapping[str, Any], metrics: Mapping[str, Any], where: str) -> None:
    """Beside `metrics` up to 0.3, within them since; in the run's statistics, too."""
    state = mapping(benchmark.get("run_stats") or benchmark.get("scheduler_metrics"), where)
    for totals in (metrics.get("request_totals"), benchmark.get("request_totals"), state.get("requests_made")):
        found = mapping(totals, f"{where}.request_totals")
        figures.take("completed", found, "successful")
        figures.take("errors", found, "errored")
        figures.take("incomplete", found, "incomplete")
        figures.take("requests_made", found, "total")


def _summary(figures: Figures, metrics: Mapping[str, Any], theirs: str, ours: str, scale: float) -> None:
    where = f"{figures.where}.{theirs}"
    successful = mapping(mapping(metrics.get(theirs), where).get("successful"), where)
    if not json_number(successful.get("count"), f"{where}.count") and "count" in successful:
        return
    percentiles = mapping(successful.get("percentiles"), where)
    figures.stats(ours, percentiles, theirs, scale)
    figures.stats(ours, {key: value for key, value in successful.items() if key != "median"}, theirs, scale)
    name = f"{ours}_median" if f"{ours}_p50" in figures.values else f"{ours}_p50"
    figures.put(name, json_number(successful.get("median"), f"{where}.median"), f"{theirs}.median", scale)


def _strategy(benchmark: Mapping[str, Any]) -> Mapping[str, Any]:
    holder = benchmark.get("config") or benchmark.get("scheduler") or benchmark.get("args") or {}
    strategy = holder.get("strategy") if isinstance(holder, dict) else None
    return strategy if isinstance(strategy, dict) else {}


def _date(seconds: float | None) -> str | None:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat() if seconds and 0 < seconds < 1e11 else None


def _of_csv(source: Source) -> list[Row]:
    """Up to three header lines above each other: group, field, unit or statistic; older files have one."""
    table = [row for part in source.tables for row in part]
    depth = 3 if len(table) > 3 and table[0].count("Request Latency") > 1 else 1
    heads = [tuple(row[at] if at < len(row) else "" for row in table[:depth]) for at in range(len(table[0]))]
    return [_csv_row(dict(zip(heads, cells, strict=False)), f"{source.path}, line {at}")
            for at, cells in enumerate(table[depth:], depth + 1)]


def _csv_row(cells: Mapping[tuple[str, ...], str], where: str) -> Row:
    figures = Figures(where)
    for head, cell in cells.items():
        _csv_cell(figures, head, cell)
    strategies = (cell for head, cell in cells.items() if "Strategy" in head or "Name" in head)
    found = _STREAMS.search(" ".join(strategies))
    if found:
        figures.put("concurrency", float(found[1] or found[2]))
    return figures.row()


def _csv_cell(figures: Figures, head: tuple[str, ...], cell: str) -> None:
    name = " ".join(part for part in head if part)
    simple = {"Request Counts Successful": "completed", "Request Counts Errored": "errors",
              "Request Counts Incomplete": "incomplete", "Request Counts Total": "requests_made",
              "Timings Duration Sec": "duration_s", "Duration": "duration_s",
              "Successful Requests": "completed", "Errored Requests": "errors", "Incomplete Requests": "incomplete",
              "Server Throughput Successful Concurrency Mean": "achieved_concurrency",
              "Token Throughput Successful Output Tokens/Sec Mean": "output_tokens_per_s",
              "Token Throughput Successful Total Tokens/Sec Mean": "total_tokens_per_s",
              "Token Throughput Successful Input Tokens/Sec Mean": "input_tokens_per_s"}
    if name in simple:
        figures.cell(simple[name], cell, name)
    if name in ("Server Throughput Successful Requests/Sec Mean", "Successful Requests Per Second mean"):
        figures.cell("transactions_per_minute", cell, name, 60.0)
    for group, (ours, scale) in _CSV.items():
        if head[0] == group and len(head) > 2 and head[1].startswith("Successful"):
            _csv_stat(figures, ours, head[2], cell, name, scale)
    lengths = {"Successful Input Tokens": "input_tokens", "Successful Output Tokens": "output_tokens"}
    if head[0] == "Token Metrics" and len(head) > 2 and head[1] in lengths:
        _csv_stat(figures, lengths[head[1]], head[2], cell, name, 1.0)
    _old_cell(figures, name, cell)


def _csv_stat(figures: Figures, ours: str, stat: str, cell: str, name: str, scale: float) -> None:
    single = {"Mean": "mean", "Median": "p50", "Std Dev": "std"}
    if stat in single:
        figures.cell(f"{ours}_{single[stat]}", cell, name, scale)
    elif stat == "Percentiles" and cell.startswith("["):
        try:
            values = json.loads(cell)
        except ValueError:
            return
        for percentile, value in zip(_CSV_PERCENTILES, sequence(values, f"{figures.where}: {name}"), strict=False):
            figures.put(f"{ours}_{percentile}", json_number(value, f"{figures.where}: {name}"), name, scale)


_OLD = re.compile(r"Successful (?P<what>.+?) (?P<stat>mean|median|std dev|\[.*)$")
_OLD_NAMES = {"Request latency": ("e2e", 1.0), "Time to first token ms": ("ttft", 1e-3), "Prompt token count":
              ("input_tokens", 1.0), "Output token count": ("output_tokens", 1.0), "Inter token latency ms":
              ("tpot", 1e-3)}
_OLD_RATES = {"Requests per second": ("transactions_per_minute", 60.0), "Request concurrency":
              ("achieved_concurrency", 1.0), "Output tokens per second": ("output_tokens_per_s", 1.0)}


def _old_cell(figures: Figures, name: str, cell: str) -> None:
    """Columns of 0.2 and 0.3: `Successful Request latency mean`."""
    found = _OLD.match(name)
    if not found:
        return
    if found["what"] in _OLD_RATES and found["stat"] == "mean":
        ours, scale = _OLD_RATES[found["what"]]
        figures.cell(ours, cell, name, scale)
    elif found["what"] in _OLD_NAMES:
        ours, scale = _OLD_NAMES[found["what"]]
        stat = {"mean": "Mean", "median": "Median", "std dev": "Std Dev"}.get(found["stat"], "Percentiles")
        _csv_stat(figures, ours, stat, cell, name, scale)
