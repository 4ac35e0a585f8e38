"""Our stages under FMBench's column names, for those who have spreadsheets on them.

The numbers are ours: percentiles over all requests and rates over the window, not means of chunks of N requests.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fmload.base import neutral
from fmload_analysis.verdict.objectives import State, Verdict, state_of
from fmload_analysis.verdict.table import StageResult

COLUMNS = (
    "experiment_name", "payload_file", "instance_type", "instance_count", "concurrency", "error_rate",
    "prompt_token_count_mean", "prompt_token_throughput", "completion_token_count_mean",
    "completion_token_throughput", "latency_mean", "latency_p50", "latency_p95", "latency_p99", "TTFT_mean", "TTFT_p50",
    "TTFT_p95", "TTFT_p99", "TPOT_mean", "TPOT_p50", "TPOT_p95", "TPOT_p99", "transactions_per_minute",
    "price_per_txn", "price_per_token", "any_criterion_failed", "error_rate_criterion_failed",
    "latency_criterion_failed", "cost_per_txn_criterion_failed")

_VALUES = {
    "error_rate": "error_rate", "prompt_token_count_mean": "input_tokens_mean",
    "prompt_token_throughput": "input_tokens_per_s", "completion_token_count_mean": "output_tokens_mean",
    "completion_token_throughput": "output_tokens_per_s", "transactions_per_minute": "transactions_per_minute",
    "price_per_txn": "price_per_transaction", "price_per_token": "price_per_token",
    **{f"{theirs}_{stat}": f"{ours}_{stat}" for theirs, ours in (("latency", "e2e"), ("TTFT", "ttft"), ("TPOT", "tpot"))
       for stat in ("mean", "p50", "p95", "p99")}}
_CRITERIA = {"error_rate_criterion_failed": ("error_rate",), "latency_criterion_failed": ("e2e",),
             "cost_per_txn_criterion_failed": ("price_per_transaction", "price_per_1k_transactions",
                                               "price_per_10k_transactions")}


def write(path: Path, results: Iterable[StageResult]) -> None:
    """One row a stage of COLUMNS; an empty cell where a value is unknown. Latencies in seconds."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(neutral.row(row(result)) for result in results)


_FAILED: dict[State | None, bool | None] = {"met": False, "missed": True, "unknown": None, None: None}


def row(result: StageResult) -> dict[str, Any]:
    """The stage's values by FMBench's names; None where unknown."""
    stage, pricing = result.summary.stage, result.pricing
    named: dict[str, Any] = {
        "experiment_name": result.endpoint, "payload_file": result.prompt_set, "instance_type": result.instance_type,
        "instance_count": pricing.count if pricing and not pricing.by_token else None,
        "concurrency": stage.concurrency,
        "any_criterion_failed": _FAILED[result.objectives]}
    for column, metrics in _CRITERIA.items():
        named[column] = _failed([verdict for verdict in result.verdicts if verdict.objective.metric in metrics])
    return {column: named[column] if column in named else _value(result, _VALUES[column]) for column in COLUMNS}


def _value(result: StageResult, name: str) -> float | None:
    """Blank where there are too few samples: FMBench's columns have no place for bounds."""
    return result.value(name) if result.is_known(name) else None


def _failed(verdicts: list[Verdict]) -> bool | None:
    """Whether one of the criteria failed; None when there are none, or it is not known."""
    return _FAILED[state_of(verdicts)]
