"""The figures of the answer page: a row a stage, of many stages those that tell the most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Table
from fmload_analysis.report.sections.stages import FIGURES, Figure, audit_cell, figure_cell, objectives_cell
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import lines, stage_cells
from fmload_analysis.verdict.table import StageResult

MOST_ROWS = 12
_BY_NAME = {figure.metric: figure for figure in FIGURES}
_SHOWN = (
    Figure("ttft_p50", "TTFT p50", "ms", formats.milliseconds), Figure("ttft_p95", "TTFT p95", "ms",
                                                                       formats.milliseconds),
    Figure("itl_p50", "ITL p50", "ms", formats.milliseconds), Figure("itl_p95", "ITL p95", "ms", formats.milliseconds),
    Figure("tpot_p50", "TPOT p50", "ms", formats.milliseconds),
    Figure("tpot_p95", "TPOT p95", "ms", formats.milliseconds),
    Figure("e2e_p50", "E2E p50", "s", formats.seconds), Figure("e2e_p95", "E2E p95", "s", formats.seconds),
    Figure("output_tokens_per_s", "Output", "tokens/s", formats.significant),
    Figure("requests_per_s", "Requests", "1/s", formats.significant),
    Figure("error_rate", "Errors", "", formats.percent), _BY_NAME["price_per_10k_transactions"])
_LESS = ("itl_p95", "tpot_p95", "requests_per_s")  # shown on request where the names take much room
_NAMES = (Column("Endpoint", numeric=False), Column("Prompts", numeric=False), Column("Load", numeric=False))


def figure_table(analysis: Analysis) -> Table:
    """Names that are the same everywhere and figures that no stage has are left out."""
    chosen = selected(analysis)
    figures = [figure for figure in _shown(chosen) if any(one.value(figure.metric) is not None for one in chosen)]
    names = [place for place in range(3) if place == 2 or len({stage_cells(one)[place + 1].text for one in chosen}) > 1]
    crowded = len(names) == len(_NAMES)
    judged = any(result.objectives for result in chosen)
    columns = [*(_NAMES[place] for place in names),
               *(Column(figure.label, figure.unit, figure.metric, detail=crowded and figure.metric in _LESS)
                 for figure in figures),
               *([Column("Objectives", numeric=False)] if judged else []), Column("Audit", numeric=False)]
    rows = [[*(stage_cells(result)[place + 1] for place in names), *_cells(result, figures, judged)]
            for result in chosen]
    return Table(columns, rows, _caption(len(chosen), len(analysis.results)))


def _shown(chosen: Sequence[StageResult]) -> list[Figure]:
    """ITL, or TPOT where the gaps of a stage are not known."""
    left_out = "tpot_" if all(one.value("itl_p50") is not None for one in chosen) else "itl_"
    return [figure for figure in _SHOWN if not figure.metric.startswith(left_out)]


def _cells(result: StageResult, figures: Sequence[Figure], judged: bool) -> list[Cell]:
    return [*(figure_cell(result, figure) for figure in figures), *([objectives_cell(result)] if judged else []),
            audit_cell(result)]


def _caption(shown: int, of: int) -> str:
    few = "▲: fewer requests than that percentile needs; its bounds show on hover and in the tables below."
    if shown == of:
        return f"**The figures**, of each measurement window. {few}"
    return (f"**The figures** of {shown} of {of} stages: what is best, the lowest and the highest load. "
            f"[All stages](#stages). {few}")


def selected(analysis: Analysis, most: int = MOST_ROWS) -> list[StageResult]:
    """All stages where they are few; else the best, then the lowest and highest load of as many lines as there is
    room for, in the order of the run."""
    if len(analysis.results) <= most:
        return list(analysis.results)
    chosen = list(dict.fromkeys(result.stage for result in _ranked(analysis)))[:most]
    return [result for result in analysis.results if result.stage in chosen]


def _ranked(analysis: Analysis) -> Iterator[StageResult]:
    yield from (found.best for found in analysis.best if found.best)
    for line in lines(analysis):
        yield line.results[0]
        yield line.results[-1]
    for line in lines(analysis):
        yield line.results[len(line.results) // 2]
    yield from analysis.results
