"""What an open loop asked for: the schedule of a stage, made anew from what the results folder holds.

A ramp, a step, a day's curve and a trace have no single rate; the arrivals that were due inside the window have one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import orjson

from fmload import arrivals
from fmload.base.errors import FmloadError
from fmload.metrics.definitions import NS, Floats
from fmload.model.stage import Stage
from fmload.plan.arrivals import asked_of
from fmload_analysis.run import Run


def asked_s(run: Run, stage: Stage) -> Floats | None:
    """When requests were due, from the stage's beginning to the window's end: seconds after the window's start,
    ascending. None in a closed loop, for a stage whose window never closed, and where the schedule is not known."""
    if not stage.open_loop or not stage.ramp_start_ns or not stage.window_ns:
        return None
    lead_s = (stage.window_start_ns - stage.ramp_start_ns) / NS
    instants = _replayed(run, stage) if stage.load.kind == "trace" else _scheduled(run, stage)
    if instants is None:
        return None
    end_s = lead_s + stage.window_ns / NS
    due = (instant for instant in itertools.takewhile(lambda instant: instant is None or instant < end_s, instants)
           if instant is not None)
    return np.fromiter(due, np.float64) - lead_s


def _scheduled(run: Run, stage: Stage) -> Iterator[float | None] | None:
    try:
        return arrivals.of_stage(asked_of(stage, run.spec.get("seed") or 0))
    except FmloadError:  # a process of a plugin that is not installed here
        return None


def _replayed(run: Run, stage: Stage) -> Iterator[float] | None:
    """The instants of the prompts that were this endpoint's."""
    path = run.results.prompts / f"{stage.prompt_set}.jsonl"
    if not path.exists():
        return None
    offsets: dict[str | None, list[float]] = {}
    with path.open("rb") as file:
        for line in file:
            prompt = orjson.loads(line)
            offsets.setdefault(prompt.get("tokenizer"), []).append(prompt.get("offset_s") or 0.0)
    tokenizers = {entry.get("name"): entry.get("tokenizer", "bundled") for entry in run.spec.get("endpoints") or ()}
    own = offsets.get(tokenizers.get(stage.endpoint)) or next(iter(offsets.values()), [])
    return iter(sorted(offset / stage.load.value for offset in own))
