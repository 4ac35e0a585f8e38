"""Searches: the load that was looked for, every stage on the way with its verdict, and stages that were skipped."""

from __future__ import annotations

import math

from fmload.config.objectives import Objective, parse_objectives
from fmload.model.stage import Stage
from fmload.model.verdict import Judged, LoadVerdict, Observed
from fmload.search.planner import points_of
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Bullets,
    Cell,
    Chart,
    Column,
    Mark,
    Paragraph,
    Point,
    Rule,
    Section,
    Series,
    Table,
)
from fmload_analysis.document.formats import name
from fmload_analysis.document.questions import QUEUE
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.objectives import STATES
from fmload_analysis.verdict.searches import Search, searches

_MARKS: dict[str, Mark] = {"met": "good", "missed": "bad", "unknown": "warn"}
LABELS = 14  # along an axis
_CLOSED = {"clear": "verdict clear", "saturated": "over-saturated", "at_most": "limit", "time": "time"}


def render(analysis: Analysis) -> Section | None:
    """A sentence, a table and a chart for each kind of search. None when there was none and nothing was skipped."""
    found = searches(analysis.run.stages)
    skipped = [stage for stage in analysis.run.stages if stage.status == "skipped"]
    blocks: list[Block] = [*_answers(found), *_highest([one for one in found if not one.seeks_knee]),
                           *_knees([one for one in found if one.seeks_knee])]
    if skipped:
        count = formats.several(len(skipped), "stage")
        blocks.append(Paragraph(f"{count} skipped, for a lower load was already too much:"))
        blocks.append(Bullets([f"{stage.endpoint} · {stage.prompt_set} · {stage.load_label}: {_why(stage)}"
                               for stage in skipped]))
    title = "Search" if found else "Saturation"
    return Section("search", title, blocks, QUEUE) if blocks else None


def _answers(found: list[Search]) -> list[Block]:
    return [Bullets([f"**{one.endpoint} · {one.prompt_set}**: {one.sentence}" for one in found])] if found else []


def _why(stage: Stage) -> str:
    return next((mark.detail for mark in stage.marks if mark.kind == "skipped"), "")


def _highest(found: list[Search]) -> list[Block]:
    if not found or found[0].objective is None:
        return []
    objectives = parse_objectives(found[0].objective)
    columns = [Column("Stage"), Column("Endpoint", numeric=False), Column("Prompts", numeric=False),
               Column("Load", numeric=False),
               *(Column(one.name, _unit(one), f"limit {one.limit:g}") for one in objectives),
               Column("Samples", title="Requests, or tokens of a token metric"),
               Column("Verdict", numeric=False), Column("Closed by", numeric=False)]
    rows = [_row(stage, objectives) for search in found for stage in search.stages]
    return [Table(columns, rows, _caption(found)), *(_chart(found, one) for one in objectives)]


def _caption(found: list[Search]) -> str:
    levels = {stage.verdict.confidence for one in found for stage in one.stages if stage.verdict}
    each = " or ".join(f"{level * 100:.3g} %" for level in sorted(levels))
    nothing = "; an error rate also meets when nothing failed" if "error_rate" in (found[0].objective or ()) else ""
    return (f"**Every stage of the search**, in order. In brackets the one-sided bounds of each metric, {each} each: a "
            f"load meets its objectives when the upper one is within the limit, and misses them when the lower one is "
            f"beyond it{nothing}")


def _row(stage: Stage, objectives: tuple[Objective, ...]) -> list[Cell]:
    verdict = stage.verdict or LoadVerdict("unclear", 0.0)
    samples = [one.n for one in verdict.judged]
    result = STATES[verdict.result]
    return [Cell(str(stage.stage), stage.stage), name(stage.endpoint), name(stage.prompt_set),
            Cell(stage.load_label, float(stage.load.value)),
            *(_interval(one, verdict.on(one.name)) for one in objectives),
            formats.cell(min(samples) if samples else None, formats.count),
            Cell(result, result, _MARKS.get(result), verdict.reason or None),
            name(_CLOSED.get(str(stage.window_closed), stage.window_closed))]


def _interval(objective: Objective, judged: Judged | None) -> Cell:
    """`812 (790 to 841)`: the value and its bounds; `…` for one that the samples do not reach."""
    if judged is None or not judged.n:
        return Cell(formats.ABSENT)
    ends = " to ".join("…" if end is None else _text(objective, end) for end in (judged.low, judged.high))
    shown = "failed" if judged.value is None else _text(objective, judged.value)
    return Cell(f"{shown} ({ends})", judged.value, _MARKS[STATES[judged.result]],
                f"design effect {judged.design_effect or 1.0:.2g}")


def _text(objective: Objective, value: float) -> str:
    if objective.unit == "share":
        return formats.percent(value).removesuffix(" %")
    return formats.milliseconds(value) if _unit(objective) == "ms" else formats.significant(value)


def _unit(objective: Objective) -> str:
    return {"share": "%", "s": "ms", "s/token": "ms"}.get(objective.unit, objective.unit)


def _factor(objective: Objective) -> float:
    return {"%": 100.0, "ms": 1000.0}.get(_unit(objective), 1.0)


def _chart(found: list[Search], objective: Objective) -> Chart:
    factor, unit = _factor(objective), _unit(objective)
    series = [Series(f"{one.endpoint} · {one.prompt_set}", _points(one, objective, factor), place, place, bars=True)
              for place, one in enumerate(found)]
    return Chart(f"search_{objective.name}", f"{objective.name} against load, with its one-sided bounds", "xy",
                 _load_axis(found), Axis(objective.name, unit, log=True), series,
                 [Rule("y", objective.limit * factor, f"limit {objective.limit * factor:g} {unit}"),
                  *(Rule("x", one.answer, _bracket(one)) for one in found if one.answer is not None)])


def _bracket(search: Search) -> str:
    above = "" if search.around.high is None else f", {search.around.high:g} does not"
    return f"{search.answer:g} meets{above}"


def _points(search: Search, objective: Objective, factor: float) -> list[Point]:
    points = []
    for stage in sorted(search.stages, key=lambda stage: float(stage.load.value)):
        judged = stage.verdict.on(objective.name) if stage.verdict else None
        if judged and judged.value and stage.verdict:
            low, high = (end * factor if end is not None else None for end in (judged.low, judged.high))
            points.append(Point(float(stage.load.value), judged.value * factor, low, high,
                                tip=f"stage {stage.stage}: {stage.load_label}, {STATES[stage.verdict.result]}"))
    return points


def _load_axis(found: list[Search]) -> Axis:
    labels = {"concurrency": ("Concurrency", "users"), "rate": ("Arrival rate", "requests/s")}
    return Axis(*labels.get(found[0].over, ("Load", "")), log=True, ticks=_ticks(found))


def _ticks(found: list[Search]) -> list[float]:
    """The levels that were tried, answers first, as far as there is room for their labels on a logarithmic axis."""
    answers = [one.answer for one in found if one.answer is not None]
    levels = sorted({float(stage.load.value) for one in found for stage in one.stages})
    gap = math.log(levels[-1] / levels[0]) / LABELS
    shown: list[float] = []
    for level in [*answers, levels[0], levels[-1], *levels]:
        if all(abs(math.log(level / other)) >= gap for other in shown):
            shown.append(level)
    return sorted(shown)


def _knees(found: list[Search]) -> list[Block]:
    if not found:
        return []
    columns = [Column("Stage"), Column("Endpoint", numeric=False), Column("Prompts", numeric=False),
               Column("Load", numeric=False), Column("Throughput", "requests/s"), Column("E2E mean", "s"),
               Column("Power", "requests/s²", "Throughput ÷ mean E2E latency"), Column("Closed by", numeric=False)]
    rows = [_knee_row(search, stage) for search in found for stage in search.stages]
    series = [Series(f"{one.endpoint} · {one.prompt_set}", [
        Point(point.load, point.power, tip=f"{point.requests_per_s:.3g} requests/s, {point.latency_s:.3g} s")
        for point in sorted(points_of(one.stages), key=lambda point: point.load)], place)
        for place, one in enumerate(found)]
    rules = [Rule("x", one.answer, f"knee {one.answer:g}") for one in found if one.answer is not None]
    return [Table(columns, rows, "**Every stage of the search for the knee**, in order"),
            Chart("search_knee", "Power: throughput ÷ mean E2E latency", "xy", _load_axis(found),
                  Axis("Power", "requests/s²"), series, rules)]


def _knee_row(search: Search, stage: Stage) -> list[Cell]:
    point, = points_of([stage])
    seen = stage.observed or Observed()
    reach = None if seen.low is None or seen.high is None else f"95 % interval {seen.low:.4g} to {seen.high:.4g}"
    knee: Mark | None = "good" if stage.load.value == search.answer else None
    return [Cell(str(stage.stage), stage.stage), name(stage.endpoint), name(stage.prompt_set),
            Cell(stage.load_label, point.load, knee),
            formats.cell(point.requests_per_s, formats.significant, None, reach),
            formats.cell(point.latency_s or None, formats.seconds),
            formats.cell(point.power, formats.significant, knee),
            name(_CLOSED.get(str(stage.window_closed), stage.window_closed))]
