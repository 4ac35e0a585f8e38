"""The load generator's own state inside one window, from the workers' health lines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS
from fmload.model.stage import Stage
from fmload_analysis.run import Run


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """One worker inside one window: typical values are medians over its seconds, None where it told nothing."""

    worker: str
    seconds: int
    cpu_mean: float | None  # of one core
    cpu_max: float | None
    host_cpu_mean: float | None  # of all cores of its host
    loop_lag_p99_s: float | None  # typical second
    loop_lag_max_s: float | None
    stamp_lag_p99_s: float | None
    send_late_p99_s: float | None


def health_of(run: Run, stage: Stage) -> tuple[WorkerHealth, ...]:
    """The workers' health inside the stage's window; empty when none was told."""
    by_worker: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in run.health:
        if stage.window_start_ns <= line["at_ns"] < stage.window_end_ns:
            by_worker[line["worker"]].append(line)
    return tuple(_worker(name, lines) for name, lines in sorted(by_worker.items()))


def _worker(name: str, lines: list[Mapping[str, Any]]) -> WorkerHealth:
    cpu, host = _values(lines, "cpu_fraction"), _values(lines, "host_cpu_fraction")
    return WorkerHealth(
        worker=name, seconds=len(lines), cpu_mean=float(cpu.mean()) if len(cpu) else None,
        cpu_max=float(cpu.max()) if len(cpu) else None, host_cpu_mean=float(host.mean()) if len(host) else None,
        loop_lag_p99_s=_typical_s(lines, "loop_lag_p99_ns"), loop_lag_max_s=_worst_s(lines, "loop_lag_max_ns"),
        stamp_lag_p99_s=_typical_s(lines, "stamp_lag_p99_ns"), send_late_p99_s=_typical_s(lines, "send_late_p99_ns"))


def _values(lines: Iterable[Mapping[str, Any]], key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([line[key] for line in lines if line.get(key) is not None], dtype=np.float64)


def _typical_s(lines: Iterable[Mapping[str, Any]], key: str) -> float | None:
    values = _values(lines, key)
    return float(np.median(values)) / NS if len(values) else None


def _worst_s(lines: Iterable[Mapping[str, Any]], key: str) -> float | None:
    values = _values(lines, key)
    return float(values.max()) / NS if len(values) else None
