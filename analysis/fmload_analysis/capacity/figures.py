"""The figures of a simulation: latencies, throughput, utilisation, by the definitions of measured ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload_analysis.capacity.fleet import Outcome
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.replica import Job

STATISTICS = ("mean", "p50", "p90", "p95", "p99")
# Two-sided 95 % points of Student's t by degrees of freedom.
_T = (math.inf, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
_T_FAR = 2.1
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % interval over the seeds. With one seed the interval is not known: both ends are None."""

    value: float
    low: float | None = None
    high: float | None = None


def latencies(model: ReplicaModel, jobs: Sequence[Job]) -> dict[str, Floats]:
    """Seconds of each job that was answered: `ttft`, `e2e`, and `tpot` of those with two chunks or more."""
    done = [job for job in jobs if not job.lost and job.end_s == job.end_s]
    delay = np.array([model.delay_s(job.uncached) for job in done])
    arrival, first, end = (np.array([getattr(job, name) for job in done], dtype=float)
                           for name in ("arrival_s", "first_s", "end_s"))
    steps = np.array([job.steps for job in done], dtype=float)
    several = steps > 1
    return {"ttft": first - arrival + delay, "e2e": end - arrival + delay,
            "tpot": (end - first)[several] / (steps[several] - 1) / model.tokens_per_step}


def of_window(model: ReplicaModel, outcome: Outcome, from_s: float, to_s: float) -> dict[str, float]:
    """The figures of the jobs that arrived in the window; those of the fleet are of the whole simulation.

    `kept_up`: requests that got a slot in the window ÷ those that arrived in it: what is in its slot when the window
    ends waits for nothing. No more of them count than the replicas that were paid for, and not down, could answer in
    it at these lengths, all slots taken. `utilisation`: of the requests a second that they could answer, the share
    that they did. `busy`: share of the paid time in which a replica worked; `slots_used`: of its slots; `down`: in
    which it was restarted.
    """
    jobs = [job for job in outcome.jobs if from_s <= job.arrival_s < to_s]
    ended = sum(from_s <= job.end_s < to_s and not job.lost for job in outcome.jobs)
    found: dict[str, float] = {"requests": float(len(jobs)), "requests_per_s": ended / (to_s - from_s)}
    found["error_rate"] = sum(job.lost for job in jobs) / len(jobs) if jobs else math.nan
    for name, values in latencies(model, jobs).items():
        found |= {f"{name}_{stat}": statistic(values, stat) for stat in STATISTICS}
    paid_s = outcome.paid_s or math.nan
    most_per_s = _most_per_s(model, jobs) * ((paid_s - outcome.down_s) / outcome.until_s or math.nan)
    begun = sum(from_s <= job.begun_s < to_s and not job.lost for job in outcome.jobs)
    found["kept_up"] = min(begun, most_per_s * (to_s - from_s)) / len(jobs) if jobs else math.nan
    found["utilisation"] = found["requests_per_s"] / most_per_s
    found |= {"busy": outcome.busy_s / paid_s, "slots_used": outcome.slot_s / paid_s / model.slots,
              "down": outcome.down_s / paid_s, "largest_batch": float(outcome.largest),
              "failures": float(outcome.failures), "paid_replicas": outcome.paid_s / outcome.until_s}
    return found


def _most_per_s(model: ReplicaModel, jobs: Sequence[Job]) -> float:
    if not jobs:
        return math.nan
    inputs, steps, uncached = (sum(getattr(job, name) for job in jobs) / len(jobs)
                               for name in ("input_tokens", "steps", "uncached"))
    return model.most_requests_per_s(inputs, steps * model.tokens_per_step, uncached)


def statistic(values: Floats, stat: str) -> float:
    """A mean or a percentile (linear between ranks); NaN of nothing."""
    if not len(values):
        return math.nan
    return float(values.mean() if stat == "mean" else np.percentile(values, float(stat[1:])))


def over_seeds(found: Sequence[Mapping[str, float]]) -> dict[str, Estimate]:
    """Each figure's mean over the seeds, with Student's interval."""
    return {name: estimate([one[name] for one in found]) for name in found[0]}


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval of figures of independent seeds."""
    known = np.array([value for value in values if value == value])
    if len(known) < 2:
        return Estimate(float(known[0]) if len(known) else math.nan)
    freedom = len(known) - 1
    half = (_T[freedom] if freedom < len(_T) else _T_FAR) * float(known.std(ddof=1)) / math.sqrt(len(known))
    middle = float(known.mean())
    return Estimate(middle, middle - half, middle + half)
