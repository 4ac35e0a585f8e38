"""FMBench: its summary CSVs and report.md.

Its percentiles are taken inside each chunk of N concurrent requests and then averaged; its transactions per minute are
the mean of the chunks' rates, truncated to whole numbers.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from fmload_analysis.published.importers.markdown_tables import known, number, tables
from fmload_analysis.published.published import Published, Row

NOTES = ("percentiles are taken inside each chunk of concurrent requests and averaged over chunks",
         "transactions per minute are a mean of rates, truncated")
_FIGURES = {
    "concurrency": "concurrency", "error_rate": "error_rate", "instance_count": "instance_count",
    "prompt_token_count_mean": "input_tokens_mean", "prompt_token_throughput": "input_tokens_per_s",
    "completion_token_count_mean": "output_tokens_mean", "completion_token_throughput": "output_tokens_per_s",
    "latency_mean": "e2e_mean", "latency_p50": "e2e_p50", "latency_p95": "e2e_p95", "latency_p99": "e2e_p99",
    "TTFT_mean": "ttft_mean", "TTFT_p50": "ttft_p50", "TTFT_p95": "ttft_p95", "TTFT_p99": "ttft_p99",
    "TPOT_mean": "tpot_mean", "TPOT_p50": "tpot_p50", "TPOT_p95": "tpot_p95", "TPOT_p99": "tpot_p99",
    "transactions_per_minute": "transactions_per_minute", "price_per_txn": "price_per_transaction",
    "price_per_token": "price_per_token", "error_rate_text": "error_rate", "latency_mean_text": "e2e_mean",
    "latency_p95_text": "e2e_p95", "price_per_10k_txn_text": "price_per_10k_transactions",
    "duration_in_seconds": "duration_s", "cost": "cost_usd",
}
_RECOMMENDED = re.compile(
    r"concurrency level of (?P<c>\d+)`.*?(?:average|median) latency of (?P<e2e>[\d.]+) seconds.*?"
    r"prompt size of (?P<given>\d+) tokens.*?completion size of (?P<made>\d+) tokens.*?"
    r"(?P<tpm>\d+) transactions/minute")


class FMBench:
    """Reads FMBench's results."""

    @staticmethod
    def recognises(path: Path, text: str) -> bool:
        """By the names of its columns."""
        return "payload_file" in text and "concurrency" in text

    @staticmethod
    def read(path: Path, text: str) -> Published:
        """Rows of the CSV; of a report, its best row, its failed rows, its recommendations, and its costs."""
        rows = _of_report(text) if path.suffix == ".md" else [
            _row(cells, "") for cells in csv.DictReader(io.StringIO(text))]
        return Published("fmbench", path, rows, NOTES)


def _row(cells: dict[str, str], what: str) -> Row:
    figures = known({ours: number(cells[theirs]) for theirs, ours in _FIGURES.items() if cells.get(theirs)})
    label = " ".join(part for part in (
        what, cells.get("experiment_name", ""), cells.get("payload_file", ""),
        f"c={cells['concurrency']}" if cells.get("concurrency") else "") if part)
    return Row(label, figures, cells.get("experiment_name"), cells.get("instance_type"), cells.get("payload_file"))


def _of_report(text: str) -> list[Row]:
    rows: list[Row] = []
    for table in tables(text):
        head = [cell.strip() for cell in table[0]]
        if head == ["Information", "Value"]:
            rows.append(_row(_information(table[1:]), "best:"))
        elif "price_per_10k_txn_text" in head:
            rows += [_row(dict(zip(head, cells, strict=False)), "failed:") for cells in table[1:]]
        elif head[:3] == ["Dataset", "Instance type", "Recommendation"]:
            rows += [row for row in (_recommended(cells, text) for cells in table[1:]) if row]
        elif "duration_in_seconds" in head:
            rows += [_row(dict(zip(head, cells, strict=False)), "cost:") for cells in table[1:]]
    return rows


def _information(cells: list[list[str]]) -> dict[str, str]:
    found = {row[0]: row[1] for row in cells if len(row) > 1}
    for name in [name for name in found if ", " in name]:  # `latency p50, p95, p99 | 1.68, 1.68, 1.68`
        metric, _, stats = name.partition(" ")
        found |= {f"{metric}_{stat}": value for stat, value in zip(
            stats.split(", "), found[name].split(", "), strict=False)}
    return found


def _recommended(cells: list[str], text: str) -> Row | None:
    sentence = cells[2] if len(cells) > 2 else ""
    match = _RECOMMENDED.search(sentence.replace("concurrency level of ", "concurrency level of ", 1)) or (
        _RECOMMENDED.search(re.sub(r"concurrency level of (\d+)", r"concurrency level of \1`", sentence, count=1)))
    if not match:
        return None
    figures = {"concurrency": float(match["c"]), "e2e_p50": float(match["e2e"]),
               "input_tokens_mean": float(match["given"]), "output_tokens_mean": float(match["made"]),
               "transactions_per_minute": float(match["tpm"])}
    return Row(f"recommended: {cells[0]} c={match['c']}", figures, None, cells[1], cells[0])


_BUDGETS = re.compile(r"`Latency` < `(?P<latency>[\d.]+)s`.*?`cost per 10k transactions`: `\$(?P<cost>[\d.]+)`.*?"
                      r"`error rate`: `(?P<errors>[\d.]+)`")


def budgets(text: str) -> dict[str, str | float]:
    """The budgets that a report.md names, as objectives; empty when it names none."""
    match = _BUDGETS.search(text)
    return {} if not match else {"e2e_p95": f"{match['latency']}s", "error_rate": float(match["errors"]),
                                 "price_per_10k_transactions": float(match["cost"])}
