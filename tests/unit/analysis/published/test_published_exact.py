"""Every figure of every published file is one that stands in the file, to the last digit; every verdict is its own."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from published_data import published_cases, published_data

from fmload.base.errors import FmloadError
from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published

_SCALES = (1.0, 1e-3, 60.0)  # ms as seconds, requests a second as a minute
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?")
_MADE = re.compile(r"rounded_|budget_")

CASES = {  # figures of the first row, rows by their verdict
    "aiperf-0.1.csv": (79, {"WARN": 1}), "aiperf-0.1_records-ttft.json": (85, {"WARN": 1}),
    "aiperf-0.10.0_c16.json": (71, {"PASS": 1}), "guidellm-0.3_in120_out128_right_norequests.json": (100, {"PASS": 1}),
    "inference-perf_stage3.json": (100, {"WARN": 1}),
    "llmperf-fork_a10g_nim.csv": (7, {"FAIL": 3, "WARN": 3, "PASS": 1}),
    "sglang-old_online.jsonl": (11, {"PASS": 7}), "sglang_c8_in61_out62_right.jsonl": (28, {"PASS": 1}),
    "vllm_10-of-250-failed.json": (25, {"WARN": 1}), "vllm_inferencex_c128_right.json": (33, {"PASS": 1})}
DATA = {  # of the earlier files: rows by their verdict
    "fmbench-llama2-7b-inf2.48xlarge.md": {"WARN": 2, "PASS": 4},
    "fmbench-llama3.1-8b-g5.4xlarge.md": {"WARN": 1, "PASS": 5}, "fmbench-readme.md": {"PASS": 1},
    "llmperf-llama3-8b-inf2.xlarge-tgi.md": {"FAIL": 1, "WARN": 4},
    "*2024-09-27T22-37__report.md": {"FAIL": 2, "WARN": 1, "PASS": 13},
    "*2024-09-27T22-37__summary*.csv": {"FAIL": 9, "WARN": 1},
    "*2024-09-27T21-49__report.md": {"FAIL": 4, "PASS": 4},
    "*2024-09-27T21-49__summary*.csv": {"FAIL": 5, "WARN": 2},
    "*2024-11-29T??-??__report.md": {"WARN": 1, "PASS": 5},
    "*2024-11-29T??-??__summary*.csv": {"WARN": 1, "PASS": 1},
    "yi-34b-4xa10g-tgi.csv": {"FAIL": 2, "WARN": 5},
    "*_cur_64.json": {"FAIL": 1}, "*_cur_32.json": {"FAIL": 1}, "*_cur_*.json": {"WARN": 1},
    "result_*_64/*summary.json": {"FAIL": 1}, "result_*_32/*summary.json": {"FAIL": 1},
    "result_*/*summary.json": {"WARN": 1},
    "result_*_64/*responses.json": {"FAIL": 1}, "result_*_32/*responses.json": {"FAIL": 1},
    "result_*/*responses.json": {"WARN": 1}}
NO_RESULTS = ("llama-recipes-inference-benchmark.md", "7db0faa1__EC2_system_metrics.csv", "pricing.yml",
              "pricing_fallback.yml", "README.md", "accelerators.json", "bedrock_prices.json",
              "ec2_prices_us_east_1.json")


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


def files() -> list[Path]:
    """All files that hold results."""
    return [path for path in sorted(published_data().rglob("*")) if path.is_file() and path.name not in NO_RESULTS]


def told_numbers(path: Path) -> set[float]:
    """Every number of the file, by its own digits."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json":
        return set(_leaves(json.loads(text)))
    if path.suffix == ".jsonl":
        return {value for line in text.splitlines() for value in _leaves(json.loads(line))}
    found = {float(number.replace(",", "")) for number in _NUMBER.findall(text)}
    if path.suffix == ".csv":
        cells = (cell for row in csv.reader(io.StringIO(text)) for cell in row)
        found |= {float(cell) for cell in cells if re.fullmatch(r"-?[\d.]+(?:[eE][-+]?\d+)?", cell)}
    return found


def _leaves(content: Any) -> Iterator[float]:
    if isinstance(content, dict):
        for value in content.values():
            yield from _leaves(value)
    elif isinstance(content, list):
        yield float(len(content))
        for value in content:
            yield from _leaves(value)
    elif re.fullmatch(r"-?\d+\.?\d*(e[-+]\d+)?", str(content)):
        yield float(content)


def invented(path: Path) -> list[tuple[str, str, float]]:
    """Figures of which no number of the file, in our unit, is the value."""
    told = told_numbers(path)
    units = {number * scale for number in told for scale in _SCALES}
    return [(row.label, name, value) for row in read_published(path).rows for name, value in row.figures.items()
            if value not in units and not _MADE.match(name)]


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_figures_of_a_case_are_the_files_own_to_the_digit(name: str, prices: PriceTable) -> None:
    path = published_cases() / name
    count, verdicts = CASES[name]
    rows = audit_published(read_published(path), prices)
    assert invented(path) == []
    assert len(rows[0].row.figures) >= count
    assert Counter(row.audit for row in rows) == verdicts


def test_every_published_case_is_in_this_table() -> None:
    assert {path.name for path in published_cases().iterdir()} == set(CASES)


def test_the_figures_of_the_earlier_files_are_their_own_to_the_digit() -> None:
    seen = 0
    for path in files():
        if "individual_responses" in path.name:  # summed up by the importer; compared with llmperf's own elsewhere
            continue
        assert invented(path) == [], path.name
        seen += sum(len(row.figures) for row in read_published(path).rows)
    assert seen > 1000


def test_every_earlier_file_has_its_verdict(prices: PriceTable) -> None:
    found = {}
    for path in files():
        short = f"{path.parent.name}/{path.name}"
        pattern = next(pattern for pattern in DATA if fnmatch(short, f"*{pattern}") or fnmatch(path.name, pattern))
        verdicts = Counter(row.audit for row in audit_published(read_published(path), prices))
        if verdicts != DATA[pattern]:
            found[short] = dict(verdicts)
    assert found == {}


@pytest.mark.parametrize("name", NO_RESULTS)
def test_a_file_without_results_is_refused_in_words(name: str) -> None:
    for path in published_data().rglob(name):
        with pytest.raises(FmloadError, match="is not recognised as a result of") as error:
            read_published(path)
        assert error.value.hint


def report(tmp_path: Path, throughput: int, prices: PriceTable) -> AuditedRow:
    """A FMBench report of one user: 911 transactions a minute of 2.96 s, 61 tokens each."""
    path = tmp_path / "report.md"
    path.write_text("| Information | Value |\n|---|---|\n| payload_file | p |\n| concurrency | 1 |\n"
                    "| completion_token_count_mean | 61 |\n"
                    f"| completion_token_throughput | {throughput} |\n| latency_mean | 2.96 |\n"
                    "| transactions_per_minute | 911 |\n| price_per_txn | 0.000022 |\n")
    (row,) = audit_published(read_published(path), prices)
    return row


@pytest.mark.parametrize("throughput", [76, 926])
def test_tokens_a_second_are_corrected_from_the_corrected_transactions_not_from_the_published_911(
        tmp_path: Path, throughput: int, prices: PriceTable) -> None:
    row = report(tmp_path, throughput, prices)
    corrected = {found.figure: (found.published, round(found.corrected, 2)) for found in row.corrections}
    assert corrected["transactions_per_minute"] == (911, 20.27)
    assert corrected["output_tokens_per_s"] == (throughput, 20.61)
    assert row.audit == "FAIL"


def test_a_price_is_corrected_by_the_corrected_transactions(tmp_path: Path, prices: PriceTable) -> None:
    corrected = {found.figure: found.corrected for found in report(tmp_path, 76, prices).corrections}
    assert corrected["price_per_transaction"] == pytest.approx(0.000022 * 911 / 20.2703, rel=1e-4)
