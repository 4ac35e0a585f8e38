"""Our stages in the files of other tools, one a stage, for what reads those: `fmload report --export FORMAT`.

The figures are those of the tool's own definitions (`views`), over the requests that started inside the window.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import yaml

from fmload.model.stage import Stage
from fmload.plugins import EXPORTS
from fmload_analysis.published import views
from fmload_analysis.published.views import Figures, ViewFacts, facts_of
from fmload_analysis.run import Run

if TYPE_CHECKING:
    from fmload_analysis.verdict.analysis import Analysis


@dataclass(frozen=True, slots=True)
class Exported:
    """A file's content, how its name ends, and its name where the tool's readers look for one."""

    content: Any
    suffix: str = ".json"
    name: str | None = None

    def text(self) -> str:
        """As the tool writes it."""
        if self.suffix == ".yaml":
            return str(yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True))
        return json.dumps(self.content, indent=None if self.suffix == ".jsonl" else 1) + "\n"


def write(analysis: Analysis, name: str, folder: Path) -> list[Path]:
    """One file a stage into the folder (made if need be); returns their paths. Raises FmloadError for a format that is
    not in EXPORTS."""
    EXPORTS.load(name)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for result in analysis.results:
        exported: Exported = EXPORTS.use(name, analysis.run, facts_of(analysis.run, result))
        path = folder / (exported.name or f"stage-{result.stage:04d}{exported.suffix}")
        path.write_text(exported.text(), encoding="utf-8")
        paths.append(path)
    return paths


def vllm(run: Run, facts: ViewFacts) -> Exported:
    """As `vllm bench serve --save-result` writes it."""
    stage = _stage(facts)
    given, made = _totals(facts)
    return Exported({
        "date": (run.started_utc or "")[:10].replace("-", ""), "backend": "openai", "model_id": _model(run, stage),
        "num_prompts": len(facts.send) + facts.failed, "request_rate": _rate(stage) or "inf",
        "max_concurrency": _users(stage), "total_input_tokens": given, "total_output_tokens": made,
        "total_token_throughput": (given + made) / facts.duration if facts.duration else None,
        **views.vllm(facts)})


def sglang(run: Run, facts: ViewFacts) -> Exported:
    """As `sglang.bench_serving --output-file` writes it, a line a file."""
    stage = _stage(facts)
    return Exported({"tag": stage.endpoint, "backend": "fmload", "dataset_name": stage.prompt_set,
                     "request_rate": _rate(stage), "max_concurrency": _users(stage), "sharegpt_output_len": None,
                     "random_range_ratio": None, **views.sglang(facts)}, ".jsonl")


def aiperf(run: Run, facts: ViewFacts) -> Exported:
    """As AIPerf's `profile_export_aiperf.json`."""
    stage = _stage(facts)
    phase = {"type": "concurrency", "concurrency": _users(stage)} if _users(stage) else {
        "type": "constant", "rate": _rate(stage)}
    given, made = (float(np.nanmean(tokens)) if np.isfinite(tokens).any() else 1.0
                   for tokens in (facts.tokens_in, facts.tokens_out))
    return Exported({
        "schema_version": "1.4", **_nested(views.aiperf(facts), "avg"),
        "input_config": {
            "models": {"items": [{"name": _model(run, stage)}]},
            "endpoint": {"urls": list(run.endpoint(stage.endpoint).urls) or ["http://localhost"], "type": "chat",
                         "streaming": True},
            "datasets": [{"name": stage.prompt_set, "type": "synthetic",
                          "prompts": {"isl": {"mean": max(given, 1.0)}, "osl": {"mean": max(made, 1.0)}}}],
            "phases": [{"name": "profiling", "kind": "profiling", "requests": len(facts.send) + facts.failed,
                        **phase}]},
        "error_summary": [], "start_time": run.started_utc, "was_cancelled": False})


_AIPERF_UNITS = {"time_to_first_token": "ms", "request_latency": "ms", "inter_token_latency": "ms",
                 "inter_chunk_latency": "ms", "benchmark_duration": "sec", "request_throughput": "requests/sec",
                 "output_token_throughput": "tokens/sec", "total_token_throughput": "tokens/sec",
                 "output_token_throughput_per_user": "tokens/sec/user"}


def _nested(figures: Figures, single: str) -> dict[str, Any]:
    """`avg_request_latency` as `{"request_latency": {"unit": "ms", "avg": …}}`."""
    found: dict[str, Any] = {}
    for name, value in figures.items():
        stat, _, metric = name.partition("_")
        if stat not in ("avg", "min", "max", "std") and not (stat[:1] == "p" and stat[1:].isdigit()):
            stat, metric = single, name
        if value is not None:
            found.setdefault(metric, {"unit": _AIPERF_UNITS.get(metric, "count")})[stat] = value
    return found


def inference_perf(run: Run, facts: ViewFacts) -> Exported:
    """As inference-perf's `stage_N_lifecycle_metrics.json`."""
    stage, figures = _stage(facts), views.inference_perf(facts)

    def stats(metric: str) -> dict[str, float | None]:
        return {name.removesuffix(f"_{metric}"): value for name, value in figures.items()
                if name.endswith(f"_{metric}") and "_" not in name.removesuffix(f"_{metric}")}

    rate, sending = _rate(stage), float(np.ptp(facts.send)) if len(facts.send) else 0.0
    sent = len(facts.send) / sending if sending else None
    return Exported({
        "load_summary": {"count": len(facts.send) + facts.failed, "send_duration": sending, "achieved_rate": sent,
                         **({"requested_rate": rate} if rate else {"concurrency": _users(stage)})},
        "successes": {
            "count": len(facts.send),
            "latency": {name: stats(name) for name in (
                "request_latency", "normalized_time_per_output_token", "time_per_output_token", "time_to_first_token",
                "inter_token_latency")},
            "throughput": {name: figures[name] for name in (
                "requests_per_sec", "input_tokens_per_sec", "output_tokens_per_sec", "total_tokens_per_sec")},
            "prompt_len": stats("prompt_len"), "output_len": stats("output_len")},
        "failures": {"count": facts.failed}}, name=f"stage_{stage.stage}_lifecycle_metrics.json")


_BR_LATENCIES = {"time_to_first_token": "s", "time_per_output_token": "s/token", "inter_token_latency": "s/token",
                 "normalized_time_per_output_token": "s/token", "request_latency": "s"}
_BR_RATES = {"request_rate": ("requests_per_sec", "queries/s"),
             "input_token_rate": ("input_tokens_per_sec", "tokens/s"),
             "output_token_rate": ("output_tokens_per_sec", "tokens/s"),
             "total_token_rate": ("total_tokens_per_sec", "tokens/s")}


def benchmark_report(run: Run, facts: ViewFacts) -> Exported:
    """As llm-d's benchmark report 0.2."""
    stage, figures = _stage(facts), views.inference_perf(facts)
    latencies = {name: _br_stats(figures, name, unit) for name, unit in _BR_LATENCIES.items()}
    aggregate = {
        "requests": {"total": len(facts.send) + facts.failed, "failures": facts.failed,
                     **_known({"input_length": _br_stats(figures, "prompt_len", "count"),
                               "output_length": _br_stats(figures, "output_len", "count")})},
        "throughput": {name: {"units": unit, "mean": figures[theirs]} for name, (theirs, unit) in _BR_RATES.items()
                       if figures[theirs] is not None},
        "latency": _known(latencies)}
    uid = str(uuid5(NAMESPACE_URL, f"{run.run_id}/{stage.stage}"))
    mean = figures["mean_prompt_len"]
    return Exported({
        "version": "0.2",
        "run": {"uid": uid, "eid": run.run_id or uid, "time": {"duration": f"PT{facts.duration:.6f}S"},
                "description": run.name},
        "scenario": {"load": {
            "metadata": {"schema_version": "0.0.1", "cfg_id": uid},
            "standardized": _known({
                "tool": "fmload", "tool_version": str(run.environment.get("fmload") or "unknown"), "stage": stage.stage,
                "source": "sampled", "input_seq_len": {"distribution": "other", "value": mean or 0.0},
                "concurrency": _users(stage), "rate_qps": _rate(stage)}),
            "native": {"config": {"endpoint": stage.endpoint, "prompt_set": stage.prompt_set}}}},
        "results": {"request_performance": {"aggregate": aggregate}}}, ".yaml")


def _br_stats(figures: Figures, metric: str, unit: str) -> dict[str, Any] | None:
    names = {"mean": "mean", "min": "min", "median": "p50", "max": "max",
             **{f"p{p}": f"p{p}" for p in (1, 5, 10, 25, 75, 90, 95, 99)}}
    found = _known({ours: figures.get(f"{theirs}_{metric}") for theirs, ours in names.items()})
    return {"units": unit, **found} if "mean" in found else None


def _known(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value is not None}


def _stage(facts: ViewFacts) -> Stage:
    return facts.result.summary.stage


def _totals(facts: ViewFacts) -> tuple[int, int]:
    return tuple(int(sum(value for value in tokens if value == value))  # type: ignore[return-value]
                 for tokens in (facts.tokens_in, facts.tokens_out))


def _users(stage: Stage) -> int | None:
    return int(stage.load.value) if stage.load.kind == "concurrency" else None


def _rate(stage: Stage) -> float | None:
    return stage.load.value if stage.load.kind == "rate" else None


def _model(run: Run, stage: Stage) -> str:
    return run.endpoint(stage.endpoint).model or stage.endpoint
