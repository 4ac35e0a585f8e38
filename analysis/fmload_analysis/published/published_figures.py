"""The main figures of every stage as its file tells them, in one table; published.csv holds all."""

from __future__ import annotations

from collections.abc import Sequence

from fmload_analysis.document.document import Cell, Column, Table
from fmload_analysis.published.rows.figure_names import label, shown
from fmload_analysis.published.rows.published import AuditedRow

_STATS = ("mean", "p50", "p90", "p95", "p99")
_DETAILS = ("p90", "p95")
_MAIN = (
    "concurrency", "offered_per_s", "completed", "errors", "error_rate", "duration_s", "transactions_per_minute",
    "input_tokens_mean", "output_tokens_mean", "output_tokens_per_s", "total_tokens_per_s", "goodput_per_s",
    *(f"{metric}_{stat}" for metric in ("ttft", "tpot", "icl", "itl_with_ttft", "e2e") for stat in _STATS),
    "price_per_transaction", "price_per_10k_transactions", "price_per_1m_output_tokens", "usd_per_hour", "cost_usd")
_MOST = 24
_LONG = 24  # characters of a cell that stays on one line


def table(rows: Sequence[AuditedRow]) -> Table:
    """A row a stage; of the main figures those that a file tells, else whatever it tells."""
    told = dict.fromkeys(name for row in rows for name in row.row.figures)
    names = [name for name in _MAIN if name in told] or list(told)[:_MOST]
    cells = [[Cell(row.row.label), *(_cell(row, name) for name in names)] for row in rows]
    columns = [*text_columns(["stage"], cells),
               *(Column(label(name), detail=name.endswith(_DETAILS)) for name in names)]
    return Table(columns, cells, "As the files tell them; published.csv holds all")


def text_columns(names: Sequence[str], cells: Sequence[Sequence[Cell]]) -> list[Column]:
    """Columns of text, the first ones of these rows: those that hold long ones wrap."""
    return [Column(name, numeric=False, wide=any(len(row[at].text) > _LONG for row in cells))
            for at, name in enumerate(names)]


def _cell(row: AuditedRow, name: str) -> Cell:
    value = row.row.figures.get(name)
    if value is None:
        return Cell("")
    corrected = next((found for found in row.corrections if found.figure == name), None)
    if corrected is None:
        return Cell(shown(name, value), value, title=row.row.called(name))
    return Cell(shown(name, value), value, "bad", f"{shown(name, corrected.corrected)} by its own other columns")
