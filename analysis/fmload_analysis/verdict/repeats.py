"""Repeated stages: the same endpoint, prompt set, load and parameters, measured more than once."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fmload.statistics.intervals import Interval, student_t
from fmload_analysis.verdict.table import StageResult

Key = tuple[str, str, str, str]


def key_of(result: StageResult) -> Key:
    """What makes two stages the same: endpoint, prompt set, load, parameters."""
    stage = result.summary.stage
    return (stage.endpoint, stage.prompt_set, json.dumps(asdict(stage.load), sort_keys=True),
            json.dumps(dict(stage.parameters), sort_keys=True))


def grouped(results: Sequence[StageResult]) -> dict[Key, list[StageResult]]:
    """The stages by what they measure, each with its repeats, in order of measurement."""
    groups: dict[Key, list[StageResult]] = {}
    for result in results:
        groups.setdefault(key_of(result), []).append(result)
    return groups


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric over the repeats of a stage. `interval` is of the mean, None below two repeats."""

    n: int
    mean: float
    stddev: float | None
    interval: Interval | None

    @property
    def variation(self) -> float | None:
        """Coefficient of variation: standard deviation ÷ mean."""
        return self.stddev / self.mean if self.stddev is not None and self.mean else None


def spread(results: Sequence[StageResult], metric: str) -> Spread | None:
    """The metric's mean over the repeats and how far they lie apart; None where no repeat knows it."""
    values = np.array([value for value in (result.value(metric) for result in results)
                       if value is not None and math.isfinite(value)])
    if not len(values):
        return None
    mean = float(values.mean())
    if len(values) < 2:
        return Spread(1, mean, None, None)
    deviation = float(values.std(ddof=1))
    error = student_t(len(values) - 1) * deviation / math.sqrt(len(values))
    return Spread(len(values), mean, deviation, Interval(mean - error, mean + error, "Student's t over repeats"))
