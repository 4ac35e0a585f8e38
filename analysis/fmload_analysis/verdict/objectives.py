"""Objectives of the run file against what was measured, stage by stage: met, missed, or unknown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fmload.config.objectives import Objective, known_names, parse_objectives
from fmload.model.verdict import Judged

__all__ = ["Objective", "State", "Verdict", "judge", "known_names", "parse_objectives", "state_of"]

Value = Callable[[str], float | None]
State = Literal["met", "missed", "unknown"]
STATES: Mapping[str, State] = {"meets": "met", "fails": "missed", "unclear": "unknown"}  # of searches and of reports


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective against one stage. `value` counts failures as +∞ (infinite: a failed request holds the percentile);
    `low` and `high` bound it, each at 95 % confidence, None where the samples do not reach. Where it is `unknown`,
    `reason` says why, and `needed` how many more requests would settle it (None: no number would)."""

    objective: Objective
    value: float | None
    state: State
    low: float | None = None
    high: float | None = None
    n: int = 0
    needed: int | None = None
    reason: str | None = None

    @property
    def met(self) -> bool:
        """Shown to be met; an unknown one is not, and neither is it missed."""
        return self.state == "met"


def judge(objectives: Iterable[Objective], value_of: Value,
          judged: Mapping[str, Judged] = MappingProxyType({})) -> tuple[Verdict, ...]:
    """The verdict on each objective that judges a stage: by the bounds of its samples where there are any (`judged`, by
    name), else by the value."""
    return tuple(_by_bounds(objective, judged[objective.name]) if objective.name in judged
                 else _by_value(objective, value_of(objective.name))
                 for objective in objectives if not objective.per_request)


def state_of(verdicts: Iterable[Verdict]) -> State | None:
    """Of all objectives together: one that is missed decides, one that is unknown leaves it open. None without any."""
    states = {verdict.state for verdict in verdicts}
    return next((state for state in ("missed", "unknown", "met") if state in states), None)


def _by_value(objective: Objective, value: float | None) -> Verdict:
    if value is None:
        return Verdict(objective, None, "unknown", reason="price n/a" if objective.unit == "USD" else "not measured")
    met = value <= objective.limit if objective.bound == "at most" else value >= objective.limit
    return Verdict(objective, value, "met" if met else "missed")


def _by_bounds(objective: Objective, found: Judged) -> Verdict:
    state = STATES[found.result]
    if not found.n:
        return Verdict(objective, None, "unknown", reason="not measured")
    value = math.inf if found.value is None else found.value
    if state != "unknown":
        return Verdict(objective, value, state, found.low, found.high, found.n)
    more = (f"about {found.needed:,} more requests like these would settle it" if found.needed
            else "it lies too near its limit for more requests to settle it")
    return Verdict(objective, value, state, found.low, found.high, found.n, found.needed,
                   f"too few requests to tell; {more}")
