"""Contradictions planted in right files of each tool, and what becomes of each.

    python -m tests.plants > docs/published-plants.md
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fmload.pricing.table import PriceTable, load_prices
from fmload_analysis.published.checks.audit_published import audit_published
from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import read_published
from tests.right_files import simulated, written

Content = dict[str, Any]


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
    Plant("request rate", "genai-perf", times("request_throughput", "avg", factor=3), "transactions_per_minute"),
    Plant("output rate", "genai-perf", times("output_token_throughput", "avg", factor=2), "output_tokens_per_s"),
    Plant("latency unit", "genai-perf", put("request_latency", "unit", value="s")),
    Plant("TTFT p50 above p99", "genai-perf", times("time_to_first_token", "p50", factor=20)),
    Plant("samples a second", "mlcommons", times("qps", factor=2), "transactions_per_minute"),
    Plant("tokens a second", "mlcommons", times("tps", factor=0.5), "output_tokens_per_s"),
    Plant("samples a second of an open loop", "mlcommons", times("qps", factor=0.5), "transactions_per_minute", 3),
    Plant("duration", "mlcommons", times("duration_ns", factor=3), "duration_s"),
    Plant("latency in µs", "mlcommons", times("latency", "avg", factor=1e-3), "e2e_mean"),
    Plant("mean length", "mlcommons", times("output_sequence_lengths", "avg", factor=2), "output_tokens_mean"),
    Plant("maximum below p99", "mlcommons", times("ttft", "max", factor=0.3)),
    Plant("users fourfold", "mlcommons", times("run_config", "load_pattern", "target_concurrency", factor=4),
          "concurrency"),
    Plant("ITL median above p99", "vllm", swap("p99_itl_ms", "median_itl_ms")),
    Plant("offered rate tenfold", "vllm", times("request_rate", factor=10), seed=3),
    Plant("p95 above the maximum", "aiperf", times("inter_token_latency", "p95", factor=40)),
    Plant("effective concurrency", "aiperf", times("effective_concurrency", "avg", factor=2), "achieved_concurrency"),
    Plant("p99 of lengths below p50", "aiperf", times("input_sequence_length", "p99", factor=0.1)),
    Plant("total rate", "guidellm", times(*M, "tokens_per_second", "successful", "mean", factor=2),
          "total_tokens_per_s"),
    Plant("time to first token above E2E", "guidellm", times(*M, "time_to_first_token_ms", "successful", "mean",
                                                            factor=300), "ttft_mean"),
    Plant("input rate", "genai-bench", times("aggregated_metrics", "mean_input_throughput_tokens_per_s", factor=2),
          "input_tokens_per_s"),
    Plant("E2E p99 below p50", "genai-bench", times("aggregated_metrics", "stats", "e2e_latency", "p99", factor=0.1)),
    Plant("failed requests", "llmeter", put("failed_requests", value=40), "errors"),
    Plant("E2E average", "llmeter", times("time_to_last_token-average", factor=3)),
    Plant("errors", "llmperf", put("results_number_errors", value=30), "errors"),
    Plant("rate per GPU", "inferencex", times("output_tput_per_gpu", factor=10)),
    Plant("prompts fewer than answers", "vllm", times("num_prompts", factor=0.5), "requests"),
    Plant("TPOT median in µs", "vllm", times("median_tpot_ms", factor=1e3), "tpot_p50"),
    Plant("ITL mean in s", "vllm", times("mean_itl_ms", factor=1e-3), "icl_mean"),
    Plant("E2E deviation of seconds", "vllm", times("std_e2el_ms", factor=1e-3), "e2e_std"),
    Plant("input and output tokens exchanged", "vllm", swap("total_input_tokens", "total_output_tokens")),
    Plant("TTFT and TPOT exchanged", "vllm", several(
        *(swap(f"{stat}_ttft_ms", f"{stat}_tpot_ms") for stat in ("mean", "median", "std")))),
    Plant("completed of a longer run", "sglang", times("completed", factor=3), "completed"),
    Plant("TTFT deviation beyond its range", "aiperf", times("time_to_first_token", "std", factor=10), "ttft_std"),
    Plant("count of a metric", "aiperf", times("inter_token_latency", "count", factor=2), "tpot_count"),
    Plant("sum of input lengths", "guidellm", times(*M, "prompt_token_count", "successful", "total_sum", factor=2),
          "input_tokens"),
    Plant("total tokens a request", "guidellm", times(*M, "total_token_count", "successful", "mean", factor=1.5),
          "total_tokens_mean"),
    Plant("duration", "genai-bench", times("aggregated_metrics", "run_duration", factor=0.5), "duration_s"),
    Plant("total throughput", "genai-bench", times(
        "aggregated_metrics", "mean_total_tokens_throughput_tokens_per_s", factor=2), "total_tokens_per_s"),
    Plant("TTFT p90 below its median", "llmeter", times("time_to_first_token-p90", factor=0.01)),
    Plant("test time", "llmeter", times("total_test_time", factor=2), "duration_s"),
    Plant("TPOT with a factor of ten", "inference-perf", times(
        "successes", "latency", "time_per_output_token", "mean", factor=10), "tpot_mean"),
    Plant("output length", "genai-perf", times("output_sequence_length", "avg", factor=2), "output_tokens_mean"),
    Plant("completed of another run", "llmperf", times("results_num_completed_requests", factor=2), "completed"),
    Plant("mean TTFT below its percentiles", "inferencex", times("mean_ttft", factor=0.01), "ttft_mean"),
]
NOT_FINDABLE = [  # each with the reason
    (Plant("TTFT p95 a little lower", "vllm", times("p95_ttft_ms", factor=0.97)),
     "it stays between its neighbours, and no other column holds a percentile of TTFT"),
    (Plant("ITL p99 doubled", "vllm", times("p99_itl_ms", factor=2)),
     "the highest percentile has no column above it"),
    (Plant("number of GPUs doubled", "inferencex", times("tp", factor=2)),
     "throughput is told a GPU only: the number of them has nothing to agree with"),
    (Plant("everything twice as slow", "vllm", several(
        *(times(name, factor=2) for name in ("duration", *(f"{stat}_{metric}_ms" for stat in (
            "mean", "median", "std", "p90", "p95", "p99") for metric in ("ttft", "tpot", "itl", "e2el")))),
        *(times(name, factor=0.5) for name in ("request_throughput", "output_throughput", "total_token_throughput")))),
     "columns that were changed together are another run's, and agree"),
]


def planted(plant: Plant, folder: Path, prices: PriceTable) -> AuditedRow:
    """The audit of a right file with the change in it."""
    content = json.loads(written(plant.tool, simulated(plant.seed)))
    plant.change(content)
    path = folder / "planted.json"
    path.write_text(json.dumps(content))
    (row,) = audit_published(read_published(path), prices)
    return row


def _line(plant: Plant, row: AuditedRow) -> str:
    broken = [check for check in row.checks if check.result in ("FAIL", "WARN")]
    checks = ", ".join(dict.fromkeys(check.name for check in broken[:2])) + (
        f" and {len(broken) - 2} more" if len(broken) > 2 else "")
    corrected = ", ".join(row.row.called(found.figure) for found in row.corrections)
    each = list(dict.fromkeys(name for check in broken for name in check.figures.get("if_wrong", {})))
    rest = f"one of {len(each)}: {', '.join(each[:4])}{' …' if len(each) > 4 else ''}" if each else "the columns named"
    return f"| {plant.tool} | {plant.name} | {row.audit} | {checks} | {corrected or rest} |"


def page() -> str:
    """The page of all plants."""
    prices = load_prices()
    with tempfile.TemporaryDirectory() as folder:
        found = [_line(plant, planted(plant, Path(folder), prices)) for plant in FOUND]
    tools = len({plant.tool for plant in FOUND})
    lost = [f"| {plant.tool} | {plant.name} | {reason} |" for plant, reason in NOT_FINDABLE]
    return f"""# Planted contradictions

{len(FOUND)} contradictions planted, one at a time, in right files of {tools} tools: a load is simulated request by
request, written by each tool's own formulas, and one figure is changed. All of them are found. A right figure is never
corrected in its place: where the columns do not tell which one is wrong, all candidates are shown and none is
corrected. The same files without a plant, 20 to 40 a tool, are accused of nothing.

| tool | planted | audit | found by | corrected, or the candidates |
|---|---|---|---|---|
{chr(10).join(found)}

FMBench's own kinds are planted in the files that it published: a price × 10 and ÷ 10 of Bedrock and of an instance, a
flipped criterion, a red text, a rounded column, a cost row, a total, a recommendation, transactions × 10.

## Not findable

| tool | planted | why no column contradicts it |
|---|---|---|
{chr(10).join(lost)}

```
python -m tests.plants > docs/published-plants.md
```
"""


if __name__ == "__main__":
    sys.stdout.write(page())
