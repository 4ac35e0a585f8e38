"""How stages are named, ordered and coloured: the same in every table and every chart of a report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fmload_analysis.document.document import Axis, Cell, Column, Point, Series
from fmload_analysis.document.formats import name
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.table import StageResult

Name = TypeVar("Name")
_LOAD_AXES = {"concurrency": ("Concurrency", "users"), "rate": ("Arrival rate", "requests/s"),
              "trace": ("Speed of the trace", "×")}
_SESSION_AXES = {"concurrency": ("Sessions at a time", ""), "rate": ("Arrival rate", "sessions/s")}
STAGE_COLUMNS = (Column("Stage"), Column("Endpoint", numeric=False), Column("Prompts", numeric=False),
                 Column("Load", numeric=False))


@dataclass(frozen=True, slots=True)
class Line:
    """The stages of one endpoint, prompt set and set of parameters, by rising load of one kind. `color` counts the
    endpoints, `shape` what is sent to them."""

    name: str
    endpoint: str
    prompt_set: str
    kind: str
    color: int
    shape: int
    results: tuple[StageResult, ...]


def lines(analysis: Analysis) -> list[Line]:
    """All stages as lines, in the order of the run file."""
    groups: dict[tuple[str, str, str, str], list[StageResult]] = {}
    for result in analysis.results:
        stage = result.summary.stage
        key = (stage.endpoint, stage.prompt_set, stage.load.kind, _parameters(result))
        groups.setdefault(key, []).append(result)
    several = len({key[3] for key in groups}) > 1
    sets = {key[1] for key in groups}
    endpoints, sent = _order(key[0] for key in groups), _order((key[1], key[3]) for key in groups)
    return [
        Line(" · ".join(part for part in (key[0], key[1] if len(sets) > 1 else "", key[3] if several else "") if part),
             key[0], key[1], key[2], endpoints[key[0]], sent[key[1], key[3]], tuple(sorted(results, key=load_value)))
        for key, results in groups.items()]


def as_series(line: Line, found: Sequence[Line], points: Sequence[Point], **further: Any) -> Series:
    """A line among those of a chart, told from each of the others: its colour is its endpoint's, its marker and dashes
    are those of what is sent; where all are of one endpoint, so is the colour. `further`: as of `Series`."""
    color = line.color if len({one.endpoint for one in found}) > 1 else line.shape
    return Series(line.name, points, color, line.shape, line.shape, **further)


def load_value(result: StageResult) -> float:
    """Users, or arrivals per second."""
    return float(result.summary.stage.load.value)


def _order(names: Iterable[Name]) -> dict[Name, int]:
    return {each: place for place, each in enumerate(dict.fromkeys(names))}


def _parameters(result: StageResult) -> str:
    """`max_tokens 20, temperature 0`."""
    return ", ".join(f"{key} {value}" for key, value in sorted(result.summary.stage.parameters.items()))


def kinds(found: Sequence[Line]) -> list[str]:
    """The kinds of load that occur."""
    return list(dict.fromkeys(line.kind for line in found))


def load_axis(kind: str, found: Sequence[Line]) -> Axis:
    """The axis of the load, with a tick at each of its levels; logarithmic where the levels double or more."""
    label, unit = _LOAD_AXES.get(kind, ("Load", ""))
    if all(result.summary.stage.load.sessions for line in found if line.kind == kind for result in line.results):
        label, unit = _SESSION_AXES.get(kind, (label, unit))
    levels = sorted({load_value(result) for line in found if line.kind == kind for result in line.results})
    doubling = len(levels) > 2 and levels[0] > 0 and levels[-1] / levels[0] >= 2 ** (len(levels) - 1) * 0.99
    return Axis(label, unit, log=doubling, ticks=levels)


def stage_cells(result: StageResult) -> list[Cell]:
    """The cells below STAGE_COLUMNS."""
    stage = result.summary.stage
    return [Cell(str(stage.stage), stage.stage), name(stage.endpoint), name(stage.prompt_set),
            Cell(result.load, load_value(result))]


def stage_name(result: StageResult) -> str:
    """`stage 3: inf2 · mean_550 · 16 users`."""
    stage = result.summary.stage
    return f"stage {stage.stage}: {stage.endpoint} · {stage.prompt_set} · {result.load}"
