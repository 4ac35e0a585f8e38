"""What sources of telemetry mean alike under their own names: queue, batch, KV cache, accelerators, power.

Names: the metrics pages of vLLM, SGLang, TGI, llama.cpp's server, DJL Serving, the DCGM exporter, neuron-monitor and
CloudWatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fmload_analysis.stage.utilisation import Metered

Quantity = Literal["running", "waiting", "kv_cache", "accelerator", "memory_bandwidth", "memory", "power"]
Floats = npt.NDArray[np.float64]

# quantity: title, unit, what is made of several series (GPUs, cores), {metric: factor to the unit}
QUANTITIES: Mapping[Quantity, tuple[str, str, Literal["sum", "mean"], Mapping[str, float]]] = {
    "running": ("Batch", "requests", "sum", {
        "vllm:num_requests_running": 1, "sglang:num_running_reqs": 1, "tgi_batch_current_size": 1,
        "llamacpp:requests_processing": 1, "RollingBatchSize": 1, "DynamicBatchSize": 1}),
    "waiting": ("Queue", "requests", "sum", {
        "vllm:num_requests_waiting": 1, "sglang:num_queue_reqs": 1, "tgi_queue_size": 1,
        "llamacpp:requests_deferred": 1}),
    "kv_cache": ("KV cache in use", "share", "mean", {
        "vllm:kv_cache_usage_perc": 1, "vllm:gpu_cache_usage_perc": 1, "sglang:token_usage": 1,
        "llamacpp:kv_cache_usage_ratio": 1}),
    "accelerator": ("Accelerators busy", "share", "mean", {
        "DCGM_FI_DEV_GPU_UTIL": 0.01, "gpu_utilization_percent": 0.01, "neuroncore_utilization_percent": 0.01,
        "neuroncore_utilization_ratio": 1, "GPUUtilization": 0.01}),
    "memory_bandwidth": ("Memory bandwidth in use", "share", "mean", {
        "DCGM_FI_PROF_DRAM_ACTIVE": 1, "DCGM_FI_DEV_MEM_COPY_UTIL": 0.01, "gpu_memory_utilization_percent": 0.01}),
    "memory": ("Accelerator memory", "GiB", "sum", {
        "DCGM_FI_DEV_FB_USED": 2**-10, "gpu_memory_used_mib": 2**-10, "neuron_memory_neuron_device_bytes": 2**-30,
        "neuron_runtime_memory_used_bytes": 2**-30}),
    "power": ("Power", "W", "sum", {"DCGM_FI_DEV_POWER_USAGE": 1, "gpu_power_w": 1}),
}
HELD = 3  # pauses between samples for which one holds when no further one comes
# CloudWatch adds the GPUs of an instance up: 0 to 100 times their number ("Amazon SageMaker AI metrics").
_OF_AN_INSTANCE = ("GPUUtilization",)
_NO_ACCELERATOR = "memory_location=host"  # neuron-monitor's exporter tells of the host's memory under the same name


@dataclass(frozen=True, slots=True)
class Gauge:
    """One quantity of one endpoint over time; instants of the master's clock."""

    quantity: Quantity
    metric: str
    at_ns: npt.NDArray[np.int64]
    value: Floats

    def within(self, start_ns: int, end_ns: int) -> Floats:
        """The values between two instants."""
        found: Floats = self.value[(self.at_ns >= start_ns) & (self.at_ns <= end_ns)]
        return found


def gauges_of(series: Iterable[Metered], accelerators_per_instance: int | None = None,
              collectors: Mapping[str, str] | None = None) -> dict[Quantity, Gauge]:
    """The quantities that the series tell of; the first known metric of each counts, in the order of QUANTITIES.

    `collectors`: by source, which collector it is; of one metric the sources of one kind count, since a scrape and a
    Prometheus server may tell the same. CloudWatch's utilisation is left out where nobody knows how many GPUs an
    instance has.
    """
    by_metric: dict[str, list[Metered]] = {}
    for one in series:
        if _NO_ACCELERATOR not in one.labels and (accelerators_per_instance or one.metric not in _OF_AN_INSTANCE):
            by_metric.setdefault(one.metric, []).append(one)
    found: dict[Quantity, Gauge] = {}
    for quantity, (_, _, together, metrics) in QUANTITIES.items():
        for metric, factor in metrics.items():
            if quantity not in found and metric in by_metric:
                at_ns, value = _together(_of_one_kind(by_metric[metric], collectors or {}), together)
                share = factor / (accelerators_per_instance or 1) if metric in _OF_AN_INSTANCE else factor
                found[quantity] = Gauge(quantity, metric, at_ns, value * share)
    return found


def _of_one_kind(series: Sequence[Metered], collectors: Mapping[str, str]) -> list[Metered]:
    kind = collectors.get(series[0].source)
    return [one for one in series if collectors.get(one.source) == kind]


def _together(series: Sequence[Metered], how: Literal["sum", "mean"]) -> tuple[npt.NDArray[np.int64], Floats]:
    """Several GPUs, cores or servers as one, at the instants of them all."""
    if len(series) == 1:
        return series[0].at_ns, series[0].value
    at_ns = np.unique(np.concatenate([one.at_ns for one in series]))
    held = np.array([_held(one, at_ns) for one in series])
    told = np.isfinite(held)
    some = told.any(axis=0)
    whole = np.where(told, held, 0.0).sum(axis=0)[some]
    return at_ns[some], whole if how == "sum" else whole / told.sum(axis=0)[some]


def _held(one: Metered, at_ns: npt.NDArray[np.int64]) -> Floats:
    """Its last value until the next one; NaN where its samples are further away than HELD pauses."""
    reach_ns = HELD * (np.median(np.diff(one.at_ns)) if len(one.at_ns) > 1 else 0)
    place = np.clip(np.searchsorted(one.at_ns, at_ns, side="right") - 1, 0, None)
    near = np.abs(at_ns - one.at_ns[place]) <= reach_ns
    found: Floats = np.where(near, one.value[place], np.nan)
    return found
