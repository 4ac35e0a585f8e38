"""Objectives of the run file against what was measured, stage by stage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fmload.config.objectives import Objective, known_names, parse_objectives

__all__ = ["Objective", "Verdict", "judge", "known_names", "parse_objectives"]

Value = Callable[[str], float | None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One objective against one stage. An unknown value is not met, and `reason` says why it is unknown."""

    objective: Objective
    value: float | None
    met: bool
    reason: str | None = None


def judge(objectives: Iterable[Objective], value_of: Value) -> tuple[Verdict, ...]:
    """The verdict on each objective that judges a stage."""
    return tuple(_verdict(objective, value_of(objective.name)) for objective in objectives if not objective.per_request)


def _verdict(objective: Objective, value: float | None) -> Verdict:
    if value is None:
        return Verdict(objective, None, False, "unknown: price n/a" if objective.unit == "USD"
                       else "unknown: not measured, or too few samples")
    met = value <= objective.limit if objective.bound == "at most" else value >= objective.limit
    return Verdict(objective, value, met)
