"""Asked for and got: the lengths of the answers, where they differ or were to be exact."""

from __future__ import annotations

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Mark, Paragraph, Section, Table
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import ONE_USER
from fmload_analysis.stage.output_lengths import OutputLengths
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

_EXPLAINED = (
    "The length asked for is the most that an answer may have, unless the prompt set says `exact_output: true`. An "
    "answer that ends by itself is shorter: two endpoints are compared on the same work only where their answers are "
    "about as long.")


def render(analysis: Analysis) -> Section | None:
    """Lengths by stage. None when every answer is as long as asked, and none had to be."""
    found = [(result, lengths) for result in analysis.results if (lengths := result.summary.output_lengths)]
    if not any(lengths.exact or lengths.mismatched for _, lengths in found):
        return None
    columns = [*STAGE_COLUMNS, Column("Requests"), Column("Asked", "mean tokens"), Column("Got", "mean tokens"),
               Column("Difference"), Column("Shorter", "share"), Column("Longer", "share"),
               Column("Exact", numeric=False)]
    table = Table(columns, [_row(*one) for one in found])
    return Section("output-lengths", "Lengths of the answers", [Paragraph(_EXPLAINED), table], ONE_USER)


def _row(result: StageResult, lengths: OutputLengths) -> list[Cell]:
    return [*stage_cells(result), cell(lengths.n, formats.count), cell(lengths.asked_mean, formats.significant),
            cell(lengths.got_mean, formats.significant), cell(lengths.difference, formats.percent),
            cell(lengths.shorter / lengths.n, formats.percent, _bad(lengths, lengths.shorter)),
            cell(lengths.longer / lengths.n, formats.percent, "bad" if lengths.longer else None),
            name("asked for" if lengths.exact else "no")]


def _bad(lengths: OutputLengths, count: int) -> Mark | None:
    return "bad" if lengths.exact and count else None
