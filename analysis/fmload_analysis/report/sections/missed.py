"""Stages against the objectives: every value that was judged, marked met or missed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from fmload.base.units import DURATIONS
from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import Format
from fmload_analysis.document.questions import FAILED
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.figures import STATE_MARKS, state_cell
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.objectives import Objective, Verdict
from fmload_analysis.verdict.table import StageResult


def render(analysis: Analysis) -> Section | None:
    """The stages that are not shown to meet every objective. None when the run file gives no objectives."""
    judged = [result for result in analysis.results if result.verdicts]
    if not judged:
        return None
    others = [result for result in judged if result.objectives != "met"]
    asked = list({verdict.objective.name: verdict.objective for result in judged
                  for verdict in result.verdicts}.values())
    listed = ", ".join(f"`{limit_text(objective)}`" for objective in asked)
    if not others:
        return Section("objectives", "Objectives", [
            Paragraph(f"Every stage ({len(judged)} of {len(judged)}) met every objective: {listed}.")], FAILED,
            "Every stage met the objectives.")
    columns = [*STAGE_COLUMNS, Column("Objectives", numeric=False),
               *(Column(objective.name, _unit(objective), limit_text(objective)) for objective in asked),
               Column("What would settle it", numeric=False, wide=True)]
    rows = [[*stage_cells(result), state_cell(result.objectives), *_by_objective(result, asked),
             Cell(_settling(result.verdicts))] for result in others]
    return Section("objectives", "Stages that missed an objective", [
        Paragraph(_counted(judged, listed)), Paragraph(_RULE), Table(columns, rows)], FAILED,
        _gist(judged))


def _by_objective(result: StageResult, asked: Sequence[Objective]) -> list[Cell]:
    """A cell an objective; blank where it is that of a tenant which is not in this stage."""
    found = {verdict.objective.name: verdict for verdict in result.verdicts}
    return [verdict_cell(found[one.name]) if one.name in found else Cell("") for one in asked]


_RULE = (
    "An objective is met when the upper bound of its value (95 % confidence, order statistics; in brackets) is within "
    "the limit, missed when the lower one is beyond it, and unknown otherwise. A failed request counts as infinitely "
    "slow.")


def _gist(judged: list[StageResult]) -> str:
    states = Counter(result.objectives for result in judged)
    return f"Objectives: {', '.join(f'{states[state]} {state}' for state in STATE_MARKS if states[state])}."


def _counted(judged: list[StageResult], listed: str) -> str:
    states = Counter(result.objectives for result in judged)
    return (f"Of {formats.several(len(judged), 'stage')} {states['met']} met every objective, {states['missed']} "
            f"missed at least one, and of {states['unknown']} it is unknown: {listed}.")


def _settling(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(f"{verdict.objective.name}: {verdict.reason}"
                     for verdict in verdicts if verdict.state == "unknown")


def verdict_cell(verdict: Verdict) -> Cell:
    """The value with its bounds, marked; an unknown one says why as its title."""
    if verdict.value is None:
        return Cell(formats.ABSENT, None, "warn", verdict.reason)
    unit = verdict.objective.unit
    form = formats.significant if unit in DURATIONS else formats.of_unit(unit)  # the column names it
    return Cell(_with_bounds(verdict, form), verdict.value, STATE_MARKS[verdict.state],
                verdict.reason or limit_text(verdict.objective))


def verdict_text(verdict: Verdict) -> str:
    """`was 2.3 s (2.1 s to 2.6 s)`, or `is unknown: …`."""
    if verdict.state == "unknown":
        return f"is unknown: {verdict.reason}"
    form = formats.of_unit(verdict.objective.unit)
    return "was " + (formats.ABSENT if verdict.value is None else _with_bounds(verdict, form))


def _with_bounds(verdict: Verdict, form: Format) -> str:
    shown = "failed" if verdict.value == math.inf else form(verdict.value or 0.0)
    if not verdict.n or (verdict.low is None and verdict.high is None):
        return shown
    low, high = ("…" if end is None else form(end) for end in (verdict.low, verdict.high))
    return f"{shown} ({low} to {high})"


def limit_text(objective: Objective) -> str:
    """`e2e_p95 ≤ 5 s`."""
    sign = "≤" if objective.bound == "at most" else "≥"
    return f"{objective.name} {sign} {limit_value(objective)}"


def limit_value(objective: Objective) -> str:
    """The limit as people set it: 2 s, 1 %, $8.00."""
    if objective.unit in DURATIONS:
        return formats.limit(objective.limit)
    return f"{objective.limit * 100:g} %" if objective.unit == "share" else value_text(objective, objective.limit)


def value_text(objective: Objective, value: float) -> str:
    """A value of the objective's metric, with its unit."""
    return formats.of_unit(objective.unit)(value)


def _unit(objective: Objective) -> str:
    return "" if objective.unit == "share" else objective.unit
