"""What is run next: the plan's steps one after the other, or the load that a search asks for. Pure.

A search goes by what stages.json holds of the stages so far. So a run that is resumed goes on with the same search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fmload.config.find import FindSpec
from fmload.config.schema import EndpointSpec, PromptSpec, RunFile
from fmload.model.stage import Stage
from fmload.model.verdict import Observed
from fmload.plan.stages import another, steps_of
from fmload.search import bracket, knee
from fmload.search.verdicts import met

Lane = tuple[EndpointSpec, PromptSpec]


class Span:
    """Where to search, as `bracket.Range` has it; from and to of `find`."""

    def __init__(self, find: FindSpec) -> None:
        self.over: str = find.over
        self.from_, self.to, self.within, self.near = find.from_, find.to, find.within, find.near


def next_step(run: RunFile, stages: list[Stage]) -> list[Stage]:
    """The stages of the next step; empty when the run has ended. What a search asks for is added to `stages`."""
    pending = steps_of(stage for stage in stages if stage.status == "pending")
    if pending or run.load.find is None:
        return pending[0] if pending else []
    for lanes in _groups(run):
        asked = [(lane, load) for lane in lanes if (load := next_load(run.load.find, _of(stages, lane))) is not None]
        if asked:
            return _added(run, stages, asked)
    return []


def next_load(find: FindSpec, tried: Iterable[Stage]) -> float | None:
    """The load to try next on one endpoint with one prompt set; None when its search has ended."""
    done = [stage for stage in tried if stage.status == "done"]
    if find.knee:
        return knee.next_load(Span(find), points_of(done))
    return bracket.next_load(Span(find), bracket_of(done))


def at_most(run: RunFile, stages: list[Stage]) -> int:
    """How many stages the run has at most; of a search for the knee, those that there are so far."""
    find = run.load.find
    if find is None or find.knee:
        return len(stages)
    done = [stage for stage in stages if stage.status == "done"]
    left = (bracket.at_most(Span(find), bracket_of(_of(done, lane))) for lanes in _groups(run) for lane in lanes)
    return max(len(stages), len(done) + sum(left))


def bracket_of(done: Iterable[Stage]) -> bracket.Bracket:
    """The bracket that the stages' verdicts leave."""
    return bracket.bracket_of(tried(stage) for stage in done)


def tried(stage: Stage) -> bracket.Tried:
    """What its verdict says of its load."""
    unclear = stage.verdict is None or stage.verdict.result == "unclear"
    return bracket.Tried(float(stage.load.value), met(stage.verdict), unclear)


def points_of(done: Iterable[Stage]) -> list[knee.Point]:
    """The stages as points of the curve; one that completed nothing has no power."""
    seen = [(stage.load.value, stage.observed or Observed()) for stage in done]
    return [knee.Point(float(load), one.requests_per_s or 0.0, one.e2e_mean_s or 0.0) for load, one in seen]


def _groups(run: RunFile) -> Iterator[list[Lane]]:
    for prompts in run.prompts:
        if run.load.side_by_side:
            yield [(endpoint, prompts) for endpoint in run.endpoints]
        else:
            yield from ([(endpoint, prompts)] for endpoint in run.endpoints)


def _of(stages: Iterable[Stage], lane: Lane) -> list[Stage]:
    endpoint, prompts = lane
    return [stage for stage in stages if (stage.endpoint, stage.prompt_set) == (endpoint.name, prompts.name)]


def _added(run: RunFile, stages: list[Stage], asked: list[tuple[Lane, float]]) -> list[Stage]:
    step = max((stage.step for stage in stages), default=-1) + 1
    for (endpoint, prompts), value in asked:
        stages.append(another(run, len(stages), step, endpoint, prompts, value))
    return stages[-len(asked):]
