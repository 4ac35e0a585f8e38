"""Right files that the tools themselves wrote against the emulator, 22 to 24 loads each: none of them is accused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.sweep import read_published

LOADS = Path(__file__).parents[3] / "recorded_loads"


@pytest.mark.parametrize(("name", "rows"), [
    ("vllm-0.33.jsonl", 24), ("sglang-0.5.23.jsonl", 24), ("inference-perf-0.7.jsonl", 22)])
def test_no_load_that_a_tool_measured_is_accused(name: str, rows: int) -> None:
    published = read_published(LOADS / name)
    audited = audit_published(published, load_prices())
    assert name.startswith(published.tool)
    assert len(audited) == rows
    assert {row.row.label: [check.sentence for check in row.checks if check.result != "PASS"] for row in audited
            if row.audit != "PASS" or row.corrections} == {}
    assert min(len(row.checks) for row in audited) >= 8


def test_closed_and_open_loops_are_among_them() -> None:
    rows = [row for name in ("vllm-0.33.jsonl", "sglang-0.5.23.jsonl") for row in read_published(LOADS / name).rows]
    assert {row.value("concurrency") for row in rows} > {None, 1, 2, 4}
    assert len({row.value("offered_per_s") for row in rows}) > 3


def test_prompt_tokens_of_inference_perf_0_7_are_read_with_their_total() -> None:
    for row in read_published(LOADS / "inference-perf-0.7.jsonl").rows:
        mean, count = row.figures["input_tokens_mean"], row.figures["completed"]
        assert row.figures["input_tokens"] == pytest.approx(mean * count)
