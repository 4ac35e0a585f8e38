"""Contradictions planted in right files: found, with the right correction where one is made; and right files let be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from right_files import CLOSED_ONLY, WRITERS, simulated, vllm, written

from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published

Content = dict[str, Any]
_SEEDS = range(1, 41)


@pytest.fixture(scope="module")
def prices() -> PriceTable:
    return load_prices()


def audited(path: Path, text: str, prices: PriceTable) -> AuditedRow:
    path.write_text(text)
    published = read_published(path)
    (row,) = audit_published(published, prices)
    return row


@pytest.mark.parametrize("tool", sorted(WRITERS))
def test_right_files_are_not_accused(tmp_path: Path, prices: PriceTable, tool: str) -> None:
    seeds = [seed for seed in _SEEDS if tool not in CLOSED_ONLY or simulated(seed).users is not None]
    assert len(seeds) >= 20
    for seed in seeds:
        row = audited(tmp_path / "r.json", written(tool, simulated(seed)), prices)
        accused = [check.sentence for check in row.checks if check.result != "PASS"
                   and check.name != "ITL is without TTFT"]  # llmperf's is none, and said to be none
        assert not accused, (seed, accused)
        assert {found.figure for found in row.corrections} <= {"tpot_p50", "tpot_mean"} if tool == "llmperf" else (
            not row.corrections)
        assert len(row.checks) >= 5


def test_right_files_with_every_request_agree_with_it(tmp_path: Path, prices: PriceTable) -> None:
    for seed in range(1, 9):
        row = audited(tmp_path / "r.json", json.dumps(vllm(simulated(seed), detailed=True), default=float), prices)
        assert row.audit == "PASS"
        assert any("own requests" in check.name for check in row.checks)


@dataclass(frozen=True)
class Plant:
    """A change to a right file. `figure` is the one that was changed, under our name."""

    name: str
    tool: str
    change: Callable[[Content], None]
    figure: str = ""
    seed: int = 1


def times(*path: str, factor: float) -> Callable[[Content], None]:
    """Multiplies the value at the path."""
    def change(content: Content) -> None:
        holder: Any = content
        for key in path[:-1]:
            holder = holder[int(key)] if isinstance(holder, list) else holder[key]
        holder[path[-1]] = holder[path[-1]] * factor

    return change


def put(*path: str, value: Any) -> Callable[[Content], None]:
    """Sets the value at the path."""
    def change(content: Content) -> None:
        holder: Any = content
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value

    return change


def swap(a: str, b: str) -> Callable[[Content], None]:
    """Exchanges two values."""
    def change(content: Content) -> None:
        content[a], content[b] = content[b], content[a]

    return change


def several(*changes: Callable[[Content], None]) -> Callable[[Content], None]:
    """One change after the other."""
    def change(content: Content) -> None:
        for one in changes:
            one(content)

    return change


M = ("benchmarks", "0", "metrics")
FOUND = [
    Plant("rate doubled", "vllm", times("request_throughput", factor=2), "transactions_per_minute"),
    Plant("rate halved", "vllm", times("request_throughput", factor=0.5), "transactions_per_minute"),
    Plant("output rate up a tenth", "vllm", times("output_throughput", factor=1.1), "output_tokens_per_s"),
    Plant("output rate of another run", "vllm", times("output_throughput", factor=3), "output_tokens_per_s"),
    Plant("total rate is the output rate", "vllm", times("total_token_throughput", factor=0.3), "total_tokens_per_s"),
    Plant("duration halved", "vllm", times("duration", factor=0.5), "duration_s"),
    Plant("duration in ms", "vllm", times("duration", factor=1000), "duration_s"),
    Plant("requests of another run", "vllm", times("completed", factor=2), "completed"),
    Plant("output tokens doubled", "vllm", times("total_output_tokens", factor=2), "output_tokens"),
    Plant("all tokens and token rates doubled", "vllm", several(*(times(name, factor=2) for name in (
        "total_output_tokens", "total_input_tokens", "output_throughput", "total_token_throughput"))), seed=2),
    Plant("input tokens halved", "vllm", times("total_input_tokens", factor=0.5)),
    Plant("TTFT mean in s", "vllm", times("mean_ttft_ms", factor=1e-3), "ttft_mean"),
    Plant("TTFT mean tenfold", "vllm", times("mean_ttft_ms", factor=10), "ttft_mean"),
    Plant("TPOT tenfold", "vllm", times("mean_tpot_ms", factor=10), "tpot_mean"),
    Plant("E2E mean halved", "vllm", times("mean_e2el_ms", factor=0.5), "e2e_mean"),
    Plant("E2E mean threefold", "vllm", times("mean_e2el_ms", factor=3), "e2e_mean"),
    Plant("E2E in s", "vllm", times("mean_e2el_ms", factor=1e-3), "e2e_mean"),
    Plant("p99 below p95", "vllm", swap("p99_e2el_ms", "p95_e2el_ms")),
    Plant("median above p99", "vllm", swap("p99_ttft_ms", "median_ttft_ms")),
    Plant("TTFT p99 above E2E p99", "vllm", times("p99_ttft_ms", factor=500)),
    Plant("users eightfold", "vllm", times("max_concurrency", factor=8), "concurrency"),
    Plant("users too few", "vllm", put("max_concurrency", value=1), "concurrency", seed=5),
    Plant("goodput above throughput", "vllm", put("request_goodput", value=1e4)),
    Plant("failures hidden", "vllm", times("num_prompts", factor=1.25)),
    Plant("negative latency", "vllm", put("mean_itl_ms", value=-1.0)),
    Plant("deviation of nothing", "vllm", times("std_ttft_ms", factor=1e-4)),
    Plant("concurrency told", "sglang", times("concurrency", factor=2), "achieved_concurrency"),
    Plant("input rate", "sglang", times("input_throughput", factor=2), "input_tokens_per_s"),
    Plant("total rate", "sglang", times("total_throughput", factor=0.5), "total_tokens_per_s"),
    Plant("longer than asked", "sglang", put("random_output_len", value=5)),
    Plant("E2E halved", "sglang", times("mean_e2e_latency_ms", factor=0.5), "e2e_mean"),
    Plant("offered far below", "sglang", times("request_rate", factor=0.3), seed=3),
    Plant("output rate", "aiperf", times("output_token_throughput", "avg", factor=1.3), "output_tokens_per_s"),
    Plant("request rate", "aiperf", times("request_throughput", "avg", factor=1.3), "transactions_per_minute"),
    Plant("latency mean", "aiperf", times("request_latency", "avg", factor=0.7), "e2e_mean"),
    Plant("latency unit", "aiperf", put("request_latency", "unit", value="s")),
    Plant("latency sum", "aiperf", times("request_latency", "sum", factor=2), "e2e_sum"),
    Plant("TTFT minimum above p1", "aiperf", times("time_to_first_token", "min", factor=3)),
    Plant("TTFT maximum below p99", "aiperf", times("time_to_first_token", "max", factor=0.5)),
    Plant("user speed", "aiperf", times("output_token_throughput_per_user", "p50", factor=2),
          "user_tokens_per_s_p50"),
    Plant("duration", "aiperf", times("benchmark_duration", "avg", factor=1.5), "duration_s"),
    Plant("mean length", "aiperf", times("output_sequence_length", "avg", factor=1.5), "output_tokens_mean"),
    Plant("total tokens", "aiperf", times("total_osl", "avg", factor=1.5), "output_tokens"),
    Plant("output rate", "guidellm", times(*M, "output_tokens_per_second", "successful", "mean", factor=2),
          "output_tokens_per_s"),
    Plant("request rate", "guidellm", times(*M, "requests_per_second", "successful", "mean", factor=1.5),
          "transactions_per_minute"),
    Plant("median is not p50", "guidellm", times(*M, "request_latency", "successful", "median", factor=1.3),
          "e2e_median"),
    Plant("latency mean", "guidellm", times(*M, "request_latency", "successful", "mean", factor=0.5), "e2e_mean"),
    Plant("concurrency", "guidellm", times(*M, "request_concurrency", "successful", "mean", factor=2),
          "achieved_concurrency"),
    Plant("totals", "guidellm", times(*M, "request_totals", "total", factor=2), "requests_made"),
    Plant("output rate", "inference-perf", times("successes", "throughput", "output_tokens_per_sec", factor=2),
          "output_tokens_per_s"),
    Plant("total rate", "inference-perf", times("successes", "throughput", "total_tokens_per_sec", factor=2),
          "total_tokens_per_s"),
    Plant("request rate", "inference-perf", times("successes", "throughput", "requests_per_sec", factor=2),
          "transactions_per_minute"),
    Plant("latency mean", "inference-perf", times("successes", "latency", "request_latency", "mean", factor=0.4),
          "e2e_mean"),
    Plant("output length", "inference-perf", times("successes", "output_len", "mean", factor=2), "output_tokens_mean"),
    Plant("rate", "genai-bench", times("aggregated_metrics", "requests_per_second", factor=2),
          "transactions_per_minute"),
    Plant("TTFT mean", "genai-bench", times("aggregated_metrics", "stats", "ttft", "mean", factor=1.2), "ttft_mean"),
    Plant("error rate", "genai-bench", put("aggregated_metrics", "num_error_requests", value=50), "errors"),
    Plant("requests a minute", "llmeter", times("requests_per_minute", factor=2), "transactions_per_minute"),
    Plant("output tokens", "llmeter", times("total_output_tokens", factor=2), "output_tokens"),
    Plant("clients", "llmeter", times("clients", factor=8), "concurrency"),
    Plant("throughput", "llmperf", times("results_mean_output_throughput_token_per_s", factor=2),
          "output_tokens_per_s"),
    Plant("E2E mean", "llmperf", times("results_end_to_end_latency_s_mean", factor=0.3)),
    Plant("interactivity", "inferencex", times("median_intvty", factor=2), "user_tokens_per_s_p50"),
    Plant("median TTFT above p99", "inferencex", swap("median_ttft", "p99_ttft")),
]
NOT_FINDABLE = [  # each with the reason
    (Plant("TTFT p95 a little lower", "vllm", times("p95_ttft_ms", factor=0.97)),
     "it stays between its neighbours, and no other column holds a percentile of TTFT"),
    (Plant("ITL p99 doubled", "vllm", times("p99_itl_ms", factor=2)),
     "the highest percentile has no column above it"),
    (Plant("rate per GPU and number of GPUs", "inferencex", times("tp", factor=1)),
     "without the whole throughput the number of GPUs has nothing to agree with"),
    (Plant("everything twice as slow", "vllm", several(
        *(times(name, factor=2) for name in ("duration", *(f"{stat}_{metric}_ms" for stat in (
            "mean", "median", "std", "p90", "p95", "p99") for metric in ("ttft", "tpot", "itl", "e2el")))),
        *(times(name, factor=0.5) for name in ("request_throughput", "output_throughput", "total_token_throughput")))),
     "columns that were changed together are another run's, and agree"),
]


@pytest.mark.parametrize("plant", FOUND, ids=lambda plant: f"{plant.tool}: {plant.name}")
def test_a_planted_contradiction_is_found_and_no_other_figure_is_corrected(tmp_path: Path, prices: PriceTable,
                                                                          plant: Plant) -> None:
    content = json.loads(written(plant.tool, simulated(plant.seed)))
    right = audited(tmp_path / "right.json", json.dumps(content), prices)
    plant.change(content)
    row = audited(tmp_path / "planted.json", json.dumps(content), prices)
    assert row.audit in ("FAIL", "WARN")
    for found in row.corrections:
        if plant.tool == "llmperf" and found.figure.startswith("tpot_"):
            continue
        assert found.figure == plant.figure, "a right figure was corrected"
        expected = right.row.value(found.figure)
        if found.figure == "concurrency":  # what was in flight: at most the users, at least all of them but the tail
            assert found.corrected <= (expected or 0) * 1.05
        else:
            assert found.corrected == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize(("plant", "reason"), NOT_FINDABLE, ids=lambda value: value.name if isinstance(
    value, Plant) else None)
def test_what_the_columns_do_not_contradict_is_not_accused(tmp_path: Path, prices: PriceTable, plant: Plant,
                                                          reason: str) -> None:
    content = json.loads(written(plant.tool, simulated(plant.seed)))
    plant.change(content)
    assert audited(tmp_path / "planted.json", json.dumps(content), prices).audit == "PASS", reason


def test_most_planted_figures_are_named(tmp_path: Path, prices: PriceTable) -> None:
    """Where the columns single out the figure that was changed, it is corrected."""
    named, single = 0, [plant for plant in FOUND if plant.figure]
    for plant in single:
        content = json.loads(written(plant.tool, simulated(plant.seed)))
        plant.change(content)
        row = audited(tmp_path / "planted.json", json.dumps(content), prices)
        named += any(found.figure == plant.figure for found in row.corrections)
    assert named >= 0.75 * len(single), f"{named} of {len(single)}"


def test_a_file_with_its_requests_gives_every_planted_figure_back(tmp_path: Path, prices: PriceTable) -> None:
    for name, ours in (("mean_ttft_ms", "ttft_mean"), ("median_itl_ms", "icl_p50"), ("p99_ttft_ms", "ttft_p99"),
                       ("total_output_tokens", "output_tokens")):
        content = json.loads(json.dumps(vllm(simulated(3), detailed=True), default=float))
        right = content[name]
        content[name] *= 1.5
        row = audited(tmp_path / "planted.json", json.dumps(content), prices)
        found = {correction.figure: correction.corrected for correction in row.corrections}
        assert found[ours] == pytest.approx(right / (1e3 if name.endswith("_ms") else 1), rel=1e-6)
