"""What was saved where a trial took over the machine of the trial before, only its server started anew. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fmload.model.stack import StackSearch, Trial


@dataclass(frozen=True, slots=True)
class Reused:
    """A machine over its trials. `first_s`: from nothing until it served; `again_s`: of each takeover, until the other
    containers served; None where that was not seen. `saved_usd` is None where the price is unknown."""

    machine: str
    trials: int
    first_s: float | None
    again_s: tuple[float, ...]
    saved_s: float
    saved_usd: float | None


def reused(search: StackSearch) -> list[Reused]:
    """Every machine that trials took over from one another, in the order of their names."""
    by_machine: dict[str, list[Trial]] = {}
    for trial in search.trials:
        if trial.over and trial.facts.get("machine"):
            by_machine.setdefault(trial.facts["machine"], []).append(trial)
    return [_of(name, trials) for name, trials in sorted(by_machine.items())]


def _of(name: str, trials: Sequence[Trial]) -> Reused:
    first_s = next((one.facts["ready_s"] for one in trials if not one.facts["reused"] and one.facts["served"]), None)
    again = [one for one in trials if one.facts["reused"] and one.facts["served"]]
    saved = [(max(0.0, first_s - one.facts["ready_s"]), one.facts.get("usd_per_hour")) for one in again
             if first_s is not None]
    usd = None if any(price is None for _, price in saved) else sum(s * (price or 0.0) / 3600 for s, price in saved)
    return Reused(name, len(trials), first_s, tuple(one.facts["ready_s"] for one in again), sum(s for s, _ in saved),
                  usd)
