"""Result files of other tools that are right: a load is simulated request by request, and written by each tool's own
formulas, so that an audit of them must find nothing."""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

STATS = ("p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99")


@dataclass(frozen=True)
class Load:
    """Requests that were made: seconds from the first send, one row a request."""

    send: np.ndarray[Any, Any]
    first: np.ndarray[Any, Any]
    last: np.ndarray[Any, Any]
    given: np.ndarray[Any, Any]
    made: np.ndarray[Any, Any]
    gaps: list[np.ndarray[Any, Any]]
    users: int | None
    rate: float | None

    @property
    def duration(self) -> float:
        return float(self.last.max() - self.send.min())

    @property
    def count(self) -> int:
        return len(self.send)

    @property
    def e2e(self) -> np.ndarray[Any, Any]:
        return self.last - self.send

    @property
    def ttft(self) -> np.ndarray[Any, Any]:
        return self.first - self.send

    @property
    def tpot(self) -> np.ndarray[Any, Any]:
        several = self.made > 1
        return (self.last - self.first)[several] / (self.made[several] - 1)

    @property
    def all_gaps(self) -> np.ndarray[Any, Any]:
        return np.concatenate(self.gaps)


def simulated(seed: int) -> Load:
    """A load of some 60 to 400 requests: closed or open, lengths fixed or scattered, prompts long or short."""
    random = np.random.default_rng(seed)
    count, users = int(random.integers(60, 400)), int(random.choice([1, 2, 4, 8, 16, 32]))
    open_loop = seed % 3 == 0
    mean = int(random.integers(20, 400))
    made = np.full(count, mean) if seed % 2 else np.maximum(random.gamma(1.5, mean / 1.5, count).astype(int), 1)
    fixed = np.full(count, int(mean * random.choice([0.95, 1.0, 8.0])))
    given = fixed if seed % 4 else random.integers(10, 3000, count)
    gap, wait = random.uniform(0.004, 0.05), random.uniform(0.02, 0.8)
    gaps = [random.gamma(4, gap / 4, max(tokens - 1, 0)) for tokens in made]
    spans = np.array([own.sum() for own in gaps])
    waits = random.lognormal(np.log(wait), 0.4, count)
    rate = float(users / (wait + mean * gap)) if open_loop else None
    send = _open(random, count, rate) if rate else _closed(waits + spans, users)
    return Load(send, send + waits, send + waits + spans, given, made, gaps, None if open_loop else users, rate)


def _open(random: np.random.Generator, count: int, rate: float) -> np.ndarray[Any, Any]:
    sends = np.cumsum(random.exponential(1 / rate, count))
    return (sends - sends[0]) * (count / rate) / max(sends[-1] - sends[0], 1e-9)  # vLLM scales its arrivals alike


def _closed(spans: np.ndarray[Any, Any], users: int) -> np.ndarray[Any, Any]:
    free = [0.0] * min(users, len(spans))
    sends = []
    for span in spans:
        sends.append(start := heapq.heappop(free))
        heapq.heappush(free, start + span)
    return np.array(sends)


def _statistics(values: np.ndarray[Any, Any], names: dict[str, str], scale: float = 1.0) -> dict[str, float]:
    known = {"mean": values.mean(), "std": values.std(), "min": values.min(), "max": values.max(),
             "sum": values.sum(), "count": len(values) / scale,
             **{stat: np.percentile(values, float(stat[1:])) for stat in STATS}}
    return {name: float(known[stat] * scale) for name, stat in names.items()}


def vllm(load: Load, detailed: bool = False) -> dict[str, Any]:
    """`vllm bench serve --save-result`, `--save-detailed` with the arrays."""
    content: dict[str, Any] = {
        "date": "20260428-095035", "backend": "vllm", "model_id": "m", "tokenizer_id": "m", "num_prompts": load.count,
        "request_rate": load.rate or "inf", "burstiness": 1.0, "max_concurrency": load.users,
        "duration": load.duration, "completed": load.count, "failed": 0,
        "total_input_tokens": int(load.given.sum()), "total_output_tokens": int(load.made.sum()),
        "request_throughput": load.count / load.duration, "request_goodput": None,
        "output_throughput": load.made.sum() / load.duration,
        "total_token_throughput": (load.given.sum() + load.made.sum()) / load.duration}
    for name, values in (("ttft", load.ttft), ("tpot", load.tpot), ("itl", load.all_gaps), ("e2el", load.e2e)):
        names = {f"{stat}_{name}_ms": ours for stat, ours in (
            ("mean", "mean"), ("median", "p50"), ("std", "std"), ("p90", "p90"), ("p95", "p95"), ("p99", "p99"))}
        content |= _statistics(values, names, 1e3)
    if detailed:
        content |= {"input_lens": load.given.tolist(), "output_lens": load.made.tolist(), "ttfts": load.ttft.tolist(),
                    "itls": [own.tolist() for own in load.gaps], "generated_texts": [""] * load.count,
                    "errors": [""] * load.count}
    return content


def sglang(load: Load) -> dict[str, Any]:
    """`sglang.bench_serving --output-file`."""
    content: dict[str, Any] = {
        "backend": "sglang", "dataset_name": "random", "request_rate": load.rate or float("inf"),
        "max_concurrency": load.users, "sharegpt_output_len": None, "random_input_len": int(load.given.max()),
        "random_output_len": int(load.made.max()), "random_range_ratio": 0.0, "duration": load.duration,
        "completed": load.count, "total_input_tokens": int(load.given.sum()),
        "total_output_tokens": int(load.made.sum()), "total_output_tokens_retokenized": int(load.made.sum()) - 3,
        "request_throughput": load.count / load.duration, "input_throughput": load.given.sum() / load.duration,
        "output_throughput": load.made.sum() / load.duration,
        "total_throughput": (load.given.sum() + load.made.sum()) / load.duration,
        "concurrency": load.e2e.sum() / load.duration, "accept_length": None}
    for name, values in (("e2e_latency", load.e2e), ("ttft", load.ttft), ("tpot", load.tpot), ("itl", load.all_gaps)):
        content |= _statistics(values, {f"mean_{name}_ms": "mean", f"median_{name}_ms": "p50", f"std_{name}_ms": "std",
                                        f"p99_{name}_ms": "p99"}, 1e3)
    return content


def aiperf(load: Load) -> dict[str, Any]:
    """AIPerf's `profile_export_aiperf.json`."""
    names = {stat: stat for stat in (*STATS, "min", "max", "std", "sum", "count")} | {"avg": "mean"}

    def metric(unit: str, values: np.ndarray[Any, Any], scale: float = 1.0) -> dict[str, Any]:
        return {"unit": unit, **_statistics(values, names, scale)}

    def single(unit: str, value: float) -> dict[str, Any]:
        return {"unit": unit, "avg": float(value)}

    phase = {"type": "concurrency", "concurrency": load.users} if load.users else {
        "type": "poisson", "rate": load.rate}
    return {
        "schema_version": "1.4", "aiperf_version": "0.13.0",
        "request_throughput": single("requests/sec", load.count / load.duration),
        "request_latency": metric("ms", load.e2e, 1e3), "request_count": single("requests", load.count),
        "time_to_first_token": metric("ms", load.ttft, 1e3), "inter_token_latency": metric("ms", load.tpot, 1e3),
        "inter_chunk_latency": metric("ms", load.all_gaps, 1e3),
        "output_token_throughput": single("tokens/sec", load.made.sum() / load.duration),
        "output_token_throughput_per_user": metric("tokens/sec/user", 1 / load.tpot),
        "output_sequence_length": metric("tokens", load.made), "input_sequence_length": metric("tokens", load.given),
        "benchmark_duration": single("sec", load.duration), "total_osl": single("tokens", load.made.sum()),
        "total_isl": single("tokens", load.given.sum()),
        "total_token_throughput": single("tokens/sec", (load.given.sum() + load.made.sum()) / load.duration),
        "effective_concurrency": single("requests", load.e2e.sum() / load.duration),
        "input_config": {"models": {"items": [{"name": "m"}]}, "phases": [
            {"name": "warmup", "type": "concurrency", "concurrency": 3, "exclude_from_results": True},
            {"name": "profiling", **phase}]},
        "error_summary": [], "start_time": "2026-07-03T05:21:36.274997", "was_cancelled": False}


def genai_perf(load: Load) -> dict[str, Any]:
    """GenAI-Perf's `profile_export_genai_perf.json`."""
    kept = ("request_throughput", "request_latency", "time_to_first_token", "inter_token_latency", "request_count",
            "output_token_throughput", "output_sequence_length", "input_sequence_length")
    content = {name: aiperf(load)[name] for name in kept}
    return content | {"input_config": {"perf_analyzer": {"stimulus": {"concurrency": load.users}},
                                       "artifact_dir": "artifacts", "concurrency": load.users}}


def guidellm(load: Load) -> dict[str, Any]:
    """GuideLLM's benchmarks.json with one benchmark; its ITL and TPOT are weighted by tokens."""
    names = {"mean": "mean", "median": "p50", "std_dev": "std", "min": "min", "max": "max", "count": "count",
             "total_sum": "sum"}
    spelled = {"p01": "p1", "p05": "p5", **{stat: stat for stat in STATS if len(stat) == 3}}

    def summary(values: np.ndarray[Any, Any], scale: float = 1.0) -> dict[str, Any]:
        found: dict[str, Any] = _statistics(values, names, scale)
        found["percentiles"] = _statistics(values, spelled, scale)
        return {"successful": found, "errored": {**dict.fromkeys(found, 0.0), "percentiles": {}}}

    several = load.made > 1
    itl = np.repeat((load.last - load.first)[several] / (load.made[several] - 1), load.made[several] - 1)
    strategy = {"type_": "concurrent", "streams": load.users} if load.users else {
        "type_": "constant", "rate": load.rate}
    rate = {"successful": {"mean": load.count / load.duration}}
    totals = {"successful": load.count, "errored": 0, "incomplete": 0, "total": load.count}
    return {"metadata": {"version": 2}, "benchmarks": [{
        "type_": "generative_benchmark", "config": {"strategy": strategy}, "start_time": 1.78e9,
        "duration": load.duration,
        "metrics": {
            "request_totals": totals, "requests_per_second": rate, "request_latency": summary(load.e2e),
            "request_concurrency": {"successful": {"mean": load.e2e.sum() / load.duration}},
            "prompt_token_count": summary(load.given), "output_token_count": summary(load.made),
            "total_token_count": summary(load.given + load.made), "time_to_first_token_ms": summary(load.ttft, 1e3),
            "inter_token_latency_ms": summary(itl, 1e3),
            "time_per_output_token_ms": summary(np.repeat(load.e2e / load.made, load.made), 1e3),
            "output_tokens_per_second": {"successful": {"mean": load.made.sum() / load.duration}},
            "tokens_per_second": {"successful": {"mean": (load.given.sum() + load.made.sum()) / load.duration}}}}]}


def inference_perf(load: Load) -> dict[str, Any]:
    """inference-perf's `stage_0_lifecycle_metrics.json`."""
    names = {"mean": "mean", "min": "min", "max": "max", "median": "p50",
             **{stat: stat for stat in STATS if stat != "p50"}}
    sending = float(load.send.max())
    offered = load.count / sending if sending else 0.0
    return {
        "load_summary": {"count": load.count, "schedule_delay": {"mean": 0.0002}, "send_duration": sending,
                         **({"requested_rate": offered, "achieved_rate": offered} if load.rate else {
                             "concurrency": load.users})},
        "successes": {
            "count": load.count,
            "latency": {"request_latency": _statistics(load.e2e, names),
                        "normalized_time_per_output_token": _statistics(load.e2e / load.made, names),
                        "time_per_output_token": _statistics(load.tpot, names),
                        "time_to_first_token": _statistics(load.ttft, names),
                        "inter_token_latency": _statistics(load.all_gaps, names)},
            "throughput": {"input_tokens_per_sec": load.given.sum() / load.duration,
                           "output_tokens_per_sec": load.made.sum() / load.duration,
                           "total_tokens_per_sec": (load.given.sum() + load.made.sum()) / load.duration,
                           "requests_per_sec": load.count / load.duration},
            "prompt_len": _statistics(load.given, names), "output_len": _statistics(load.made, names)},
        "failures": {"count": 0, "request_latency": None, "prompt_len": None}}


def genai_bench(load: Load) -> dict[str, Any]:
    """genai-bench's JSON of one level, with each request."""
    names = {"min": "min", "max": "max", "mean": "mean", "stddev": "std", "sum": "sum",
             **{stat: stat for stat in ("p25", "p50", "p75", "p90", "p95", "p99")}}
    tpot = np.where(load.made > 1, (load.last - load.first) / np.maximum(load.made - 1, 1), 0.0)
    stats = {name: _statistics(values, names) for name, values in (
        ("ttft", load.ttft), ("tpot", tpot), ("e2e_latency", load.e2e), ("num_input_tokens", load.given),
        ("num_output_tokens", load.made))}
    return {
        "aggregated_metrics": {
            "scenario": "D(100,100)", "num_concurrency": load.users or 1, "run_duration": load.duration,
            "mean_output_throughput_tokens_per_s": load.made.sum() / load.duration,
            "mean_input_throughput_tokens_per_s": load.given.sum() / load.duration,
            "mean_total_tokens_throughput_tokens_per_s": (load.given.sum() + load.made.sum()) / load.duration,
            "requests_per_second": load.count / load.duration, "error_codes_frequency": {}, "error_rate": 0.0,
            "num_error_requests": 0, "num_completed_requests": load.count, "num_requests": load.count, "stats": stats},
        "individual_request_metrics": [
            {"ttft": float(a), "tpot": float(b), "e2e_latency": float(c), "num_input_tokens": int(d),
             "num_output_tokens": int(e), "error_code": None, "error_message": None}
            for a, b, c, d, e in zip(load.ttft, tpot, load.e2e, load.given, load.made, strict=True)],
        "_time_unit": "s"}


def llmeter(load: Load) -> dict[str, Any]:
    """llmeter's `stats.json`."""
    content: dict[str, Any] = {
        "total_requests": load.count, "clients": load.users or 1, "total_test_time": load.duration, "model_id": "m",
        "failed_requests": 0, "failed_requests_rate": 0.0, "requests_per_minute": load.count / load.duration * 60,
        "total_input_tokens": int(load.given.sum()), "total_output_tokens": int(load.made.sum())}
    for name, values in (("time_to_last_token", load.e2e), ("time_to_first_token", load.ttft),
                         ("num_tokens_output", load.made), ("num_tokens_input", load.given)):
        content |= _statistics(values, {f"{name}-average": "mean", f"{name}-p50": "p50", f"{name}-p90": "p90",
                                        f"{name}-p99": "p99"})
    return content


def llmperf(load: Load) -> dict[str, Any]:
    """llmperf's summary: ITL with TTFT in it."""
    content: dict[str, Any] = {
        "version": "2023-08-31", "model": "m", "num_concurrent_requests": load.users or 1,
        "results_num_requests_started": load.count, "results_number_errors": 0, "results_error_rate": 0.0,
        "results_num_completed_requests": load.count,
        "results_num_completed_requests_per_min": load.count / load.duration * 60,
        "results_mean_output_throughput_token_per_s": load.made.sum() / load.duration}
    for name, values in (("inter_token_latency_s", load.e2e / load.made), ("ttft_s", load.ttft),
                         ("end_to_end_latency_s", load.e2e), ("number_input_tokens", load.given),
                         ("number_output_tokens", load.made),
                         ("request_output_throughput_token_per_s", load.made / load.e2e)):
        content |= _statistics(values, {
            f"results_{name}_mean": "mean", f"results_{name}_min": "min", f"results_{name}_max": "max",
            f"results_{name}_stddev": "std",
            **{f"results_{name}_quantiles_{stat}": stat for stat in ("p25", "p50", "p75", "p90", "p95", "p99")}})
    return content


def inferencex(load: Load) -> dict[str, Any]:
    """InferenceX's aggregate of a vLLM result on eight GPUs."""
    result = vllm(load)
    content: dict[str, Any] = {
        "hw": "h200", "tp": 8, "ep": 1, "conc": load.users or 1, "model": "m", "framework": "vllm", "precision": "fp8",
        "tput_per_gpu": result["total_token_throughput"] / 8, "output_tput_per_gpu": result["output_throughput"] / 8}
    for name, value in result.items():
        if name.endswith("_ms"):
            content[name.removesuffix("_ms")] = value / 1e3
            if "tpot" in name:
                content[name.removesuffix("_ms").replace("tpot", "intvty")] = 1e3 / value
    return content


def mlcommons(load: Load) -> dict[str, Any]:
    """MLCommons' `result_summary.json`: nanoseconds, percentiles by the lower sample; LoadGen's window in an open
    loop."""
    def series(values: Any, scale: float) -> dict[str, Any]:
        whole = (np.asarray(values) * scale).round().astype(int)
        levels = (99.9, 99.0, 97.0, 95.0, 90.0, 80.0, 75.0, 50.0, 25.0, 10.0, 5.0, 1.0)
        return {"total": int(whole.sum()), "min": int(whole.min()), "max": int(whole.max()),
                "median": int(np.percentile(whole, 50, method="lower")), "avg": float(whole.mean()),
                "std_dev": float(whole.std(ddof=1)), "histogram": {"buckets": [[0, 1]], "counts": [1]},
                "percentiles": {str(level): int(np.percentile(whole, level, method="lower")) for level in levels}}

    window = float(load.last[int(np.argmax(load.send))] - load.send.min())
    seconds = window if load.rate else load.duration
    pattern = {"type": "poisson", "target_qps": load.rate, "target_concurrency": None} if load.rate else {
        "type": "concurrency", "target_qps": None, "target_concurrency": load.users}
    return {"version": "0.5", "git_sha": None, "test_started_at": 0, "n_samples_issued": load.count,
            "n_samples_completed": load.count, "n_samples_failed": 0, "duration_ns": round(load.duration * 1e9),
            "state": "complete", "complete": True, "ttft": series(load.ttft, 1e9), "tpot": series(load.tpot, 1e9),
            "latency": series(load.e2e, 1e9), "output_sequence_lengths": series(load.made, 1),
            "input_sequence_lengths": series(load.given, 1),
            "legacy_loadgen_window_duration_ns": round(window * 1e9) if load.rate else None,
            "qps": (load.count - 1) / window if load.rate else load.count / seconds,
            "tps": float(load.made.sum()) / seconds, "finish_reason_counts": {"stop": load.count},
            "run_config": {"load_pattern": pattern, "warmup": {"enabled": False}}}


WRITERS = {"vllm": vllm, "sglang": sglang, "aiperf": aiperf, "genai-perf": genai_perf, "guidellm": guidellm,
           "inference-perf": inference_perf, "genai-bench": genai_bench, "llmeter": llmeter, "llmperf": llmperf,
           "inferencex": inferencex, "mlcommons": mlcommons}
CLOSED_ONLY = ("genai-bench", "llmeter", "llmperf", "genai-perf", "inferencex")  # they tell no rate


def written(tool: str, load: Load) -> str:
    """The file's text."""
    return json.dumps(WRITERS[tool](load), default=float)
