"""What an arrival process is asked for, of a stage of the plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fmload.model.stage import Stage


def seed_of(run_seed: int, stage: int) -> str:
    """The seed of a stage's arrivals: the audit makes the schedule anew from it."""
    return f"{run_seed}/{stage}"


def asked_of(stage: Stage, run_seed: int) -> dict[str, Any]:
    """What `of_stage` takes, of a stage of the plan."""
    return {"arrivals": stage.load.arrivals, "value": stage.load.value, "lead_s": stage.ramp_s + stage.warmup_s,
            "mix": asdict(stage.mix) if stage.mix else None,
            "seed": seed_of(run_seed, stage.mix.first if stage.mix else stage.stage)}
