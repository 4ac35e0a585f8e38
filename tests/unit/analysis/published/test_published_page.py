"""The page of a re-examination: figures as published, in words and units; the sentence that a person sends on."""

from __future__ import annotations

import json
from pathlib import Path

from right_files import simulated, vllm

from fmload.pricing.table import load_prices
from fmload_analysis.document.document import Table
from fmload_analysis.published.checks.audit_published import audit_sweep
from fmload_analysis.published.page import in_one_sentence, sections
from fmload_analysis.published.rows.figure_names import exact, label, shown
from fmload_analysis.published.rows.published import AuditedRow, Correction, Row
from fmload_analysis.published.rows.sweep import Sweep, read_sweep
from fmload_analysis.verdict.table import Check


def audited(path: Path) -> tuple[Sweep, tuple[AuditedRow, ...]]:
    sweep = read_sweep([path])
    return sweep, audit_sweep(sweep, load_prices())


def table(sweep: Sweep, rows: tuple[AuditedRow, ...], name: str) -> Table:
    section = next(section for section in sections(sweep, rows) if section.id == name)
    return next(block for block in section.blocks if isinstance(block, Table))


def test_a_right_file_shows_its_figures_as_published(tmp_path: Path) -> None:
    (path := tmp_path / "r.json").write_text(json.dumps(vllm(simulated(7))))
    found = table(*audited(path), "figures")
    (cells,) = found.rows
    shown_by = {column.label: cell for column, cell in zip(found.columns, cells, strict=True)}
    assert {"stage", "completed requests", "requests a minute", "TTFT p50", "E2E p99"} <= set(shown_by)
    assert shown_by["TTFT p50"].text.endswith(" ms") and shown_by["TTFT p50"].title == "median_ttft_ms"


def test_a_corrected_figure_is_marked_where_it_is_published(tmp_path: Path) -> None:
    content = vllm(simulated(7))
    content["request_throughput"] *= 2
    (path := tmp_path / "r.json").write_text(json.dumps(content))
    found = table(*audited(path), "figures")
    marked = [column.label for column, cell in zip(found.columns, found.rows[0], strict=True) if cell.mark == "bad"]
    assert marked == ["requests a minute"]


def test_candidates_are_told_in_the_unit_that_the_files_name_says(tmp_path: Path) -> None:
    """`mean_ttft_ms would be 116.8`, not 0.1168; `request_throughput` a second, not a minute."""
    content = vllm(simulated(7))
    right = content["mean_e2el_ms"]
    content["mean_e2el_ms"] *= 3
    (path := tmp_path / "r.json").write_text(json.dumps(content))
    _, (row,) = audited(path)
    columns = [check.figures["columns"]["mean_e2el_ms"] for check in row.checks
               if "mean_e2el_ms" in check.figures.get("columns", {})]
    assert columns and set(columns) == {content["mean_e2el_ms"]}
    each = [check.figures["if_wrong"]["mean_e2el_ms"] for check in row.checks
            if "mean_e2el_ms" in check.figures.get("if_wrong", {})]
    assert any(abs(value / right - 1) < 0.02 for value in each)


def _row(*corrections: Correction, checks: tuple[Check, ...] = ()) -> AuditedRow:
    return AuditedRow(Row("8 users", {}), (Check(1, "law", "FAIL", "It is broken.", {}), *checks), corrections)


def sentence(*rows: AuditedRow) -> str:
    return in_one_sentence(Sweep(()), rows)


def test_the_sentence_names_the_price_beside_the_figure_that_is_furthest_off() -> None:
    rate = Correction("transactions_per_minute", 900.0, 90.0, "r")
    price = Correction("price_per_transaction", 0.001, 0.003, "r")
    told = sentence(_row(rate, price))
    assert "requests a minute are 90 by its own other columns, not 900 as published" in told
    assert told.endswith("price of a request is $0.00300 by its own other columns, not $0.00100 as published.")


def test_the_sentence_names_a_price_that_the_table_contradicts() -> None:
    price = Check(8, "price arithmetic", "FAIL", "$0.5 is published, ten times the table's. If it alone is wrong: …",
                  {})
    told = sentence(_row(Correction("e2e_mean", 2.0, 1.0, "r"), checks=(price,)))
    assert told.endswith("E2E mean is 1.00 s by its own other columns, not 2.00 s as published; $0.5 is published, ten "
                         "times the table's.")


def test_figures_are_written_in_the_words_and_units_of_the_field() -> None:
    assert [label(name) for name in ("ttft_p50", "input_tokens_mean", "transactions_per_minute", "odd")] == [
        "TTFT p50", "input tokens mean", "requests a minute", "odd"]
    assert [shown("tpot_mean", 0.0531), shown("price_per_transaction", 0.00171), shown("error_rate", 0.04),
            shown("completed", 1234.0)] == ["53.1 ms", "$0.00171", "4.0 %", "1,234"]
    assert [exact("e2e_p99", 0.1234567), exact("e2e_p99", 1.5), exact("completed", 250.0)] == [
        "123.457 ms", "1.5 s", "250"]
