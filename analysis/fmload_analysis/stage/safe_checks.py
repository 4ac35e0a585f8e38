"""What the content-safety checks of a stage did: how long they took, what they blocked, where they failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS
from fmload_analysis.records.columns import STEPS, Checks
from fmload_analysis.records.words import Words
from fmload_analysis.stage.distribution import Distribution, Wanted, of_requests
from fmload_analysis.stage.timeline import Requests
from fmload_analysis.stage.windows import overlap_ns


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a stage, over the requests that were due inside the window. `time`: of all of its checks."""

    time: Distribution
    checked: int
    blocked: int
    failed: int  # the service gave no verdict, and the text passed


@dataclass(frozen=True, slots=True)
class SafeChecks:
    """The checks of one stage; `under_check` is how many requests were in one on average inside the window."""

    steps: Mapping[str, Step]
    under_check: float


def rows_of(checks: Checks | None, rows: int) -> dict[str, Any]:
    """Columns of a stage's table."""
    checks = checks or Checks({step: np.full(rows, np.nan) for step in STEPS},
                              {step: Words([None], np.zeros(rows, np.int8)) for step in STEPS})
    return {**{f"check_{step}": checks.seconds[step] for step in STEPS},
            **{f"verdict_{step}": checks.verdicts[step] for step in STEPS}}


EMPTY = rows_of(None, 0)


def safe_checks(table: Mapping[str, Any], requests: Requests, window: int, wanted: Wanted) -> SafeChecks | None:
    """What the checks of a stage did; None when there were none. `window` is in nanoseconds."""
    steps = {step: found for step in STEPS if (found := _step(table, requests, step, wanted)) is not None}
    return SafeChecks(steps, _under_check(table, window)) if steps else None


def _step(table: Mapping[str, Any], requests: Requests, step: str, wanted: Wanted) -> Step | None:
    seconds, verdicts = table[f"check_{step}"], table[f"verdict_{step}"]
    checked = requests.in_window & ~np.isnan(seconds)
    if not (~np.isnan(seconds)).any():
        return None
    counted = verdicts[checked].counted()
    ended = checked & (verdicts != "stopped")
    return Step(of_requests(np.sort(seconds[ended]), 0, wanted), int(checked.sum()), counted["unsafe"],
                counted["failed"])


def _under_check(table: Mapping[str, Any], window: int) -> float:
    """Requests in a check, averaged over the window: the first ends when the request is due, the second begins when
    its stream has closed."""
    if not window:
        return 0.0
    due, over = table["due"], table["ended"]
    before, after = (np.nan_to_num(table[f"check_{step}"]) * NS for step in STEPS)
    had_before, had_after = np.isfinite(due), np.isfinite(over)
    area = (overlap_ns(due[had_before] - before[had_before], due[had_before], window).sum()
            + overlap_ns(over[had_after], over[had_after] + after[had_after], window).sum())
    return float(area) / window
