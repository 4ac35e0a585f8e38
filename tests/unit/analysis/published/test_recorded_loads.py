"""Right files that the tools themselves wrote against the emulator, 22 loads and more each: none of them is accused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload.pricing.table import load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.sweep import read_published
from tests.bench.real_tools import objections_of, table

LOADS = Path(__file__).parents[3] / "recorded_loads"


def truths(name: str, rows: int) -> list[dict[str, float]]:
    """The server's own figures of each load, where they are recorded."""
    path = LOADS / name.replace(".jsonl", ".truth.json")
    return json.loads(path.read_text()) if path.exists() else [{}] * rows


@pytest.mark.parametrize(("name", "rows"), [
    ("vllm-0.33.jsonl", 24), ("sglang-0.5.23.jsonl", 24), ("inference-perf-0.7.jsonl", 22), ("aiperf-0.13.jsonl", 29),
    ("llmeter-0.2.jsonl", 24), ("guidellm-0.8.jsonl", 24),
    ("genai-bench-0.0.5.jsonl", 27)])
def test_no_load_that_a_tool_measured_is_accused(name: str, rows: int) -> None:
    published = read_published(LOADS / name)
    audited = audit_published(published, load_prices())
    assert name.startswith(published.tool)
    assert len(audited) == rows
    assert {row.row.label: found for row, truth in zip(audited, truths(name, rows), strict=True)
            if (found := [line for line in objections_of(row, truth) if not _known(name, line)])} == {}
    assert min(len(row.checks) for row in audited) >= 7


def _known(name: str, line: str) -> bool:
    """genai-bench 0.0.5 writes an error rate of 0 whatever failed: that is told, and right."""
    return name.startswith("genai-bench") and ("error rate:" in line or ": error_rate corrected" in line)


@pytest.mark.parametrize("path", sorted(LOADS.glob("*.truth.json")), ids=lambda path: path.name)
def test_counts_are_the_servers_and_no_time_is_below_its_log(path: Path) -> None:
    """A client's clock begins before the server's and ends after it; a client may lose the last answers of a run."""
    compared = 0
    for row, truth in zip(read_published(LOADS / path.name.replace(".truth.json", ".jsonl")).rows,
                          json.loads(path.read_text()), strict=True):
        if truth:
            compared += 1
            assert 0.9 * truth["completed"] <= (row.value("completed") or 0.0) <= truth["completed"], row.label
            assert row.value("output_tokens_mean") == pytest.approx(truth["output_tokens_mean"], rel=0.05), row.label
            assert (row.value("e2e_mean") or 0.0) >= truth["e2e_mean"] * 0.97, row.label
    assert compared >= 6


def test_the_page_holds_the_table_of_these_loads() -> None:
    assert table() in (Path(__file__).parents[4] / "docs" / "published-truth.md").read_text()


def test_closed_and_open_loops_are_among_them() -> None:
    rows = [row for name in ("vllm-0.33.jsonl", "sglang-0.5.23.jsonl") for row in read_published(LOADS / name).rows]
    assert {row.value("concurrency") for row in rows} > {None, 1, 2, 4}
    assert len({row.value("offered_per_s") for row in rows}) > 3


def test_prompt_tokens_of_inference_perf_0_7_are_read_with_their_total() -> None:
    for row in read_published(LOADS / "inference-perf-0.7.jsonl").rows:
        mean, count = row.figures["input_tokens_mean"], row.figures["completed"]
        assert row.figures["input_tokens"] == pytest.approx(mean * count)
