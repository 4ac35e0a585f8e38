"""The published Inferentia2 table beside a run of its set-up on the emulation, and beside what its own columns allow.

    fmload run llama3-8b-inf2-emulated --out RUN        (half an hour, in real time)
    python -m tests.bench.inf2_table RUN [PUBLISHED.md]

The published file is found in the folder that FMLOAD_SHARED names, or in `shared` beside the repository.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published
from tests.published_data import published_data

FILE = "llmperf-llama3-8b-inf2.xlarge-tgi.md"
# title, name in the published table, column of summary.csv, factor for the screen, digits
FIGURES = (
    ("TTFT p50 (ms)", "ttft_p50", "ttft_p50_s", 1e3, 0),
    ("TPOT p50 (ms); published: ITL with TTFT", "itl_with_ttft_p50", "tpot_p50_s", 1e3, 1),
    ("requests a minute", "transactions_per_minute", "transactions_per_minute", 1, 2),
    ("output tokens/s", "output_tokens_per_s", "output_tokens_per_s", 1, 1),
    ("USD per 1M output tokens", "price_per_1m_output_tokens", "price_per_1m_output_tokens", 1, 2),
)


def render(rows: Sequence[AuditedRow], measured: pd.DataFrame) -> Table:
    """Three lines a figure: as published, what the published columns allow, as measured on the emulation."""
    table = Table(title="Llama-3-8B on inf2.xlarge with TGI, by users")
    for column in ("", "", *(row.row.label for row in rows)):
        table.add_column(column, justify="right" if column else "left")
    stages = measured.set_index("concurrency")
    for title, published, column, factor, digits in FIGURES:
        allowed = [_allowed(row, published) for row in rows]
        lines: Mapping[str, list[float | None]] = {
            "published": [row.row.value(published) for row in rows],
            "its columns allow": allowed,
            "emulated": [float(stages.loc[row.row.figures["concurrency"], column]) for row in rows]}
        for name, values in lines.items():
            shown = ["" if value is None else f"{value * factor:,.{digits}f}" for value in values]
            table.add_row(title if name == "published" else "", name, *shown, end_section=name == "emulated")
    table.add_row("audit", "published", *(row.audit for row in rows))
    table.add_row("", "emulated", *(str(stages.loc[row.row.figures["concurrency"], "audit"]) for row in rows))
    return table


def _allowed(row: AuditedRow, figure: str) -> float | None:
    wanted = "tpot_p50" if figure == "itl_with_ttft_p50" else figure
    return next((found.corrected for found in row.corrections if found.figure == wanted), None)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the comparison and the audit's sentences on the published rows."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.inf2_table", description="Published beside emulated.")
    parser.add_argument("run", type=Path, help="results folder of llama3-8b-inf2-emulated")
    parser.add_argument("published", type=Path, nargs="?")
    args = parser.parse_args(argv)
    published = read_published(args.published or published_data() / "published" / FILE)
    rows = audit_published(published, load_prices())
    console = Console(width=120)
    console.print(render(rows, pd.read_csv(args.run / "summary.csv")))
    for row in rows:
        for check in row.checks:
            if check.result in ("FAIL", "WARN"):
                console.print(f"{check.result} {row.row.label}: {check.sentence}", highlight=False)


if __name__ == "__main__":
    main()
