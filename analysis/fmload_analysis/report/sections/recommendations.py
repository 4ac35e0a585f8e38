"""A sentence for each instance type and prompt set: what to run there."""

from __future__ import annotations

from fmload_analysis.document.document import Cell, Column, Section, Table
from fmload_analysis.document.questions import MONTH
from fmload_analysis.report.sections.stages import AUDIT_MARKS
from fmload_analysis.verdict.analysis import Analysis


def render(analysis: Analysis) -> Section | None:
    """A row each. None where there is nothing to choose by: neither objectives nor a price."""
    if not any(result.verdicts or result.pricing for result in analysis.results):
        return None
    columns = [Column("For", numeric=False), Column("Recommendation", numeric=False, wide=True),
               Column("Audit", numeric=False)]
    rows = []
    for found in analysis.per_instance:
        audit = Cell(found.best.audit, found.best.audit, AUDIT_MARKS[found.best.audit]) if found.best else Cell("")
        rows.append([Cell(found.scope, found.scope), Cell(found.sentence), audit])
    return Section("recommendations", "Recommendations", [Table(columns, rows)], MONTH)
