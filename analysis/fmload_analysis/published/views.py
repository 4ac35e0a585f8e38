"""Our records under other tools' definitions, so that numbers can be reconciled: `fmload report --as TOOL`.

The requests that started inside the window are taken as if they were a whole run of that tool: its duration is from the
first send to the last end. Names and units are the tool's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from fmload.base.redaction import printable
from fmload.metrics.definitions import NS, Floats, gaps
from fmload.model.stage import Stage
from fmload.plugins import VIEWS
from fmload.pricing.spend import usd_of_tokens
from fmload_analysis.run import Run
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.stats import nearest_rank
from fmload_analysis.stage.windows import begun_ns, ended_ns, inside
from fmload_analysis.verdict.table import StageResult

if TYPE_CHECKING:
    from fmload_analysis.verdict.analysis import Analysis

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class ViewFacts:
    """The successful requests of one window, in seconds, and their pooled chunk gaps."""

    scheduled: Floats
    send: Floats
    first: Floats
    last: Floats
    end: Floats
    tokens_in: Floats
    tokens_out: Floats
    chunks: Floats
    gaps: Floats
    gap_means: Floats  # of each request that has gaps
    failed: int
    result: StageResult

    @property
    def duration(self) -> float:
        """From the first send to the last end."""
        return float(self.end.max() - self.send.min()) if len(self.send) else 0.0


def facts_of(run: Run, result: StageResult) -> ViewFacts:
    """Reads the stage's records once more."""
    stage: Stage = result.summary.stage
    rows: list[Floats] = []
    pooled, means = [], []
    for batch in run.batches(stage):
        columns = batch.columns
        good = inside(begun_ns(columns), stage.window_ns) & (batch.outcome == "ok")
        rows.append(np.stack([
            columns.scheduled_ns / NS, columns.send_ns / NS, columns.first_token_ns / NS, columns.last_token_ns / NS,
            ended_ns(columns) / NS, columns.input_tokens, columns.output_tokens, columns.chunk_counts])[:, good])
        found = gaps(columns)
        kept = good[found.row]
        pooled.append(found.gap_ns[kept] / NS)
        sums = np.bincount(found.row[kept], weights=pooled[-1], minlength=columns.rows)
        counts = np.bincount(found.row[kept], minlength=columns.rows)
        means.append(sums[counts > 0] / counts[counts > 0])
    table = np.concatenate(rows, axis=1) if rows else np.empty((8, 0))
    scheduled, send, first, last, end, tokens_in, tokens_out, chunks = table
    return ViewFacts(scheduled, send, first, last, end, tokens_in, tokens_out, chunks,
                     np.concatenate(pooled or [_NONE]), np.concatenate(means or [_NONE]), result.totals.failed, result)


_NONE = np.array([])


def _linear(name: str, values: Floats, scale: float, stats: str = "mean median std p99") -> Figures:
    """`mean_name`, `median_name`, … by linear interpolation, as numpy and pandas do."""
    known = values[~np.isnan(values)] * scale
    return {f"{stat}_{name}": _statistic(known, stat) for stat in stats.split()}


_NAMED: dict[str, Callable[[Floats], float]] = {
    "mean": np.mean, "avg": np.mean, "median": np.median, "std": np.std, "min": np.min, "max": np.max}


def _statistic(values: Floats, stat: str) -> float | None:
    if not len(values):
        return None
    return float(_NAMED[stat](values)) if stat in _NAMED else float(np.percentile(values, float(stat[1:])))


def _over(amount: float, seconds: float) -> float | None:
    return amount / seconds if seconds > 0 else None


def _after_first(facts: ViewFacts, spread: Floats) -> Floats:
    """Spread ÷ (tokens − 1), without the requests of one token."""
    several = facts.tokens_out > 1
    return spread[several] / (facts.tokens_out[several] - 1)


def vllm(facts: ViewFacts) -> Figures:
    """`vllm bench serve`: TPOT = (E2E − TTFT) ÷ (tokens − 1); ITL one sample a chunk; linear percentiles."""
    ttft, e2e = facts.first - facts.send, facts.last - facts.send
    return {
        "completed": float(len(e2e)), "failed": float(facts.failed), "duration": facts.duration,
        "request_throughput": _over(len(e2e), facts.duration),
        "output_throughput": _over(float(np.nansum(facts.tokens_out)), facts.duration),
        **_linear("ttft_ms", ttft, 1e3), **_linear("tpot_ms", _after_first(facts, e2e - ttft), 1e3),
        **_linear("itl_ms", facts.gaps, 1e3), **_linear("e2el_ms", e2e, 1e3)}


def genai_perf(facts: ViewFacts) -> Figures:
    """GenAI-Perf: inter-token latency = (E2E − TTFT) ÷ (tokens − 1), one value a request."""
    ttft, e2e = facts.first - facts.send, facts.last - facts.send
    stats = "avg p50 p90 p95 p99 min max"
    return {
        "request_count": float(len(e2e)), "request_throughput": _over(len(e2e), facts.duration),
        "output_token_throughput": _over(float(np.nansum(facts.tokens_out)), facts.duration),
        **_linear("time_to_first_token", ttft, 1e3, stats), **_linear("request_latency", e2e, 1e3, stats),
        **_linear("inter_token_latency", _after_first(facts, e2e - ttft), 1e3, stats)}


def aiperf(facts: ViewFacts) -> Figures:
    """AIPerf: GenAI-Perf's figures, the gaps between chunks, a user's speed = 1 ÷ inter-token latency, and requests in
    flight over the run. Its first chunk is taken to hold one token."""
    ttft, e2e = facts.first - facts.send, facts.last - facts.send
    latency = _after_first(facts, e2e - ttft)
    given, made = float(np.nansum(facts.tokens_in)), float(np.nansum(facts.tokens_out))
    stats = "avg p1 p5 p10 p25 p50 p75 p90 p95 p99 min max std"
    return {
        "request_count": float(len(e2e)), "error_request_count": float(facts.failed),
        "benchmark_duration": facts.duration, "request_throughput": _over(len(e2e), facts.duration),
        "output_token_throughput": _over(made, facts.duration),
        "total_token_throughput": _over(given + made, facts.duration),
        "effective_concurrency": _over(float(np.nansum(e2e)), facts.duration), "total_isl": given, "total_osl": made,
        **_linear("time_to_first_token", ttft, 1e3, stats), **_linear("request_latency", e2e, 1e3, stats),
        **_linear("inter_token_latency", latency, 1e3, stats), **_linear("inter_chunk_latency", facts.gaps, 1e3, stats),
        **_linear("output_token_throughput_per_user", 1 / latency[latency > 0], 1, stats),
        **_linear("output_sequence_length", facts.tokens_out, 1, stats),
        **_linear("input_sequence_length", facts.tokens_in, 1, stats)}


def sglang(facts: ViewFacts) -> Figures:
    """SGLang's `bench_serving`: E2E to the end of the stream, TPOT = (E2E − TTFT) ÷ (tokens − 1), concurrency the sum
    of the latencies over the duration."""
    ttft, e2e = facts.first - facts.send, facts.end - facts.send
    given, made = float(np.nansum(facts.tokens_in)), float(np.nansum(facts.tokens_out))
    stats = "mean median std p90 p95 p99"
    return {
        "completed": float(len(e2e)), "duration": facts.duration, "total_input_tokens": given,
        "total_output_tokens": made, "request_throughput": _over(len(e2e), facts.duration),
        "input_throughput": _over(given, facts.duration), "output_throughput": _over(made, facts.duration),
        "total_throughput": _over(given + made, facts.duration),
        "concurrency": _over(float(np.nansum(e2e)), facts.duration),
        **_linear("e2e_latency_ms", e2e, 1e3, stats), **_linear("ttft_ms", ttft, 1e3, stats),
        **_linear("tpot_ms", _after_first(facts, e2e - ttft), 1e3, stats),
        **_linear("itl_ms", facts.gaps, 1e3, stats)}


def inference_perf(facts: ViewFacts) -> Figures:
    """inference-perf: latency to the end of the stream, per token with the first one's wait (normalized) and without
    (last − first ÷ tokens − 1), one ITL a chunk; seconds."""
    latency = facts.end - facts.send
    some = facts.tokens_out > 0
    given, made = float(np.nansum(facts.tokens_in)), float(np.nansum(facts.tokens_out))
    stats = "mean min p1 p5 p10 p25 median p75 p90 p95 p99 max"
    return {
        "count": float(len(latency)), "failures": float(facts.failed),
        "requests_per_sec": _over(len(latency), facts.duration), "input_tokens_per_sec": _over(given, facts.duration),
        "output_tokens_per_sec": _over(made, facts.duration),
        "total_tokens_per_sec": _over(given + made, facts.duration), **_linear("request_latency", latency, 1, stats),
        **_linear("normalized_time_per_output_token", latency[some] / facts.tokens_out[some], 1, stats),
        **_linear("time_per_output_token", _after_first(facts, facts.last - facts.first), 1, stats),
        **_linear("time_to_first_token", facts.first - facts.send, 1, stats),
        **_linear("inter_token_latency", facts.gaps, 1, stats), **_linear("prompt_len", facts.tokens_in, 1, stats),
        **_linear("output_len", facts.tokens_out, 1, stats)}


def llmperf(facts: ViewFacts) -> Figures:
    """llmperf: E2E to the stream's end; inter-token latency = E2E ÷ tokens, TTFT included; a request's own speed."""
    e2e = facts.end - facts.send
    some = facts.tokens_out > 0
    stats = "mean p25 p50 p75 p90 p95 p99"
    return {
        "num_completed_requests": float(len(e2e)), "number_errors": float(facts.failed),
        "num_completed_requests_per_min": _over(60 * len(e2e), facts.duration),
        "mean_output_throughput_token_per_s": _over(float(np.nansum(facts.tokens_out)), facts.duration),
        **_linear("ttft_s", facts.first - facts.send, 1, stats), **_linear("end_to_end_latency_s", e2e, 1, stats),
        **_linear("inter_token_latency_s", e2e[some] / facts.tokens_out[some], 1, stats),
        **_linear("request_output_throughput_token_per_s", facts.tokens_out[some] / e2e[some], 1, stats)}


def guidellm(facts: ViewFacts) -> Figures:
    """GuideLLM: ITL = (last − first) ÷ (tokens − 1), TPOT = (last − send) ÷ tokens, both weighted by tokens."""
    several = facts.tokens_out > 1
    spread = facts.last - facts.first
    itl = _weighted("inter_token_latency_ms", spread[several] / (facts.tokens_out[several] - 1) * 1e3,
                    facts.tokens_out[several] - 1)
    some = facts.tokens_out > 0
    tpot = _weighted("time_per_output_token_ms", (facts.last - facts.send)[some] / facts.tokens_out[some] * 1e3,
                     facts.tokens_out[some])
    stats = "mean median p95 p99"
    return {"requests_per_second": _over(len(facts.send), facts.duration),
            "output_tokens_per_second": _over(float(np.nansum(facts.tokens_out)), facts.duration),
            **_linear("time_to_first_token_ms", facts.first - facts.send, 1e3, stats),
            **_linear("request_latency", facts.end - facts.send, 1, stats), **itl, **tpot}


def _weighted(name: str, values: Floats, weights: Floats) -> Figures:
    samples = Samples()
    samples.add(values, weights)
    found = samples.percentiles((50.0, 95.0, 99.0))
    return {f"mean_{name}": samples.mean, **{f"p{p:g}_{name}": value for p, value in found.items()}}


def mlperf(facts: ViewFacts) -> Figures:
    """MLPerf LoadGen: from the scheduled instant; TPOT = (latency − TTFT) ÷ (tokens − 1); nearest rank."""
    latency, ttft = facts.last - facts.scheduled, facts.first - facts.scheduled
    window = float(facts.end.max() - facts.scheduled.min()) if len(latency) else 0.0
    figures: Figures = {"completed_samples_per_second": _over(max(len(latency) - 1, 0), window),
                        "completed_tokens_per_second": _over(float(np.nansum(facts.tokens_out)), window)}
    for name, values in (("latency", latency), ("first_token_latency", ttft),
                         ("time_per_output_token", _after_first(facts, latency - ttft))):
        ordered = np.sort(values[~np.isnan(values)])
        figures[f"mean_{name}_ns"] = float(ordered.mean() * NS) if len(ordered) else None
        for p in (50, 90, 95, 97, 99, 99.9):
            at = nearest_rank(ordered, p)
            figures[f"{p:.2f}_percentile_{name}_ns"] = None if at is None else at * NS
    return figures


def fmbench(facts: ViewFacts) -> Figures:
    """FMBench: counts and rates truncated to whole numbers, linear percentiles, TPOT the mean gap between chunks."""
    e2e, n = facts.end - facts.send, len(facts.send)
    per_minute = int(_over(60 * n, facts.duration) or 0)
    given, made = (int(np.nanmean(tokens)) if n else 0 for tokens in (facts.tokens_in, facts.tokens_out))
    price = _fmbench_price(facts.result, per_minute, given, made)
    return {
        "concurrency": float(facts.result.summary.stage.concurrency or 0),
        "error_rate": round(facts.failed / (n + facts.failed), 2) if n + facts.failed else None,
        "prompt_token_count_mean": float(given), "completion_token_count_mean": float(made),
        "prompt_token_throughput": float(int(_over(float(np.nansum(facts.tokens_in)), facts.duration) or 0)),
        "completion_token_throughput": float(int(_over(float(np.nansum(facts.tokens_out)), facts.duration) or 0)),
        **{f"latency_{stat}": value for stat, value in zip(("p50", "p95", "p99"), _linear(
            "", e2e, 1, "p50 p95 p99").values(), strict=True)},
        **{f"TTFT_{stat}": value for stat, value in zip(("mean", "p50", "p95", "p99"), _linear(
            "", facts.first - facts.send, 1, "mean p50 p95 p99").values(), strict=True)},
        **{f"TPOT_{stat}": value for stat, value in zip(("mean", "p50", "p95", "p99"), _linear(
            "", facts.gap_means, 1, "mean p50 p95 p99").values(), strict=True)},
        "transactions_per_minute": float(per_minute), "price_per_txn": price,
        "price_per_token": round(price / (given + made), 8) if price is not None and given + made else None}


def _fmbench_price(result: StageResult, per_minute: int, given: int, made: int) -> float | None:
    """By the hour over whole transactions a minute; by the token of the mean lengths, nothing cached."""
    hourly, pricing = result.totals.usd_per_hour, result.pricing
    if hourly is not None:
        return hourly / 60 / per_minute if per_minute else None
    if pricing is None or pricing.output_per_1m is None or not given + made:
        return None
    return float(usd_of_tokens(pricing, given, made))


def view(run: Run, result: StageResult, tool: str) -> Figures:
    """One stage under a tool's definitions. Raises FmloadError for a tool that is not in VIEWS."""
    shown: Figures = VIEWS.use(tool, facts_of(run, result))
    return shown


def show(analysis: Analysis, tool: str, abreast: int = 4) -> Group:
    """All stages under a tool's definitions: one column a stage, `abreast` of them in a table."""
    parts = [analysis.results[start:start + abreast] for start in range(0, len(analysis.results), abreast)]
    return Group(*(_table(analysis.run, part, tool) for part in parts))


def _table(run: Run, results: Sequence[StageResult], tool: str) -> Table:
    columns = [view(run, result, tool) for result in results]
    table = Table(title=f"as {tool}", box=None, title_justify="left")
    table.add_column("", no_wrap=True)
    for result in results:
        table.add_column(Text(printable(f"{result.endpoint}\n{result.prompt_set}\n{result.load}")),
                         justify="right")
    for name in dict.fromkeys(name for figures in columns for name in figures):
        table.add_row(name, *(_cell(figures.get(name)) for figures in columns))
    return table


def _cell(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.6g}"
