"""stages.json: the stages of a run as asked and as they were. The only place that reads or writes it.

The whole file is written aside and renamed at each change. One of an earlier schema opens; one of a later schema is
refused, and never written over.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fmload.base.errors import FmloadError
from fmload.base.files import write_whole
from fmload.model.stage import Stage
from fmload.results.folder import Results

SCHEMA_VERSION = 2
# 1  first version
# 2  status `superseded`; `warmup` names both of its keys

MOST_LOAD = 1_000_000  # users, arrivals a second, or the speed-up of a trace

_SPOILT = "it was cut off or edited: take it from a copy; the records of the folder are as they were"
_INSTANTS = ("ramp_start_ns", "warmup_start_ns", "window_start_ns", "window_end_ns", "drain_end_ns")
_ABSENT: dict[str, Any] = {"step": 0, "repeat": 0, "parameters": {}, "ramp_s": 0.0, "warmup_s": 0.0, "window_s": None,
                           "requests": None, "drain_s": 0.0, "status": "done"}
_STAGES: TypeAdapter[list[Stage]] = TypeAdapter(list[Stage])


@dataclass(slots=True)
class StageFile:
    """What stages.json holds. `wall_anchor_ns` is `time.time_ns() − time.monotonic_ns()` of the master."""

    run_id: str = ""
    started_utc: str | None = None
    wall_anchor_ns: int = 0
    stages: list[Stage] = field(default_factory=list)

    def write(self, results: Results) -> None:
        """Write it, whole or not at all. Raises OSError."""
        write_whole(results.stages_json, json.dumps({
            "schema": SCHEMA_VERSION, "run_id": self.run_id, "started_utc": self.started_utc,
            "wall_anchor_ns": self.wall_anchor_ns, "stages": [to_json(stage) for stage in self.stages]}, indent=1))


def exists(results: Results) -> bool:
    """Whether a run was begun in this folder."""
    return results.stages_json.exists()


def read(results: Results) -> StageFile:
    """The stages of a folder. Raises FmloadError where there are none, they are damaged, or of a later schema."""
    path = results.stages_json
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise FmloadError(f"{results.root} is not a results folder: it has no stages.json",
                          hint="give the folder that 'fmload run' wrote, for example results/latest") from error
    except OSError as error:
        raise FmloadError(f"{path} cannot be read: {error.strerror}", hint="mind its permissions") from error
    except (ValueError, RecursionError) as error:
        raise FmloadError(f"{path} is not JSON: {error}", hint=_SPOILT) from error
    if not isinstance(told, dict) or not isinstance(told.get("stages"), list):
        raise FmloadError(f"{path} holds no list of stages", hint=_SPOILT)
    _check_schema(results, told.get("schema", 0))
    stages = _stages(results, told["stages"])
    if told.get("schema", 0) < 2:
        _supersede(stages)
    anchor_ns, started = told.get("wall_anchor_ns"), told.get("started_utc")
    return StageFile(str(told.get("run_id", "")), started if isinstance(started, str) else None,
                     anchor_ns if isinstance(anchor_ns, int) else 0, stages)


def _check_schema(results: Results, schema: Any) -> None:
    if not isinstance(schema, int):
        raise FmloadError(f"{results.stages_json}: its schema is no number", hint=_SPOILT)
    if schema > SCHEMA_VERSION:
        raise FmloadError(f"{results.stages_json} has schema {schema}; this fmload reads up to {SCHEMA_VERSION}",
                          hint="use the fmload that wrote the folder (environment.json), or a newer one")


def _stages(results: Results, entries: list[Any]) -> list[Stage]:
    try:
        stages = _STAGES.validate_python([_with_defaults(entry) for entry in entries])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"][1:]))
        raise FmloadError(f"{results.stages_json}: entry {first['loc'][0]} is no stage: {where or 'it'}: "
                          f"{first['msg']}", hint=_SPOILT) from error
    for stage in stages:
        _check_bounds(results, stage)
    numbers = [stage.stage for stage in stages]
    if len(set(numbers)) < len(numbers):
        raise FmloadError(f"{results.stages_json}: two stages have one number", hint=_SPOILT)
    return stages


def _check_bounds(results: Results, stage: Stage) -> None:
    """What no run has: numbers beyond 64 bits, loads beyond measure, a trace at no speed."""
    figures = {**{name: getattr(stage, name) for name in _INSTANTS}, "stage": stage.stage, "step": stage.step}
    wrong = next((name for name, value in figures.items() if not 0 <= value < 2**62), None)
    least = 0 if stage.load.kind == "concurrency" else 1e-6
    mix = stage.mix
    if wrong is None and mix and not (0 <= mix.component < len(mix.shares) and 0 <= mix.share <= 1):
        wrong = "mix"
    if wrong is None and not least <= stage.load.value <= MOST_LOAD:
        wrong = "load.value"
    if wrong is not None:
        raise FmloadError(f"{results.stages_json}: stage {stage.stage}: {wrong} is no figure of a run", hint=_SPOILT)


def _with_defaults(entry: Any) -> Any:
    """Instants that never came are 0 here and null in the file; what an early schema left out has its default."""
    if not isinstance(entry, dict):
        return entry
    return {**_ABSENT, **entry, **{name: entry.get(name) or 0 for name in _INSTANTS},
            "warmup": entry.get("warmup") or {}, "workers": entry.get("workers") or [],
            "marks": entry.get("marks") or []}


def to_json(stage: Stage) -> dict[str, Any]:
    """The entry of a stage."""
    return {**asdict(stage), **{name: getattr(stage, name) or None for name in _INSTANTS}}


def from_json(entry: dict[str, Any]) -> Stage:
    """The inverse of `to_json`; keys of later versions are ignored. Raises pydantic's ValidationError."""
    return _STAGES.validate_python([_with_defaults(entry)])[0]


def _supersede(stages: list[Stage]) -> None:
    """Schema 1 called a stage interrupted that a later one had taken the place of."""
    for place, stage in enumerate(stages):
        if stage.status == "interrupted" and any(other.line == stage.line for other in stages[place + 1:]):
            stage.become("superseded")
