"""An agent in the run file: its tools, and its steps as a list in which lists lie side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from fmload.base.registry import did_you_mean
from fmload.config import limits
from fmload.config.delays import Delay
from fmload.config.lengths import Length
from fmload.config.model import Rule, Strict
from fmload.config.values import RunPath, Seconds

_Path = tuple[str | int, ...]
_KINDS = ("ask", "tool", "think", "parallel", "agent", "repeat")
_GO_WITH: Mapping[str, tuple[str, ...]] = {
    "ask": ("text", "input_tokens", "output_tokens", "retries", "retry_after_s"),
    "tool": ("takes", "result_tokens", "fails", "retries", "retry_after_s"),
    "think": (), "parallel": (), "agent": ("steps", "system", "system_tokens"), "repeat": ("steps",)}


class ToolSpec(Strict):
    """A tool: how long it takes, what it gives, how often it fails. `300ms` in place of the mapping says how long."""

    takes: Delay = Field(description="how long a call takes: a duration, or one that is drawn")
    result_tokens: Length | None = Field(None, description="length of what it gives; 50")
    fails: float = Field(0.0, ge=0, lt=1, description="share of its calls that fail, drawn by the seed")
    retries: int = Field(0, ge=0, le=limits.REPEATS, description="times that a failed call is made again")
    retry_after_s: Seconds = Field(0.0, alias="retry_after", description="pause before that")
    definition: dict[str, Any] | None = Field(
        None, description="the function as a server is told of it, in OpenAI's form; default: its name, and one text")


def _short_tool(value: object) -> object:
    return {"takes": value} if isinstance(value, str) or value == 0 else value


Tool = Annotated[ToolSpec, BeforeValidator(_short_tool)]


class StepSpec(Strict):
    """One step: exactly one of ask, tool, think, parallel, agent and repeat, with the keys that go with it."""

    ask: str | None = Field(None, description="a request to the model, by this name")
    text: str | None = Field(None, description="of ask: what is asked, or")
    input_tokens: Length | None = Field(None, description="of ask: the length of what is asked; nothing new without")
    output_tokens: Length | None = Field(None, description="of ask: the length of the answer to ask for")
    tool: str | None = Field(None, description="a call of one of `tools`, or of one that this step describes")
    takes: Delay | None = Field(None, description="of tool: over that of `tools`")
    result_tokens: Length | None = Field(None, description="of tool: likewise")
    fails: float | None = Field(None, ge=0, lt=1, description="of tool: likewise")
    retries: int | None = Field(None, ge=0, le=limits.REPEATS, description="of ask and tool: a failed one is made anew")
    retry_after_s: Seconds | None = Field(None, alias="retry_after", description="pause before that; each time doubled")
    think: Delay | None = Field(None, description="a pause of the user")
    parallel: list[list[StepSpec] | StepSpec] | None = Field(
        None, min_length=1, max_length=limits.ENTRIES, description="branches side by side; what follows waits for all")
    agent: str | None = Field(None, description="a sub-agent of this name with a chat of its own, of which the last "
                                                "answer comes back; with steps")
    repeat: Length | None = Field(None, description="how often `steps` are gone through")
    steps: list[StepSpec] | None = Field(None, min_length=1, max_length=limits.ENTRIES, description="of agent, repeat")
    system: str | None = Field(None, description="of agent: its system message, or")
    system_tokens: int | None = Field(None, ge=1, le=limits.TOKENS, description="of agent: the length of it")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        kinds = [kind for kind in _KINDS if kind in given]
        if len(kinds) != 1:
            yield "", f"a step is one of {', '.join(_KINDS)}; here: {' and '.join(kinds) or 'none of them'}"
            return
        for key in given:
            if key not in (kinds[0], *_GO_WITH[kinds[0]]):
                others = ", ".join(name.removesuffix("_s") for name in _GO_WITH[kinds[0]])
                yield key, f"does not go with {kinds[0]}; that takes {others or 'no other key'}"
        if kinds[0] in ("agent", "repeat") and "steps" not in given:
            yield "steps", f"is missing: what the {kinds[0]} does"
        if "text" in given and "input_tokens" in given:
            yield "text", "give either text or input_tokens"
        if "system" in given and "system_tokens" in given:
            yield "system", "give either system or system_tokens"


class AgentSpec(Strict):
    """What a session of the agent is."""

    steps: list[StepSpec] | None = Field(None, min_length=1, max_length=limits.ENTRIES, description="what it does")
    tools: dict[str, Tool] = Field(default_factory=dict, description="its tools by name: how long they take, or more")
    system: str | None = Field(None, description="the system message, or")
    system_tokens: int | None = Field(
        None, ge=1, le=limits.TOKENS, description="the length of one that all sessions share")
    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "system" in given and "system_tokens" in given:
            yield "system", "give either system or system_tokens"
        tools = given.get("tools")
        known = list(tools) if isinstance(tools, Mapping) else []
        for path, step in _walk(given.get("steps"), ("steps",)):
            name = step.get("tool")
            if isinstance(name, str) and name not in known and "takes" not in step:
                yield (*path, "tool"), (f"'{name}' is none of tools{did_you_mean(name, known)}; describe it there, or "
                                        "say here how long it takes (takes)")
        if isinstance(given.get("steps"), list) and not any("ask" in step for _, step in _walk(given["steps"], ())):
            yield "steps", "hold no request (ask)"
        if (too_long := _too_long(given.get("steps"), ("steps",))) is not None:
            yield too_long, (f"a session would hold {_steps_in(given['steps']):,} steps; {limits.STEPS:,} are the "
                             "most: repeat fewer times, or put fewer repeats within each other")


class Options(AgentSpec):
    """Keys of `source: agents`."""

    file: RunPath | None = Field(None, description="a YAML file with steps, tools and system, in place of them here")
    answers: Literal["served", "made_up"] = Field(
        "served", description="what later steps repeat: the server's answers, or some that are made up")
    tool_calls: Literal["simulated", "forced", "free"] = Field(
        "simulated", description="simulated: results come as messages of the user, whatever the model says; forced: "
                                 "the model is made to call the tool (tool_choice); free: it may")

    @property
    def requests(self) -> int:
        """Requests in a session, roughly: those that are written."""
        return _requests(self.steps or [])

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        here = [key for key in ("steps", "tools", "system", "system_tokens") if key in given]
        if "file" in given and here:
            yield here[0], "stands in the file, or here; not in both"
        elif "file" not in given and "steps" not in given:
            yield "steps", "is missing; give the agent's steps, or a file"
        yield from super().rules(given)


def _requests(steps: list[StepSpec]) -> int:
    inner = sum(_requests(step.steps or []) for step in steps)
    branches = (branch if isinstance(branch, list) else [branch] for step in steps for branch in step.parallel or [])
    return sum(step.ask is not None for step in steps) + inner + sum(map(_requests, branches))


def _walk(steps: object, path: _Path) -> Iterator[tuple[_Path, Mapping[str, Any]]]:
    """All steps with the path to each, as they are written."""
    for place, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, Mapping):
            yield (*path, place), step
        for below, there in _within(step, (*path, place)):
            yield from _walk(below, there)


def _steps_in(steps: object) -> int:
    """Steps of a session: of a drawn `repeat` as many as its `max` makes where all between are as likely, else its
    mean."""
    return sum(map(_size, steps)) if isinstance(steps, list) else 0


def _size(step: object) -> int:
    if isinstance(step, list):
        return _steps_in(step)
    if not isinstance(step, Mapping):
        return 0
    if "repeat" in step:
        return _times(step["repeat"]) * _steps_in(step.get("steps"))
    return _steps_in(step["parallel"]) if "parallel" in step else max(1, _steps_in(step.get("steps")))


def _times(repeat: object) -> int:
    if isinstance(repeat, Mapping):
        repeat = repeat.get("mean") or repeat.get("max")
    return round(repeat) if isinstance(repeat, int | float) and math.isfinite(repeat) else 1


def _too_long(steps: object, path: _Path) -> _Path | None:
    """The innermost place that alone makes more steps than a session may hold; None where all is within it."""
    if _steps_in(steps) <= limits.STEPS:
        return None
    for place, step in enumerate(steps if isinstance(steps, list) else []):
        for below, there in _within(step, (*path, place)):
            if (found := _too_long(below, there)) is not None:
                return found
        if _size(step) > limits.STEPS:
            return (*path, place, "repeat")
    return path


def _within(step: object, path: _Path) -> list[tuple[object, _Path]]:
    """The lists of steps in a step, with the path to each."""
    if isinstance(step, list):
        return [(step, path)]
    return [(step[key], (*path, key)) for key in ("steps", "parallel") if key in step] if isinstance(
        step, Mapping) else []
