"""Telemetry as series over time: gauges as they are, counters as rates, histograms left to the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

_HISTOGRAM = ("_bucket", "_sum", "_count", "_created", "_info")
_COUNTER = "_total"
# What is shown first, by parts of the name: queue and batch, cache, devices, power, throughput.
_ORDER = ("requests_running", "running", "waiting", "queue", "batch", "kv_cache", "cache_usage", "token_usage",
          "GPU_UTIL", "gpu_utilization", "neuroncore_utilization", "power", "POWER", "memory", "generation_tokens",
          "prompt_tokens")


@dataclass(frozen=True, slots=True)
class Metered:
    """One metric of one source and label set over time. Rates bear `/s` in their name."""

    source: str
    metric: str
    labels: str
    at_ns: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]

    def within(self, start_ns: int, end_ns: int) -> npt.NDArray[np.float64]:
        """The values between two instants."""
        found: npt.NDArray[np.float64] = self.value[(self.at_ns >= start_ns) & (self.at_ns <= end_ns)]
        return found


def metered(path: Path, still: bool = False) -> list[Metered]:
    """The series of telemetry.parquet, the most telling first. Those that never leave 0 are left out unless `still`."""
    frame = pd.read_parquet(path)
    frame = frame[np.isfinite(frame["value"]) & ~frame["metric"].str.endswith(_HISTOGRAM)]
    series = [_series(str(source), str(metric), str(labels), part.sort_values("at_ns"))
              for (source, metric, labels), part in frame.groupby(["source", "metric", "labels"])]
    moving = [one for one in series if one is not None and (still or one.value.any())]
    return sorted(_short_labels(moving), key=lambda one: (_rank(one.metric), one.metric, one.source, one.labels))


def _series(source: str, metric: str, labels: str, part: pd.DataFrame) -> Metered | None:
    at_ns, value = part["at_ns"].to_numpy(np.int64), part["value"].to_numpy(np.float64)
    if not metric.endswith(_COUNTER):
        return Metered(source, metric, labels, at_ns, value)
    if len(value) < 2:
        return None
    rate = np.maximum(np.diff(value), 0) / (np.diff(at_ns) / 1e9)
    return Metered(source, f"{metric.removesuffix(_COUNTER)}/s", labels, at_ns[1:], rate)


def _rank(metric: str) -> int:
    return next((place for place, part in enumerate(_ORDER) if part in metric), len(_ORDER))


def _short_labels(series: Sequence[Metered]) -> list[Metered]:
    """Labels without those that are the same in every series of their source and metric."""
    told: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for one in series:
        told.setdefault((one.source, one.metric), []).append(_read(one.labels))
    return [Metered(one.source, one.metric, _distinct(_read(one.labels), told[one.source, one.metric]), one.at_ns,
                    one.value) for one in series]


def _read(labels: str) -> Mapping[str, str]:
    found: Mapping[str, str] = json.loads(labels) if labels.startswith("{") else {}
    return found


def _distinct(labels: Mapping[str, str], all_labels: Sequence[Mapping[str, str]]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(labels.items())
                    if any(other.get(key) != value for other in all_labels))
