"""Stages against the objectives: every value that was judged, marked met or missed."""

from __future__ import annotations

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Paragraph, Section, Table
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.objectives import Objective, Verdict

_DURATIONS = ("s", "s/token")


def render(analysis: Analysis) -> Section | None:
    """The stages that missed an objective. None when the run file gives no objectives."""
    judged = [result for result in analysis.results if result.verdicts]
    if not judged:
        return None
    missed = [result for result in judged if not result.meets_objectives]
    listed = ", ".join(f"`{limit_text(verdict.objective)}`" for verdict in judged[0].verdicts)
    if not missed:
        return Section("objectives", "Objectives", [
            Paragraph(f"Every stage ({len(judged)} of {len(judged)}) met every objective: {listed}.")])
    columns = [*STAGE_COLUMNS, *(Column(verdict.objective.name, _unit(verdict.objective), limit_text(verdict.objective))
                                 for verdict in judged[0].verdicts)]
    rows = [[*stage_cells(result), *(verdict_cell(verdict) for verdict in result.verdicts)] for result in missed]
    text = (f"{len(missed)} of {len(judged)} stages missed at least one objective: {listed}. A value that is unknown "
            "(`n/a`: no price, or too few samples for the percentile) does not meet its objective.")
    return Section("objectives", "Stages that missed an objective", [Paragraph(text), Table(columns, rows)])


def verdict_cell(verdict: Verdict) -> Cell:
    """The value, marked; an unknown value is not met, and its title says why it is unknown."""
    if verdict.value is None:
        return Cell(formats.ABSENT, None, "warn", verdict.reason)
    unit = verdict.objective.unit
    form = formats.significant if unit in _DURATIONS else formats.of_unit(unit)  # the column names it
    return formats.cell(verdict.value, form, "good" if verdict.met else "bad", limit_text(verdict.objective))


def limit_text(objective: Objective) -> str:
    """`e2e_p95 ≤ 5 s`."""
    sign = "≤" if objective.bound == "at most" else "≥"
    return f"{objective.name} {sign} {limit_value(objective)}"


def limit_value(objective: Objective) -> str:
    """The limit as people set it: 2 s, 1 %, $8.00."""
    if objective.unit in _DURATIONS:
        return formats.limit(objective.limit)
    return f"{objective.limit * 100:g} %" if objective.unit == "share" else value_text(objective, objective.limit)


def value_text(objective: Objective, value: float) -> str:
    """A value of the objective's metric, with its unit."""
    return formats.of_unit(objective.unit)(value)


def _unit(objective: Objective) -> str:
    return "" if objective.unit == "share" else objective.unit
