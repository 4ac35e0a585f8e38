"""The plan: from a run file to stages, and from stages to the steps in which they are run. Pure."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fmload.base.apportion import shares, spread
from fmload.base.errors import FmloadError
from fmload.config.beside import is_beside
from fmload.config.objectives import searchable
from fmload.config.schema import (
    ArrivalSpec,
    ComponentSpec,
    EndpointSpec,
    LoadSpec,
    PromptSpec,
    RunFile,
    of_sessions,
)
from fmload.model.stage import Find, Load, MixPart, Stage, StopIf, Until, WarmUp

DEFAULT_WINDOW_S = 60.0


def plan(run: RunFile) -> list[Stage]:
    """All stages of the run, numbered in the order in which they are run.

    Raises FmloadError for a load that gives no levels. Stages of one step run side by side.
    """
    levels = _levels(run.load)
    repeats = [list(_steps(run, levels)) for _ in range(run.load.repeat)]
    if run.load.shuffle:
        draw = random.Random(run.seed)
        for steps in repeats:
            draw.shuffle(steps)
    stages: list[Stage] = []
    numbered = ((repeat, step) for repeat, steps in enumerate(repeats) for step in steps)
    for number, (repeat, step) in enumerate(numbered):
        for lane in step:
            stages.append(_stage(run, len(stages), number, repeat, lane))
    return stages


def steps_of(stages: Iterable[Stage]) -> list[list[Stage]]:
    """The stages grouped by step, in order."""
    ordered = sorted(stages, key=lambda stage: (stage.step, stage.stage))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda stage: stage.step)]


def remaining(stages: list[Stage]) -> list[Stage]:
    """What `--resume` has still to run: stages that were never begun, and a fresh copy of every broken one.

    A stage that was begun keeps its number and its records, and is superseded; its copy gets a new number, so that no
    record of the first attempt is counted in the second. `stages` is extended by the copies.
    """
    settled = {stage.line for stage in stages if stage.status in ("done", "pending")}
    for stage in [stage for stage in stages if stage.begun]:
        stage.become("superseded")
        if stage.line not in settled:
            settled.add(stage.line)
            stages.append(_fresh_copy(stage, len(stages)))
    return [stage for stage in stages if stage.status == "pending"]


def _fresh_copy(stage: Stage, number: int) -> Stage:
    """Components of a mix are copied together, one after the other, and are a mix of their own."""
    mix = stage.mix and replace(stage.mix, first=number - stage.mix.component)
    return Stage(number, stage.step, stage.repeat, stage.endpoint, stage.prompt_set, stage.load, stage.parameters,
                 stage.ramp_s, stage.warmup_s, stage.window_s, stage.requests, stage.drain_s, stage.warmup, stage.find,
                 stage.stop_when_saturated, mix, stage.until, stage.exact, stage.stop_if, stage.beside)


class Combination(NamedTuple):
    """One endpoint × prompt set × load level of a step; of a mix one of its components."""

    endpoint: EndpointSpec
    prompts: PromptSpec
    load: Load
    component: int | None = None
    rate: float | None = None  # arrivals a second of all components together
    parameters: Mapping[str, Any] = {}
    beside: bool = False  # users of the others ask it


def _steps(run: RunFile, levels: list[Load]) -> Iterator[list[Combination]]:
    if run.load.mix is not None:
        for load in levels:
            yield _components(run, run.load.mix, load)
    elif run.load.side_by_side:
        for prompts, load in itertools.product(run.prompts, levels):
            yield _side_by_side(run, prompts, load)
    else:
        for endpoint, prompts, load in itertools.product(run.endpoints, run.prompts, levels):
            yield [Combination(endpoint, prompts, load)]


def _side_by_side(run: RunFile, prompts: PromptSpec, load: Load) -> list[Combination]:
    """Each endpoint with users of its own; those of a scenario ask endpoints that embed or rank beside their own."""
    own = [one for one in run.endpoints if not (prompts.scripted and is_beside(one))]
    if not own or load.kind != "concurrency":
        return [Combination(endpoint, prompts, load) for endpoint in run.endpoints]
    all_users = Load("concurrency", int(load.value) * len(own))
    return [Combination(one, prompts, load) if one in own else Combination(one, prompts, all_users, beside=True)
            for one in run.endpoints]


def _components(run: RunFile, mix: list[ComponentSpec], load: Load) -> list[Combination]:
    """The components of a mix at one level: each its users, or its part of the arrivals."""
    endpoints, prompts = {one.name: one for one in run.endpoints}, {one.name: one for one in run.prompts}
    parts = shares([one.weight for one in mix])
    users = spread(int(load.value), parts) if load.kind == "concurrency" else [0] * len(mix)
    loads = [Load("concurrency", users[place]) if load.kind == "concurrency"
             else Load(load.kind, load.value * part, load.arrivals) for place, part in enumerate(parts)]
    rate = load.value if load.kind == "rate" else None
    return [Combination(endpoints[one.endpoint], prompts[one.prompts], loads[place], place, rate, one.parameters)
            for place, one in enumerate(mix)]


def _mix(run: RunFile, lane: Combination, number: int) -> MixPart | None:
    """What a component's stage has to know of its mix: stages of one step follow each other."""
    if lane.component is None or run.load.mix is None:
        return None
    parts = shares([one.weight for one in run.load.mix])
    return MixPart(lane.component, parts[lane.component], tuple(parts), number - lane.component, lane.rate)


def _stage(run: RunFile, number: int, step: int, repeat: int, lane: Combination) -> Stage:
    spec, endpoint = run.load, lane.endpoint
    load = replace(lane.load, sessions=spec.sessions or of_sessions(lane.prompts.source))
    window_s, ramp_s, until, find = spec.window_s, spec.ramp_s, None, None
    if load.kind == "trace":  # `replay` bounds its window by the trace's length, once that is known
        ramp_s = 0.0
    elif spec.find is not None:
        window_s, extend = window_s or DEFAULT_WINDOW_S, 1 if spec.find.knee else spec.find.extend
        find = Find(_objective(run), spec.find.confidence, window_s, extend)
        window_s *= extend
    elif spec.until is not None:
        window_s = spec.until.at_most_s
        until = Until(**spec.until.model_dump(exclude={"at_most_s"}))
    elif window_s is None and spec.requests is None:
        window_s = DEFAULT_WINDOW_S
    warmup_s, warmup = spec.warmup.limit_s, WarmUp(spec.warmup.requests, spec.warmup.steady)
    if spec.exact:  # every request is counted, those of the ramp, too
        warmup_s, warmup = 0.0, WarmUp()
    return Stage(number, step, repeat, endpoint.name, lane.prompts.name, load,
                 {**endpoint.parameters, **lane.parameters}, ramp_s, warmup_s, window_s, _requests(spec, lane),
                 spec.drain_s, warmup, find, spec.stops, _mix(run, lane, number), until, spec.exact is not None,
                 StopIf(**spec.stop_if.model_dump()) if spec.stop_if else None, lane.beside)


def _requests(spec: LoadSpec, lane: Combination) -> int | None:
    """Requests that close the window; of a mix, each component's part. None: a time does, or the prompts say."""
    requests = spec.requests if isinstance(spec.requests, int | None) else spec.requests.exactly
    if not isinstance(requests, int) or lane.component is None or spec.mix is None:
        return requests if isinstance(requests, int) else None
    return max(1, spread(requests, shares([one.weight for one in spec.mix]))[lane.component])


def another(run: RunFile, number: int, step: int, endpoint: EndpointSpec, prompts: PromptSpec, value: float) -> Stage:
    """One more stage, at a load that a search asks for."""
    return _stage(run, number, step, 0, Combination(endpoint, prompts, _searched(run.load, value)))


def _objective(run: RunFile) -> dict[str, Any] | None:
    """What the loads of a search must meet; None where it looks for the knee."""
    find = run.load.find
    if find is None or find.knee:
        return None
    return find.objective or {one.name: run.objectives[one.name] for one in searchable(run.objectives)}


def _searched(spec: LoadSpec, value: float) -> Load:
    over = spec.find.over if spec.find is not None else "concurrency"
    return Load(over, value, _arrivals(spec.arrivals)) if over == "rate" else Load(over, int(value))


def _levels(spec: LoadSpec) -> list[Load]:
    given = [name for name in ("concurrency", "rate", "find", "trace") if getattr(spec, name) is not None]
    if len(given) != 1:
        raise FmloadError(f"load: exactly one of concurrency, rate, find and trace is needed, not {given or 'none'}",
                          hint="for example  load: {concurrency: [1, 2, 4]}")
    if spec.concurrency is not None:
        return [Load("concurrency", value) for value in spec.concurrency]
    if spec.rate is not None:
        return [Load("rate", value, _arrivals(spec.arrivals)) for value in spec.rate]
    if spec.trace is not None:
        return [Load("trace", speed) for speed in spec.trace.speed]
    assert spec.find is not None
    return [_searched(spec, spec.find.first)]  # the planner asks for the others, once it is known how these did


def _arrivals(spec: ArrivalSpec | None) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude_none=True) if spec else {"process": "constant"}


def planned_after_s(phase: str, now: Sequence[Stage], stages: Sequence[Stage]) -> float | None:
    """Seconds of ramps, warm-ups and windows that are planned after this phase of the stages `now`; drains not counted.

    None when a search, or a number of requests without a time, decides how long the rest takes.
    """
    pending = [stage for stage in stages if stage.status == "pending" and stage not in now]
    if any(stage.find or stage.window_s is None for stage in (*now, *pending)):
        return None
    rest = {"ramp": ("warmup_s", "window_s"), "warm-up": ("window_s",)}.get(phase, ())
    steps: dict[int, list[Stage]] = {}
    for stage in pending:
        steps.setdefault(stage.step, []).append(stage)
    return _longest(now, rest) + sum(_longest(step, ("ramp_s", "warmup_s", "window_s")) for step in steps.values())


def _longest(stages: Sequence[Stage], names: Sequence[str]) -> float:
    """Stages of a step go through each of these phases together."""
    return math.fsum(max((getattr(stage, name) for stage in stages), default=0.0) for name in names)
