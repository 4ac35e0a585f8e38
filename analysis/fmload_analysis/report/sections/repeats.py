"""Stages that were measured more than once: how far the repeats lie apart."""

from __future__ import annotations

from collections.abc import Sequence

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Section, Table
from fmload_analysis.document.formats import Format, cell, name
from fmload_analysis.document.questions import STAGES
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.repeats import grouped, spread
from fmload_analysis.verdict.table import StageResult

SHOWN: tuple[tuple[str, str, Format], ...] = (
    ("output_tokens_per_s", "tokens/s", formats.significant), ("ttft_p50", "ms", formats.milliseconds),
    ("tpot_p50", "ms", formats.milliseconds), ("e2e_p50", "s", formats.seconds), ("e2e_p95", "s", formats.seconds))

_COLUMNS = (Column("Endpoint", numeric=False), Column("Prompts", numeric=False), Column("Load", numeric=False),
            Column("Metric", numeric=False), Column("Unit", numeric=False), Column("Repeats"), Column("Mean"),
            Column("sd"), Column("Variation", title="Standard deviation ÷ mean"),
            Column("95 % interval of the mean", title="Student's t over the repeats"))


def render(analysis: Analysis) -> Section | None:
    """A row for each metric of each repeated stage. None when nothing was repeated."""
    rows = [row for group in grouped(analysis.results).values() if len(group) > 1 for row in _rows(group)]
    if not rows:
        return None
    caption = "Each repeat is a stage of its own above; a difference within these intervals may be chance"
    return Section("repeats", "Repeated stages", [Table(_COLUMNS, rows, caption)], STAGES)


def _rows(group: Sequence[StageResult]) -> list[list[Cell]]:
    stage = group[0].summary.stage
    rows = []
    for metric, unit, form in SHOWN:
        found = spread(group, metric)
        if found is None:
            continue
        interval = found.interval
        ends = [] if interval is None else [end for end in (interval.low, interval.high) if end is not None]
        rows.append([
            name(stage.endpoint), name(stage.prompt_set), Cell(stage.load_label, stage.load.value),
            Cell(f"`{metric}`", metric), name(unit), cell(found.n, formats.count), cell(found.mean, form),
            cell(found.stddev, form), cell(found.variation, formats.percent),
            Cell(" to ".join(form(end) for end in ends) or formats.ABSENT, found.mean)])
    return rows
