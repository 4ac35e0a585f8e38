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
    of the slots. A new one serves after `startup_s` (and is paid for from the start); one goes when none was needed for
    `cooldown_s`."""

    least: int
    most: int
    target: float = 0.6
    startup_s: float = 180.0
    cooldown_s: float = 300.0
    look_s: float = 15.0


def wanted(rule: Autoscale, in_flight: float, slots: int) -> int:
    """Replicas for so many requests in flight in all."""
    return min(max(math.ceil(in_flight / (rule.target * slots) - 1e-9), rule.least), rule.most)


def paid(rule: Autoscale, at_s: Floats, needed: Floats) -> float:
    """Mean number of replicas paid for, where `needed` replicas (a real number each) are called for at `at_s`
    (ascending, evenly spaced over a whole period): as many as were needed at any time within the cooldown before."""
    size = np.clip(np.ceil(needed - 1e-9), rule.least, rule.most)
    step_s = float(at_s[1] - at_s[0]) if len(at_s) > 1 else 1.0
    back = min(len(size), 1 + round(rule.cooldown_s / step_s))
    around = np.concatenate([size[len(size) - back + 1:], size])
    return float(np.lib.stride_tricks.sliding_window_view(around, back).max(axis=1).mean())
