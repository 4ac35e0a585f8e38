"""Autoscaling: so many replicas that the requests in flight take a share of the slots; and what a day of it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Autoscale:
    """`least` to `most` replicas. Every `look_s` seconds as many are wanted as bring the requests in flight to `target`
    of the slots. A new one serves after `startup_s` (and is paid for from the start). When fewer were needed for
    `cooldown_s`, a tenth of them goes, one at least, and the next after another `cooldown_s`: requests in flight fall
    faster than the load."""

    least: int
    most: int
    target: float = 0.6
    startup_s: float = 180.0
    cooldown_s: float = 300.0
    look_s: float = 15.0


def wanted(rule: Autoscale, in_flight: float, slots: int) -> int:
    """Replicas for so many requests in flight in all."""
    return min(max(math.ceil(in_flight / (rule.target * slots) - 1e-9), rule.least), rule.most)


def leaving(replicas: int, target: int) -> int:
    """How many of so many go at a time, where `target` are needed."""
    return min(replicas - target, max(1, replicas // 10))


def paid(rule: Autoscale, at_s: Floats, needed: Floats) -> float:
    """Mean number of replicas paid for, where `needed` replicas (a real number each) are called for at `at_s`
    (ascending, evenly spaced over a whole period, which repeats itself)."""
    size = np.clip(np.ceil(needed - 1e-9), rule.least, rule.most).astype(int).tolist()
    step_s = float(at_s[1] - at_s[0]) if len(at_s) > 1 else 1.0
    now, quiet_s, whole = rule.least, 0.0, 0
    for _day in range(2):  # the second begins as the first ended
        whole = 0
        for target in size:
            quiet_s = 0.0 if target >= now else quiet_s + step_s
            if target > now:
                now = target
            elif quiet_s > rule.cooldown_s:
                now, quiet_s = now - leaving(now, target), step_s
            whole += now
    return whole / len(size)
