"""llmperf: individual responses, summaries, the CSV and JSON of the Inferentia fork, and its Markdown table.

Its inter-token latency counts TTFT as the first gap, so that ITL × tokens = E2E; its throughput of a request is chunks
(or tokens) ÷ E2E. Its quantiles interpolate, its standard deviation has n − 1.
"""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from fmload.base.units import format_users
from fmload_analysis.published.importers.markdown_tables import known, number, tables
from fmload_analysis.published.published import Published, Row

NOTES = ("inter-token latency counts TTFT as a gap: it is E2E ÷ output tokens",
         "input tokens are the number asked for, output tokens a count by another model's tokenizer")
METRICS = ("inter_token_latency_s", "ttft_s", "end_to_end_latency_s", "request_output_throughput_token_per_s",
           "number_input_tokens", "number_output_tokens")
_QUANTILES = (0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
_STATS = {"mean": "mean", "p50": "quantiles_p50", "p90": "quantiles_p90", "p95": "quantiles_p95",
          "p99": "quantiles_p99"}
_OURS = {"inter_token_latency_s": "itl_with_ttft", "ttft_s": "ttft", "end_to_end_latency_s": "e2e",
         "request_output_throughput_token_per_s": "request_tokens_per_s"}
_LABELS = {  # of the CSV's and the Markdown table's rows: our name, and what divides it
    "concurrent users": ("concurrency", 1), "concurrency": ("concurrency", 1),
    "mean input token": ("input_tokens_mean", 1), "mean_input_token_length": ("input_tokens_mean", 1),
    "mean output token": ("output_tokens_mean", 1), "mean_output_token_length": ("output_tokens_mean", 1),
    "first time to token (ms) p50": ("ttft_p50", 1000), "throughput (token/sec) p50": ("output_tokens_per_s", 1),
    "inter token latency (ms/token) p50": ("itl_with_ttft_p50", 1000),
    "request per minute": ("transactions_per_minute", 1), "errors": ("errors", 1),
    "cost per 1m token": ("price_per_1m_output_tokens", 1),
    "requests_per_minute_(qpm)": ("transactions_per_minute", 1), "results_number_errors": ("errors", 1),
    "results_num_completed_requests": ("completed", 1),
    **{f"time_to_first_token_in_ms_(ttft)_{p}": (f"ttft_{p}", 1000) for p in ("p50", "p75", "p95")},
    **{f"throughput_token_per_s_(token/sec)_{p}": (f"request_tokens_per_s_{p}", 1) for p in ("p50", "p75", "p95")},
    **{f"latency_ms_per_token_(inter_token_latency)_{p}": (f"itl_with_ttft_{p}", 1000) for p in ("p50", "p75", "p95")},
}
_INSTANCE = re.compile(r"\b(?:ml\.)?[a-z]+\d[a-z]*\.\d*x?large\b|\b(?:ml\.)?[a-z]+\d[a-z]*\.\d+xlarge\b")


class LLMPerf:
    """Reads llmperf's results."""

    @staticmethod
    def recognises(path: Path, text: str) -> bool:
        """By the names of its fields."""
        return any(mark in text for mark in ("inter_token_latency_s", "(inter_token_latency)",
                                             "Inter Token Latency (ms/token)"))

    @staticmethod
    def read(path: Path, text: str) -> Published:
        """One row a summary, a set of individual responses, or a column of a table."""
        if path.suffix == ".md":
            rows = _of_columns(_main_table(text), _INSTANCE.search(text))
        elif path.suffix == ".csv":
            rows = _of_columns(list(csv.reader(io.StringIO(text.split("\n\n")[0]))), None)
        else:
            rows = [_of_json(path, json.loads(text))]
        return Published("llmperf", path, rows, NOTES)


def _main_table(text: str) -> list[list[str]]:
    return next((table for table in tables(text) if table[0][0].lower() == "concurrent users"), [])


def _of_columns(table: list[list[str]], instance: re.Match[str] | None) -> list[Row]:
    lines = [(_LABELS[line[0].lower()], line[1:]) for line in table if line and line[0].lower() in _LABELS]
    width = max((len(cells) for _, cells in lines), default=0)
    rows = []
    for column in range(width):
        figures = known({name: _scaled(cells, column, scale) for (name, scale), cells in lines})
        rows.append(Row(format_users(figures.get('concurrency', column + 1)), _with_requests(figures),
                        instance_type=instance[0] if instance else None))
    return rows


def _scaled(cells: list[str], column: int, scale: int) -> float | None:
    value = number(cells[column]) if column < len(cells) else None
    return None if value is None else value / scale


def _with_requests(figures: dict[str, float]) -> dict[str, float]:
    completed = figures.pop("completed", None)
    return figures if completed is None else {**figures, "requests": completed + figures.get("errors", 0.0)}


def _of_json(path: Path, content: Any) -> Row:
    if isinstance(content, list):
        return _of_summary(path, recomputed(content))
    if "results_error_rate" in content:
        return _of_summary(path, content)
    figures = known({name: content[key] / scale for key, (name, scale) in _LABELS.items() if key in content})
    return Row(format_users(figures.get('concurrency', 0)), _with_requests(figures))


def _of_summary(path: Path, summary: dict[str, Any]) -> Row:
    figures = {f"{ours}_{stat}": summary.get(f"results_{theirs}_{key}") for theirs, ours in _OURS.items()
               for stat, key in _STATS.items()}
    figures |= {
        "concurrency": summary.get("num_concurrent_requests"), "errors": summary.get("results_number_errors"),
        "requests": summary.get("results_num_requests_started"), "error_rate": summary.get("results_error_rate"),
        "input_tokens_mean": summary.get("results_number_input_tokens_mean"),
        "output_tokens_mean": summary.get("results_number_output_tokens_mean"),
        "output_tokens_per_s": summary.get("results_mean_output_throughput_token_per_s"),
        "transactions_per_minute": summary.get("results_num_completed_requests_per_min"),
    }
    told = known(figures)
    label = format_users(told['concurrency']) if "concurrency" in told else path.stem
    return Row(label, told, endpoint=summary.get("model"))


def recomputed(responses: list[dict[str, Any]]) -> dict[str, Any]:
    """llmperf's summary from its individual responses, by its own formulas: linear quantiles, n − 1, failures out.

    What needs the test's duration (requests a minute, overall throughput) is not in the responses and not here.
    """
    table = pd.DataFrame(responses)
    good = table[table["error_code"].isna()]
    summary: dict[str, Any] = {}
    for metric in METRICS:
        values = good[metric]
        summary |= {f"results_{metric}_quantiles_p{q * 100:.0f}": float(values.quantile(q)) for q in _QUANTILES}
        summary |= {f"results_{metric}_{name}": float(getattr(values, function)()) for name, function in (
            ("mean", "mean"), ("min", "min"), ("max", "max"), ("stddev", "std"))}
    errors = len(table) - len(good)
    return {**summary, "results_num_requests_started": len(table), "results_number_errors": errors,
            "results_error_rate": errors / len(table), "results_num_completed_requests": len(good)}
