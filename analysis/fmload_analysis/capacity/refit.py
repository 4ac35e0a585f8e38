"""The fit's error: each measured stage simulated with the model, beside what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmload_analysis.capacity.evidence import Seen
from fmload_analysis.capacity.figures import of_window, statistic
from fmload_analysis.capacity.fleet import Fleet, simulate
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.replica import Job

FIGURES = ("ttft_p50", "ttft_p95", "e2e_p50", "e2e_p95", "requests_per_s")
ENOUGH = 20  # requests that a percentile of a stage is compared by


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one stage: as measured, and as the model has it."""

    stage: int
    address: str
    load: str
    figure: str
    measured: float
    refitted: float

    @property
    def error(self) -> float:
        """Refitted ÷ measured − 1; NaN where either is not known."""
        return self.refitted / self.measured - 1 if self.measured else math.nan


def refit(model: ReplicaModel, found: Sequence[Seen]) -> list[Row]:
    """Every figure of every stage with requests enough. Arrivals are replayed as they were sent; a closed loop is
    closed in the simulation, too, with the same lengths in the same order."""
    return [row for one in found if in_window(one).sum() >= ENOUGH for row in _rows(model, one)]


def error_of(rows: Sequence[Row]) -> float:
    """Mean of |ln(refitted ÷ measured)| of all figures: 0.05 is 5 % off on average. Infinite where there is none."""
    off = [abs(math.log(row.refitted / row.measured)) for row in rows if row.measured > 0 and row.refitted > 0]
    return float(np.mean(off)) if off else math.inf


def in_window(one: Seen) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of the requests were sent in the stage's window."""
    return np.asarray((one.send_s >= 0) & (one.send_s < one.window_s))


def _rows(model: ReplicaModel, one: Seen) -> list[Row]:
    measured, refitted = measured_of(one), _simulated(model, one)
    return [Row(one.stage.stage, one.address, one.stage.load.text, figure, measured[figure], refitted[figure])
            for figure in FIGURES]


def measured_of(one: Seen) -> dict[str, float]:
    """What the stage measured, under the names of the simulation's figures."""
    inside = in_window(one)
    ended = ((one.end_s >= 0) & (one.end_s < one.window_s)).sum()
    found = {"requests_per_s": float(ended) / one.window_s}
    for name, values in (("ttft", one.first_s - one.send_s), ("e2e", one.end_s - one.send_s)):
        found |= {f"{name}_{stat}": statistic(values[inside], stat) for stat in ("mean", "p50", "p95", "p99")}
    return found


def jobs_of(one: Seen, origin_s: float) -> list[Job]:
    """The requests of the stage as jobs, in the order in which they were sent, `origin_s` taken off their instants."""
    jobs = []
    for number in range(len(one.send_s)):
        job = Job(number, float(one.send_s[number]) - origin_s, float(one.input_tokens[number]),
                  max(1, int(one.steps[number])))
        job.uncached = float(one.uncached[number])
        jobs.append(job)
    return jobs


def _simulated(model: ReplicaModel, one: Seen) -> dict[str, float]:
    origin_s = float(one.send_s[0])
    jobs = jobs_of(one, origin_s)
    outcome = simulate(Fleet(model, 1), jobs, float(one.end_s.max()) - origin_s, users=one.users)
    return of_window(model, outcome, -origin_s, one.window_s - origin_s)
