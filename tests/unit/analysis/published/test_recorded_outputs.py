"""Outputs that the tools themselves wrote against the emulator: read, not accused, and beside the server's own log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from published_data import RECORDED

from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.sweep import read_published

FILES = sorted(path.name for path in RECORDED.iterdir() if path.name != "truth.json")
TRUTH = json.loads((RECORDED / "truth.json").read_text())


@pytest.mark.parametrize("name", FILES)
def test_a_real_output_is_read_by_its_content_and_not_accused(name: str) -> None:
    published = read_published(RECORDED / name)
    assert name.startswith(published.tool)
    (row,) = audit_published(published, load_prices())
    assert [check.sentence for check in row.checks if check.result != "PASS"] == []
    assert row.corrections == ()
    assert len(row.checks) >= 9


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith((".json", ".yaml", ".jsonl"))])
def test_counts_are_those_of_the_servers_log_and_times_are_not_below_it(name: str) -> None:
    (row,) = read_published(RECORDED / name).rows
    truth = TRUTH[next(tool for tool in TRUTH if name.startswith(tool))]
    assert row.value("completed") == truth["completed"]
    assert row.value("output_tokens_mean") == pytest.approx(truth["output_tokens_mean"])
    for figure in ("ttft_mean", "ttft_p50", "e2e_mean", "e2e_p50"):
        assert (row.value(figure) or 0) >= truth[figure] * 0.999
    assert row.value("transactions_per_minute") <= truth["transactions_per_minute"] * 1.01


@pytest.mark.parametrize("tool", ["aiperf-0.13", "guidellm-0.8"])
def test_the_forms_of_one_run_say_the_same(tool: str) -> None:
    """The CSV is rounded to two digits; records hold no rounding but that of the clock."""
    rows = [read_published(path).rows[0] for path in sorted(RECORDED.glob(f"{tool}.*"))]
    assert len(rows) == 3
    for figure in ("completed", "ttft_mean", "ttft_p50", "tpot_mean", "e2e_mean", "e2e_p99", "output_tokens_mean",
                   "transactions_per_minute", "output_tokens_per_s"):
        first, *others = (row.value(figure) for row in rows)
        assert all(other == pytest.approx(first, rel=5e-3) for other in others), figure


def test_the_page_holds_the_table_of_these_files() -> None:
    from tests.bench.other_tools import table

    page = Path(__file__).parents[4] / "docs" / "published-truth.md"
    assert table(TRUTH) in page.read_text()
