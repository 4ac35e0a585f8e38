"""Autoscaling: so many replicas that the requests in flight take a share of the slots; and what a day of it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int_]]

MOST_REPLICAS = 10_000_000
LEAST_LOOK_S = 1.0  # no rule looks more often


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


@dataclass(frozen=True, slots=True)
class Look:
    """What the rule saw and did at one instant: replicas that it wants, that serve, and that are paid for then."""

    at_s: float
    wanted: int
    serving: int
    paid: int


def over_period(rule: Autoscale, at_s: Floats, needed: Floats) -> Ints:
    """Replicas paid for at each of `at_s` (ascending, evenly spaced over a whole period, which repeats itself), where
    `needed` replicas (a real number each) are called for: the most at once, fewer one cooldown after the other."""
    size = called_for(rule, needed).tolist()
    step_s = float(at_s[1] - at_s[0]) if len(at_s) > 1 else 1.0
    now, quiet_s, found = rule.least, 0.0, []
    for target in [*size, *size]:  # the second period begins as the first ended
        quiet_s = 0.0 if target >= now else quiet_s + step_s
        if target > now:
            now = target
        elif quiet_s > rule.cooldown_s:
            now, quiet_s = now - leaving(now, target), step_s
        found.append(now)
    return np.array(found[len(size):], dtype=int)


def called_for(rule: Autoscale, needed: Floats) -> Ints:
    """Whole replicas, between the rule's least and most."""
    return np.asarray(np.clip(np.ceil(needed - 1e-9), rule.least, rule.most).astype(int))
