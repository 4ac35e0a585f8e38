"""Every metric of the report with its formula, from the code that computes it; and the outcomes."""

from __future__ import annotations

from fmload.metrics.definitions import METRICS
from fmload_analysis.document.document import Block, Cell, Column, Section, Table
from fmload_analysis.document.questions import HOW
from fmload_analysis.report.sections.errors import MEANINGS
from fmload_analysis.verdict.analysis import Analysis


def render(analysis: Analysis) -> Section:
    """Two tables."""
    rows = [[Cell(metric.title, metric.title), Cell(f"`{metric.name}`", metric.name), Cell(metric.unit, metric.unit),
             Cell(metric.definition)] for metric in METRICS.values()]
    columns = [*(Column(label, numeric=False) for label in ("Metric", "Name", "Unit")),
               Column("Definition", numeric=False, wide=True)]
    outcomes = [[Cell(f"`{outcome}`", outcome), Cell(text)] for outcome, text in MEANINGS.items()]
    blocks: list[Block] = [
        Table(columns, rows, _INSTANTS),
        Table([Column("Outcome", numeric=False), Column("Meaning", numeric=False, wide=True)], outcomes,
              "**Outcomes** of a request")]
    return Section("glossary", "Glossary", blocks, HOW)


_INSTANTS = (
    "**Metrics.** Instants are of one monotonic clock: `t_sched` due, `t_send` just before the first byte, `t_1` first "
    "chunk with a token, `t_k` the k-th such chunk (of `n_k` tokens), `t_L` the last one; N output tokens")
