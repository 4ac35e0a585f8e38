"""Prompt sets that have fewer prompts than the plan will send, as far as that is known before the load. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from fmload import arrivals
from fmload.config.schema import RunFile
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage
from fmload.plan.arrivals import asked_of
from fmload.prompts.deal import DealKey, deal_key
from fmload.prompts.store import of_endpoint

_COUNTED = 1_000_000  # arrivals of a stage; more are as many as these, at least


def shortages(run: RunFile, stages: Sequence[Stage], sets: Mapping[str, list[Prompt]]) -> Iterator[str]:
    """A sentence for every prompt set that a server will be sent more than once. `sets`: all prompts by set."""
    specs = {spec.name: spec for spec in run.endpoints}
    lanes = {deal_key(specs[stage.endpoint], stage.prompt_set): stage for stage in reversed(stages)}
    for key, count in needed(run, stages, sets).items():
        stage = lanes[key]
        there = len(of_endpoint(sets[stage.prompt_set], specs[stage.endpoint]))
        if count > there:
            yield (f"prompt set '{stage.prompt_set}' has {there:,} prompts, and '{stage.endpoint}' will be sent "
                   f"{count:,} or more: prompts will repeat, and a prefix cache makes repeated ones fast. Give the set "
                   "more prompts (count, files), or the load less time")


def needed(run: RunFile, stages: Sequence[Stage], sets: Mapping[str, list[Prompt]]) -> Counter[DealKey]:
    """How many prompts of each set each server will be sent at least. What a closed loop sends within a time is not
    known before: it is taken for one request a user. `sets`: those of traces that are replayed."""
    specs = {spec.name: spec for spec in run.endpoints}
    found: Counter[DealKey] = Counter()
    for stage in stages:
        spec = specs[stage.endpoint]
        prompts = of_endpoint(sets.get(stage.prompt_set, []), spec)
        found[deal_key(spec, stage.prompt_set)] += requests_at_least(run, stage, prompts)
    return found


def requests_at_least(run: RunFile, stage: Stage, prompts: list[Prompt]) -> int:
    """How many requests a stage sends at least, as far as its plan says; `prompts` are those of its set."""
    if stage.load.kind == "trace":
        return sum(prompt.offset_s is not None for prompt in prompts)
    if stage.exact and stage.requests is None:
        return len(prompts)
    counted = (stage.warmup.requests or 0) + (stage.requests or 0 if stage.window_s is None else 0)
    if stage.load.kind == "rate" and not (stage.find or stage.until or stage.stop_when_saturated):
        timed_s = stage.ramp_s + (stage.warmup_s if stage.warmup.by_time else 0.0) + (stage.window_s or 0.0)
        due = itertools.takewhile(lambda due_s: due_s < timed_s, _due_s(run, stage))
        return counted + sum(1 for _ in itertools.islice(due, _COUNTED))
    return max(counted, stage.slots)


def _due_s(run: RunFile, stage: Stage) -> Iterator[float]:
    return (due_s for due_s in arrivals.of_stage(asked_of(stage, run.seed)) if due_s is not None)
