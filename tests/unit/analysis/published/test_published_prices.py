"""Prices, flags and costs of FMBench files: right ones let be, planted ones found, dates shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from published_data import published_data

from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published
from fmload_analysis.verdict.table import Check

HAIKU = "anthropic.claude-3-haiku-20240307-v1:0"


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    """Haiku at $0.25 and $1.25 a million; p4d as it was priced in 2026."""
    return PriceTable(
        ({"source": "s", "date": "2026-08-17", "region": "us-east-1",
          "prices": {"ml.p4d.24xlarge": 25.251286, "g5.4xlarge": 1.624}},),
        ({"source": "s", "date": "2026-11-20", "prices": {HAIKU: {"input": 0.25, "output": 1.25}}},))


def audited(tmp_path: Path, text: str, prices: PriceTable, name: str = "report.md") -> list[AuditedRow]:
    path = tmp_path / name
    path.write_text(text)
    return list(audit_published(read_published(path), prices))


def check(row: AuditedRow, name: str) -> Check:
    return next(check for check in row.checks if check.name == name)


def report(instance: str, price: float, date: str = "2024-04-16") -> str:
    return (f"**Last modified (UTC): {date} 20:15:41**\n\n| Information | Value |\n|---|---|\n| payload_file | p |\n"
            f"| instance_type | {instance} |\n| concurrency | 1 |\n| prompt_token_count_mean | 3000 |\n"
            f"| completion_token_count_mean | 100 |\n| latency_mean | 1.0 |\n| transactions_per_minute | 59 |\n"
            f"| price_per_txn | {price} |\n")


def test_a_price_that_was_right_at_its_date_is_no_fail_and_both_dates_are_shown(tmp_path: Path,
                                                                               prices: PriceTable) -> None:
    (row,) = audited(tmp_path, report("ml.p4d.24xlarge", 37.688 / 60 / 59), prices)
    found = check(row, "price arithmetic")
    assert found.result == "WARN"
    assert "2024-04-16" in found.sentence and "2026-08-17" in found.sentence


def test_an_hourly_price_of_ten_times_the_list_is_a_fail_at_any_date(tmp_path: Path, prices: PriceTable) -> None:
    (row,) = audited(tmp_path, report("ml.p4d.24xlarge", 376.88 / 60 / 59), prices)
    assert check(row, "price arithmetic").result == "FAIL"


@pytest.mark.parametrize(("factor", "result"), [(1, "PASS"), (10, "FAIL"), (0.1, "FAIL"), (1.3, "WARN")])
def test_token_prices_are_held_against_the_table(tmp_path: Path, prices: PriceTable, factor: float,
                                                 result: str) -> None:
    price = (3000 * 0.25 + 100 * 1.25) / 1e6 * factor
    (row,) = audited(tmp_path, report(HAIKU, price), prices)
    assert check(row, "price arithmetic").result == result


def scores() -> str:
    return next((published_data() / "fmbench").glob("48bf0a46*21-49*scores.csv")).read_text()


def test_flags_that_agree_pass(tmp_path: Path) -> None:
    for row in audited(tmp_path, scores(), load_prices(), "scores.csv"):
        assert check(row, "criteria as told").result == "PASS"
        assert check(row, "rounded columns repeat exact ones").result == "PASS"


@pytest.mark.parametrize(("old", "new", "name"), [
    (",False,False,False,False,<span", ",True,False,False,False,<span", "criteria as told"),
    (",False,False,False,False,<span", ",False,False,True,False,<span", "criteria as told"),
    ("<span style='color:green'>8.76</span>\n", "<span style='color:red'>8.76</span>\n", "criteria as told"),
    ("<span style='color:green'>8.76</span>\n", "<span style='color:green'>4.76</span>\n",
     "rounded columns repeat exact ones"),
    ("<span style='color:green'>1.86</span>,", "<span style='color:green'>1.46</span>,",
     "rounded columns repeat exact ones")])
def test_a_flipped_flag_or_another_rounded_figure_is_found(tmp_path: Path, old: str, new: str, name: str) -> None:
    text = scores()
    assert old in text
    head, _, tail = text.rpartition(old) if old.endswith("\n") else text.partition(old)
    rows = audited(tmp_path, head + new + tail, load_prices(), "scores.csv")
    assert "FAIL" in {check(row, name).result for row in rows}


def test_rounded_columns_never_overwrite_exact_ones(tmp_path: Path) -> None:
    row = audited(tmp_path, scores(), load_prices(), "scores.csv")[0].row
    assert row.value("price_per_transaction") == 0.000876120619396903
    assert row.value("price_per_10k_transactions") == pytest.approx(8.76120619396903)
    assert row.figures["rounded_price_per_10k_transactions"] == 8.76


@pytest.mark.parametrize(("old", "new", "label"), [
    ("| 8.71 | 0.037715 |", "| 8.71 | 0.37715 |", "cost:"),
    ("experiments is $0.04", "experiments is $0.40", "total cost"),
    ("`average latency of 2.86 seconds`", "`average latency of 28.6 seconds`", "recommended:"),
    ("| transactions_per_minute | 82 |", "| transactions_per_minute | 820 |", "best:"),
    ("<span style='color:red'>**89.54**</span>", "<span style='color:green'>89.54</span>", "failed:")])
def test_a_row_of_a_report_that_was_changed_fails(tmp_path: Path, old: str, new: str, label: str) -> None:
    text = (published_data() / "published" / "fmbench-llama2-7b-inf2.48xlarge.md").read_text()
    assert old in text
    rows = audited(tmp_path, text.replace(old, new), load_prices())
    assert "FAIL" in {row.audit for row in rows if row.row.label.startswith(label)}


def test_an_echo_needs_evidence_of_the_tool(tmp_path: Path) -> None:
    text = (published_data() / "published" / "fmbench-llama2-7b-inf2.48xlarge.md").read_text()
    denied = text + "\n```\ninference_parameters:\n  return_full_text: false\n```\n"
    told = text.replace("ml.inf2.48xlarge", "inf2.48xlarge") + "\n```\nreturn_full_text: True\n```\n"
    assert [row.corrections for row in audited(tmp_path, denied, load_prices())] == [()] * 6
    best = audited(tmp_path, told, load_prices())[0]
    assert best.corrections[0].corrected == 25
    assert "return_full_text: true" in check(best, "output is output").sentence
