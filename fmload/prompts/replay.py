"""Replay of a trace: when each prompt that carries an arrival time is due, and how long it all takes.

Pure but for `bound_windows`, which reads prompt sets.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage
from fmload.prompts import store
from fmload.results.folder import Results

Due = tuple[float, Prompt]  # seconds after the stage's start


def due(prompts: Iterable[Prompt], speed: float) -> list[Due]:
    """When each prompt is due, ascending; prompts without an arrival time are left out."""
    timed = [(prompt.offset_s / speed, prompt) for prompt in prompts if prompt.offset_s is not None]
    return sorted(timed, key=lambda one: (one[0], one[1].id))


def length_s(prompts: Iterable[Prompt], speed: float) -> float:
    """Whole seconds in which all arrivals lie."""
    return math.floor(max((prompt.offset_s or 0.0 for prompt in prompts), default=0.0) / speed) + 1.0


def bound_windows(stages: Iterable[Stage], results: Results) -> None:
    """The windows of replays end with their traces at the latest; the warm-up is their beginning.

    Raises FmloadError for a trace that is over before the window opens.
    """
    lengths: dict[tuple[str, float], float] = {}
    for stage in stages:
        if stage.load.kind == "trace" and stage.status == "pending":
            key = stage.prompt_set, stage.load.value
            if key not in lengths:
                lengths[key] = length_s(store.read(results.prompts / f"{stage.prompt_set}.jsonl"), stage.load.value)
            stage.window_s = _window_s(stage, lengths[key])


def _window_s(stage: Stage, replay_s: float) -> float:
    left_s = replay_s - stage.warmup_s
    if left_s <= 0:
        raise FmloadError(f"prompt set '{stage.prompt_set}': at speed {stage.load.value:g} the trace is over after "
                          f"{replay_s:g}s, within the warm-up of {stage.warmup_s:g}s",
                          hint="set load.warmup to less, or 0s; or replay it more slowly")
    return min(left_s, stage.window_s or left_s)
