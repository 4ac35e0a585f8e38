"""FMBench: its summary CSVs and report.md.

Its percentiles are taken inside each chunk of N concurrent requests and then averaged; its transactions per minute are
the mean of the chunks' rates, truncated to whole numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fmload_analysis.published.importers.markdown_tables import tables
from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source, cell_number, cell_step, plain

NOTES = ("percentiles are taken inside each chunk of concurrent requests and averaged over chunks",
         "transactions per minute are a mean of rates, truncated")
_RATE = "no more fit one after another into a minute at this latency; FMBench's is a mean of the chunks' rates"
_WEAK = {"transactions_per_minute": _RATE,
         "output_tokens_per_s": "transactions a minute × output tokens ÷ 60; FMBench's is a mean of the chunks' rates",
         "input_tokens_per_s": "transactions a minute × input tokens ÷ 60; FMBench's is a mean of the chunks' rates",
         "concurrency": "so many were in flight, by throughput × latency"}
_FIGURES = {
    "concurrency": "concurrency", "error_rate": "error_rate", "instance_count": "instance_count",
    "prompt_token_count_mean": "input_tokens_mean", "prompt_token_throughput": "input_tokens_per_s",
    "completion_token_count_mean": "output_tokens_mean", "completion_token_throughput": "output_tokens_per_s",
    "latency_mean": "e2e_mean", "latency_p50": "e2e_p50", "latency_p95": "e2e_p95", "latency_p99": "e2e_p99",
    "TTFT_mean": "ttft_mean", "TTFT_p50": "ttft_p50", "TTFT_p95": "ttft_p95", "TTFT_p99": "ttft_p99",
    "TPOT_mean": "tpot_mean", "TPOT_p50": "tpot_p50", "TPOT_p95": "tpot_p95", "TPOT_p99": "tpot_p99",
    "transactions_per_minute": "transactions_per_minute", "price_per_txn": "price_per_transaction",
    "price_per_token": "price_per_token", "duration_in_seconds": "duration_s", "cost": "cost_usd",
    "endpoint_latency_mean": "e2e_mean"}
_ROUNDED = {"error_rate_text": "error_rate", "latency_mean_text": "e2e_mean", "latency_p95_text": "e2e_p95",
            "price_per_10k_txn_text": "price_per_10k_transactions"}
_TRUNCATED = ("transactions_per_minute", "input_tokens_per_s", "output_tokens_per_s", "input_tokens_mean",
              "output_tokens_mean")
_FLAGS = ("any_criterion_failed", "error_rate_criterion_failed", "latency_criterion_failed",
          "cost_per_txn_criterion_failed")
_CRITERION = {"error_rate_text": "error_rate", "latency_mean_text": "e2e", "latency_p95_text": "e2e",
              "price_per_10k_txn_text": "price_per_10k_transactions"}
_RECOMMENDED = re.compile(
    r"concurrency level of `?(?P<c>\d+)`?.*?(?:average|median|p\d+) latency of `?(?P<e2e>[\d.]+) seconds.*?"
    r"prompt size of `?(?P<given>\d+) tokens.*?completion size of `?(?P<made>\d+) tokens.*?"
    r"(?P<tpm>\d+) transactions/minute")
_DATED = re.compile(r"Last modified \(UTC\).{0,120}?(\d{4}-\d\d-\d\d)", re.DOTALL)
_TOTAL_COST = re.compile(r"total cost for running all experiments is \$([\d.,]*\d)")
_MARKS = ("payload_file", "concurrency")


class FMBench:
    """Reads FMBench's results."""

    @staticmethod
    def recognises(source: Source) -> bool:
        """By the names of its columns."""
        return not source.is_json and all(mark in source.text for mark in _MARKS)

    @staticmethod
    def read(source: Source) -> Published:
        """Rows of the CSV; of a report, its best row, its failed rows, its recommendations, and its costs."""
        rows = _of_report(source) if tables(source.text) else _of_csv(source)
        return Published("fmbench", source.path, rows, NOTES, _WEAK, source.text, loose=True)


def _of_csv(source: Source) -> list[Row]:
    table = source.tables[0] if source.tables else [[]]
    return [_row(dict(zip(table[0], cells, strict=False)), "", f"{source.path}, line {at}", comma=source.comma_decimals)
            for at, cells in enumerate(table[1:], 2)]


def _row(cells: Mapping[str, str], what: str, where: str, budgets: Mapping[str, float] | None = None,
         date: str | None = None, comma: bool = False) -> Row:
    figures = Figures(where)
    for theirs, ours in _FIGURES.items():
        step = 1.0 if ours in _TRUNCATED and "." not in cells.get(theirs, "") else None
        figures.cell(ours, cells.get(theirs), theirs, comma=comma, step=step,
                     rounded=ours not in ("concurrency", "instance_count"))
    for theirs, ours in _ROUNDED.items():
        name = f"rounded_{ours}" if figures.row("").value(ours) is not None else ours
        figures.cell(name, cells.get(theirs), theirs, comma=comma)
    for name, value in (budgets or {}).items():
        figures.put(f"budget_{name}", value, f"budget of {name}")
    label = " ".join(part for part in (
        what, cells.get("experiment_name", ""), cells.get("payload_file", ""),
        f"c={cells['concurrency']}" if cells.get("concurrency") else "") if part)
    return figures.row(label or "run", endpoint=cells.get("experiment_name"),
                       instance_type=plain(cells.get("instance_type", "")) or None,
                       prompt_set=cells.get("payload_file"), flags=_flags(cells), date=date)


def _flags(cells: Mapping[str, str]) -> dict[str, bool]:
    """The criteria that are told as true or false, and those whose text is red or green."""
    found = {name: cells[name].strip().lower() == "true" for name in _FLAGS
             if cells.get(name, "").strip().lower() in ("true", "false")}
    for name, criterion in _CRITERION.items():
        colour = re.search(r"color:\s*(red|green)", cells.get(name, ""))
        if colour:
            found[f"red {criterion}"] = colour[1] == "red"
    return found


def _of_report(source: Source) -> list[Row]:
    text, where = source.text, str(source.path)
    dated = _DATED.search(text)
    date, limits = dated[1] if dated else None, _budget_figures(text)
    rows: list[Row] = []
    for table in tables(text, markup=True):
        head = [plain(cell) for cell in table[0]]
        if head == ["Information", "Value"]:
            rows.append(_row(_information(table[1:]), "best:", where, date=date))
        elif "price_per_10k_txn_text" in head:
            rows += [_row(dict(zip(head, cells, strict=False)), "failed:", where, limits, date) for cells in table[1:]]
        elif head[:3] == ["Dataset", "Instance type", "Recommendation"]:
            found = (_recommended([plain(cell) for cell in cells], where) for cells in table[1:])
            rows += [row for row in found if row]
        elif "duration_in_seconds" in head:
            rows += [_row(dict(zip(head, map(plain, cells), strict=False)), "cost:", where, date=date)
                     for cells in table[1:]]
    return [*(row for row in rows if row.figures), *_total(text, rows, where)]


def _total(text: str, rows: list[Row], where: str) -> list[Row]:
    """The sum that the report names, against the sum of its cost rows."""
    found = _TOTAL_COST.search(text)
    costs = [row.figures["cost_usd"] for row in rows if row.label.startswith("cost:") and "cost_usd" in row.figures]
    if not found or not costs:
        return []
    figures = Figures(where)
    figures.put("total_cost_usd", cell_number(found[1]), "total cost", step=2 * cell_step(found[1]))
    figures.put("cost_rows_usd", sum(costs), "sum of the cost rows")
    return [figures.row("total cost")]


def _information(cells: list[list[str]]) -> dict[str, str]:
    found = {plain(row[0]): plain(row[1]) for row in cells if len(row) > 1}
    for name in [name for name in found if ", " in name]:  # `latency p50, p95, p99 | 1.68, 1.68, 1.68`
        metric, _, stats = name.partition(" ")
        found |= {f"{metric}_{stat}": value for stat, value in zip(
            stats.split(", "), found[name].split(", "), strict=False)}
    return found


def _recommended(cells: list[str], where: str) -> Row | None:
    match = _RECOMMENDED.search(cells[2]) if len(cells) > 2 else None
    if not match:
        return None
    figures = Figures(where)
    for name, group in (("concurrency", "c"), ("e2e_p50", "e2e"), ("input_tokens_mean", "given"),
                        ("output_tokens_mean", "made"), ("transactions_per_minute", "tpm")):
        figures.cell(name, match[group], "", rounded=name != "concurrency",
                     step=1.0 if name in _TRUNCATED else None)
    return figures.row(f"recommended: {cells[0]} c={match['c']}", instance_type=cells[1], prompt_set=cells[0])


_BUDGETS = re.compile(r"`Latency` < `(?P<latency>[\d.]+)s`.*?`cost per 10k transactions`: `\$(?P<cost>[\d.]+)`.*?"
                      r"`error rate`: `(?P<errors>[\d.]+)`")


def budgets(text: str) -> dict[str, str | float]:
    """The budgets that a report.md names, as objectives; empty when it names none."""
    match = _BUDGETS.search(text)
    return {} if not match else {"e2e_p95": f"{match['latency']}s", "error_rate": float(match["errors"]),
                                 "price_per_10k_transactions": float(match["cost"])}


def _budget_figures(text: str) -> dict[str, float]:
    match = _BUDGETS.search(text)
    return {} if not match else {"e2e": float(match["latency"]), "error_rate": float(match["errors"]),
                                 "price_per_10k_transactions": float(match["cost"])}
