"""llmperf: individual responses, summaries, the CSV and JSON of its forks, and the Inferentia fork's Markdown table.

Its inter-token latency counts TTFT as the first gap, so that ITL × tokens = E2E; its throughput of a request is chunks
(or tokens) ÷ E2E. Its quantiles interpolate, its standard deviation has n − 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pandas as pd

from fmload.base.errors import FmloadError
from fmload_analysis.published.importers.markdown_tables import tables
from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, json_number, mapping

NOTES = ("inter-token latency counts TTFT as a gap: it is E2E ÷ output tokens",
         "input tokens are the number asked for, output tokens a count by another model's tokenizer")
_WEAK = {"output_tokens_per_s": "requests a minute × output tokens ÷ 60; the table's row is a median request's speed × "
                                "users",
         "concurrency": "so many were in flight, by throughput × latency"}
METRICS = ("inter_token_latency_s", "ttft_s", "end_to_end_latency_s", "request_output_throughput_token_per_s",
           "number_input_tokens", "number_output_tokens")
_QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_SUMMARY_STATS = {"mean": "mean", "min": "min", "max": "max", "stddev": "std",
                  **{f"quantiles_p{p}": f"p{p}" for p in (25, 50, 75, 90, 95, 99)}}
_OURS = {"inter_token_latency_s": "itl_with_ttft", "ttft_s": "ttft", "end_to_end_latency_s": "e2e",
         "request_output_throughput_token_per_s": "request_tokens_per_s", "number_input_tokens": "input_tokens",
         "number_output_tokens": "output_tokens"}
_SINGLE = {"results_number_errors": ("errors", 1.0), "results_num_requests_started": ("requests", 1.0),
           "results_error_rate": ("error_rate", 1.0), "results_num_completed_requests": ("completed", 1.0),
           "results_mean_output_throughput_token_per_s": ("output_tokens_per_s", 1.0),
           "results_num_completed_requests_per_min": ("transactions_per_minute", 1.0),
           "num_concurrent_requests": ("concurrency", 1.0)}
_LABELS = {  # of the CSV's and the Markdown table's rows: our name, and what divides it
    "concurrent users": ("concurrency", 1), "concurrency": ("concurrency", 1),
    "mean input token": ("input_tokens_mean", 1), "mean_input_token_length": ("input_tokens_mean", 1),
    "mean output token": ("output_tokens_mean", 1), "mean_output_token_length": ("output_tokens_mean", 1),
    "request per minute": ("transactions_per_minute", 1), "requests per minute": ("transactions_per_minute", 1),
    "errors": ("errors", 1), "cost per 1m token": ("price_per_1m_output_tokens", 1),
    "cost per 1m tokens": ("price_per_1m_output_tokens", 1),
    "requests_per_minute_(qpm)": ("transactions_per_minute", 1), "results_number_errors": ("errors", 1),
    "results_num_completed_requests": ("completed", 1),
}
_PATTERNS = (  # names of forks, with the statistic in front of or behind the unit
    (re.compile(r"^(?:time[_-]to[_-]first[_-]token|first[_-]time[_-]to[_-]token)(?:_(?P<stat>mean|p\d+))?"
                r"(?:_in)?_ms_\(ttft\)(?:_(?P<last>mean|p\d+))?$"), "ttft", 1000),
    (re.compile(r"^latency_ms_per_token_\(inter_token_latency\)(?:_(?P<stat>mean|p\d+))?$"), "itl_with_ttft", 1000),
    (re.compile(r"^(?:first time to token|time to first token) \(ms\)(?: (?P<stat>mean|p\d+))?$"), "ttft", 1000),
    (re.compile(r"^inter token latency \(ms/token\)(?: (?P<stat>mean|p\d+))?$"), "itl_with_ttft", 1000))
_SPEED = re.compile(r"^throughput_token_per_s_\(token/sec\)(?:_(?P<stat>mean|p\d+))?$")
_TABLE_SPEED = re.compile(r"^throughput \(tokens?/sec\)(?: p50)?$")
_INSTANCE = re.compile(r"\b(?:ml\.)?[a-z]+\d[a-z]*\.\d*x?large\b|\b(?:ml\.)?[a-z]+\d[a-z]*\.\d+xlarge\b")
_MARKS = ("inter_token_latency_s", "(inter_token_latency)", "Inter Token Latency (ms/token)")


class LLMPerf:
    """Reads llmperf's results."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its fields."""
        return any(mark in source.text for mark in _MARKS)

    @staticmethod
    def read(source: Source) -> Published:
        """One row a summary, a set of individual responses, or a column of a table."""
        if source.is_json:
            rows = _of_json(source)
        elif _main_table(source.text):
            rows = _of_columns(_main_table(source.text), source, False)
        else:
            rows = _of_csv(source)
        return Published("llmperf", source.path, rows, NOTES, _WEAK, loose=True)


def _main_table(text: str) -> list[list[str]]:
    return next((table for table in tables(text) if table[0][0].lower() == "concurrent users"), [])


def _of_csv(source: Source) -> list[Row]:
    """A column a level, or a line a level in some forks."""
    table = source.tables[0] if source.tables else []
    known = [cell for cell in table[0] if _figure(cell.lower())] if table else []
    if len(known) > 1:
        table = [list(column) for column in zip(*table, strict=False)]
    return _of_columns(table, source, source.comma_decimals)


def _of_columns(table: list[list[str]], source: Source, comma: bool) -> list[Row]:
    instance = _INSTANCE.search(source.text) if not source.is_json else None
    lines = [(found, line[0], line[1:]) for line in table if line and (found := _figure(line[0].lower()))]
    rows = []
    for column in range(max((len(cells) for *_, cells in lines), default=0)):
        figures = Figures(f"{source.path}, column {column + 1}")
        for (name, divisor), label, cells in lines:
            if column < len(cells):
                figures.cell(name, cells[column], label, 1 / divisor, comma=comma, rounded=name != "concurrency")
        if figures.values:
            rows.append(figures.row(instance_type=instance[0] if instance else None))
    return rows


def _figure(label: str) -> tuple[str, int] | None:
    """Our name of a row's label, and what divides it; None for other rows."""
    label = label.strip()
    if label in _LABELS:
        return _LABELS[label]
    for pattern, ours, divisor in _PATTERNS:
        found = pattern.match(label)
        if found:
            parts = found.groupdict()
            return f"{ours}_{parts.get('stat') or parts.get('last') or 'mean'}", divisor
    if _TABLE_SPEED.match(label):
        return "output_tokens_per_s", 1
    speed = _SPEED.match(label)
    if speed:  # with a statistic that of one request, without of all
        return (f"request_tokens_per_s_{speed['stat']}" if speed["stat"] else "output_tokens_per_s"), 1
    return None


def _of_json(source: Source) -> list[Row]:
    where = str(source.path)
    content = source.content
    if isinstance(content, list) and any(isinstance(entry, dict) and "error_code" in entry for entry in content):
        return [_of_summary(source, recomputed([mapping(entry, where) for entry in content]))]
    rows = []
    for one in source.objects:
        if any(key.startswith("results_ttft_s") or key == "results_error_rate" for key in one):
            rows.append(_of_summary(source, one))
        elif isinstance(one.get("results"), dict):  # of old versions: nested
            rows.append(_of_summary(source, {**one, **_flat(one["results"], "results")}))
        else:
            rows.append(_of_level(one, where))
    return rows


def _flat(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """`{results: {ttft_s: {quantiles: {p50}}}}` under `results_ttft_s_quantiles_p50`."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _flat(value, f"{path}_{key}") if isinstance(value, dict) else {f"{path}_{key}": value}
    return found


def _of_level(content: Mapping[str, Any], where: str) -> Row:
    figures = Figures(where)
    for key in content:
        found = _figure(key.lower())
        if found:
            figures.take(found[0], content, key, 1 / found[1])
    return figures.row()


def _of_summary(source: Source, summary: Mapping[str, Any]) -> Row:
    figures = Figures(str(source.path))
    for theirs, ours in _OURS.items():
        for key, stat in _SUMMARY_STATS.items():
            figures.take(f"{ours}_{stat}", summary, f"results_{theirs}_{key}")
    for key, (ours, scale) in _SINGLE.items():
        figures.take(ours, summary, key, scale)
    label = figures.load()
    return figures.row(source.path.stem if label == "run" else label, endpoint=summary.get("model"))


def recomputed(responses: list[Any]) -> dict[str, Any]:
    """llmperf's summary from its individual responses, by its own formulas: linear quantiles, n − 1, failures out.

    What needs the test's duration (requests a minute, overall throughput) is not in the responses and not here.
    Raises FmloadError when a response lacks a metric or holds no number.
    """
    table = pd.DataFrame(responses)
    missing = [name for name in ("error_code", *METRICS) if name not in table.columns]
    if missing:
        raise FmloadError(f"the responses lack {', '.join(missing)}", hint="give llmperf's …_individual_responses.json")
    good = table[table["error_code"].isna()]
    summary: dict[str, Any] = {}
    for metric in METRICS:
        values = good[metric].map(lambda value, metric=metric: json_number(value, metric)).astype(float)
        if not len(values):
            continue
        summary |= {f"results_{metric}_quantiles_p{q * 100:.0f}": float(values.quantile(q)) for q in _QUANTILES}
        summary |= {f"results_{metric}_{name}": float(getattr(values, function)()) for name, function in (
            ("mean", "mean"), ("min", "min"), ("max", "max"), ("stddev", "std"))}
    errors = len(table) - len(good)
    return {**summary, "results_num_requests_started": len(table), "results_number_errors": errors,
            "results_error_rate": errors / len(table), "results_num_completed_requests": len(good)}
