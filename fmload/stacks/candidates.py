"""From a run file to its candidates, and from a candidate to the run file of its trial. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.base.redaction import is_secret_name
from fmload.config import problems, vary
from fmload.config.schema import EndpointSpec, RunFile
from fmload.model.stack import Candidate

COARSEST = 0.5  # the widest bracket of a short trial, as a share


@dataclass(frozen=True, slots=True)
class Stack:
    """A candidate with the endpoint's entry that it is."""

    candidate: Candidate
    spec: EndpointSpec


def varies(run: RunFile) -> bool:
    """Whether the run is a search over candidates."""
    return any(spec.vary for spec in run.endpoints)


def stacks_of(run: RunFile) -> list[Stack]:
    """All candidates of all endpoints, in order. Raises FmloadError with every one that is no valid endpoint, and for
    two of one name."""
    found, wrong = list[Stack](), list[str]()
    for spec in run.endpoints:
        for entry, candidate in _of(spec):
            try:
                found.append(Stack(candidate, EndpointSpec.model_validate(entry)))
            except ValidationError as error:
                wrong += [f"{candidate.name} ({candidate.text}): {problems.written(path)}: {why}"
                          for path, why in problems.findings(error, entry)]
    if wrong:
        raise FmloadError("\n".join([f"{len(wrong)} problems with candidates", *wrong[:20]]),
                          hint="leave such combinations out with exclude or require")
    names = [one.candidate.name for one in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise FmloadError(f"two candidates would be named '{twice}'", hint="give one of their endpoints another name")
    return found


def _of(spec: EndpointSpec) -> Iterator[tuple[dict[str, Any], Candidate]]:
    entry = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if not spec.vary:
        yield {key: value for key, value in entry.items() if key not in vary.KEYS}, Candidate(
            spec.name, spec.name, {}, is_default=True)
        return
    digits = len(str(max(1, vary.count(spec.vary) - 1)))
    whole = {**entry, "vary": spec.vary, "exclude": spec.exclude,
             "require": [rule.model_dump() for rule in spec.require]}
    for number, settings in vary.combinations(whole):
        name = f"{spec.name}-{number:0{digits}d}"
        yield {**vary.filled(whole, settings), "name": name}, Candidate(
            name, spec.name, {key: shown(key, value) for key, value in settings.items()}, is_default=number == 0)


def shown(key: str, value: Any) -> str:
    """A value of `vary` as a candidate's settings have it."""
    if is_secret_name(key.rpartition(".")[2]):
        return "***"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return {True: "true", False: "false", None: "none"}.get(value, str(value)) if isinstance(
        value, bool | None) else str(value)


def trial_run(run: RunFile, stack: Stack, share: float, max_cost: float | None,
              near: float | None = None) -> RunFile:
    """The run file of a trial: the candidate alone, windows `share` as long, and the highest load looked for as much
    less exactly, from `near` where that is known; `max_cost` is what may still be spent."""
    load = run.load
    changes: dict[str, Any] = {}
    if load.window_s is not None or load.find is not None:
        changes["window_s"] = (load.window_s or 60.0) * share
    if load.find is not None:
        within = min(max(load.find.within, COARSEST), load.find.within / share)
        changes["find"] = load.find.model_copy(update={"within": within, "near": near or load.find.near})
    kept = [_renamed(one, stack) for one in run.telemetry if _owner(one) in (None, stack.candidate.base)]
    return run.model_copy(update={
        "name": stack.candidate.name, "endpoints": [stack.spec], "load": load.model_copy(update=changes),
        "telemetry": kept, "stacks": None, "max_cost": max_cost})


def _owner(collector: Any) -> str | None:
    owner: str | None = getattr(collector.options, "endpoint", None)
    return owner


def _renamed(collector: Any, stack: Stack) -> Any:
    """The collector of the base watches the candidate."""
    if _owner(collector) is None:
        return collector
    said = collector.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return type(collector).model_validate({**said, "endpoint": stack.candidate.name})
