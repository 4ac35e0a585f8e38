"""What limited a trial's candidate, with the evidence, and which setting to try next because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fmload.pricing.table import accelerators_of
from fmload_analysis.run import Run
from fmload_analysis.stage.gauges import Gauge, Quantity, gauges_of
from fmload_analysis.stage.health import health_of
from fmload_analysis.stage.telemetry import server_view
from fmload_analysis.stage.utilisation import metered
from fmload_analysis.verdict.limits import Limit, limit_of, observed
from fmload_analysis.verdict.table import StageResult

# By the limit's name: what would move it, in words that name the settings of serving engines.
NEXT: Mapping[str, str] = {
    "KV cache": "more room for keys and values: a KV type of 8 bits, quantised weights, a larger share of the memory, "
                "a larger accelerator, or a smaller max_model_len",
    "batch size": "a larger batch (max_num_seqs, max_batch_size, parallel slots), while the KV cache has room",
    "queue": "more prompt tokens a step (max_num_batched_tokens), or chunked prefill: prompts are taken in sooner",
    "memory bandwidth": "fewer bytes a token: quantised weights, speculative decoding, or more tensor_parallel",
    "accelerator": "more accelerators: copies, or tensor_parallel; or a faster instance",
    "load generator": "more workers, or a larger host for the load generator: the candidate was not at its limit",
    "load generator's host": "a host of its own for the load generator: the candidate was not at its limit",
}


def limit_at_capacity(run: Run, results: Sequence[StageResult]) -> Limit:
    """The limit at the lowest load that missed its objectives, else at the highest that was tried."""
    missed = [result for result in results if result.objectives == "missed"]
    stage = (min if missed else max)(missed or results, key=lambda one: float(one.summary.stage.load.value))
    return limit_at(run, stage)


def limit_at(run: Run, result: StageResult) -> Limit:
    """The limit of one stage of a run of one endpoint."""
    stage = result.summary.stage
    hosts = [worker.host_cpu_mean for worker in health_of(run, stage) if worker.host_cpu_mean is not None]
    seen = observed(_gauges(run, result), stage.window_start_ns, stage.window_end_ns,
                    server_view(run, stage).preemptions, max(hosts, default=None))
    return limit_of(seen, [check.sentence for check in result.checks if check.client_bound])


def _gauges(run: Run, result: StageResult) -> Mapping[Quantity, Gauge]:
    path = run.results.telemetry_parquet
    if not path.exists():
        return {}
    kinds = {entry["name"]: entry["collector"] for entry in run.spec.get("telemetry") or []}
    return gauges_of(metered(path, still=True), accelerators_of(result.instance_type), kinds)
