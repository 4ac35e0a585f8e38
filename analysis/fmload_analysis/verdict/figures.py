"""Figures of stages as tables show them: a column a metric, a row a stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fmload.statistics.intervals import Interval
from fmload_analysis.document.document import Cell, Column, Mark, Table
from fmload_analysis.document.formats import Format, cell
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.objectives import State
from fmload_analysis.verdict.table import StageResult

STATE_MARKS: dict[State, Mark] = {"met": "good", "missed": "bad", "unknown": "warn"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A column made of one metric: its name in `StageResult.value`, and how it is shown."""

    metric: str
    label: str
    unit: str
    form: Format
    detail: bool = False


def known(figures: Sequence[Figure], results: Sequence[StageResult]) -> list[Figure]:
    """Those that some stage has."""
    return [figure for figure in figures if any(result.value(figure.metric) is not None for result in results)]


def figure_columns(figures: Sequence[Figure]) -> list[Column]:
    """A column a figure; `figure_cell` makes what is below."""
    return [Column(figure.label, figure.unit, figure.metric, detail=figure.detail) for figure in figures]


def stage_table(results: Sequence[StageResult], shown: Sequence[Figure], caption: str,
                names: Sequence[Column] = STAGE_COLUMNS,
                named: Callable[[StageResult], list[Cell]] = stage_cells) -> Table:
    """A row a stage: what it is (`named`, below the columns `names`), the figures that some stage has, and its
    objectives where there are any."""
    figures, judged = known(shown, results), any(result.objectives for result in results)
    columns = [*names, *figure_columns(figures), *objectives_column(judged)]
    rows = [[*named(result), *(figure_cell(result, figure) for figure in figures),
             *([objectives_cell(result)] if judged else [])] for result in results]
    return Table(columns, rows, caption)


def objectives_column(judged: bool) -> list[Column]:
    """The column of `objectives_cell`, where stages were `judged` by objectives."""
    return [Column("Objectives", numeric=False)] if judged else []


def figure_cell(result: StageResult, figure: Figure) -> Cell:
    """The value, with its confidence interval as the cell's title where there is one."""
    interval = result.summary.intervals.get(figure.metric) or _order_statistics(result, figure.metric)
    title = None
    if interval is not None and (interval.low is not None or interval.high is not None):
        title = f"{interval.confidence:.0%} interval {bounds(interval, figure.form)}: {interval.method}"
    few = result.value(figure.metric) is not None and not result.is_known(figure.metric)
    return cell(result.value(figure.metric), figure.form, "warn" if few else None, title)


def _order_statistics(result: StageResult, name: str) -> Interval | None:
    metric, _, stat = name.rpartition("_")
    found = result.summary.distributions.get(metric)
    return found.intervals.get(float(stat[1:])) if found and stat.startswith("p") else None


def bounds(interval: Interval, form: Format) -> str:
    """`640 to 910`; `…` for an end that the samples do not reach."""
    return " to ".join("…" if end is None else form(end) for end in (interval.low, interval.high))


def state_cell(state: State | None) -> Cell:
    """met, missed or unknown; none where there are no objectives."""
    return Cell("none") if state is None else Cell(state, state, STATE_MARKS[state])


def objectives_cell(result: StageResult) -> Cell:
    """Met, missed, unknown, or none were given; those that are not met are its title."""
    others = [f"{verdict.objective.name} {verdict.state}" for verdict in result.verdicts if not verdict.met]
    return replace(state_cell(result.objectives), title=", ".join(others) or None)
