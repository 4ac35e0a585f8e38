"""The audit: every check of every stage, with its figures."""

from __future__ import annotations

from collections import Counter

from fmload_analysis.audit.audit import GROUPS
from fmload_analysis.document.document import Block, Bullets, Cell, Column, Mark, Paragraph, Section, Table
from fmload_analysis.document.formats import listed as formats_listed
from fmload_analysis.document.formats import several
from fmload_analysis.document.questions import BELIEVE
from fmload_analysis.report.sections.stages import AUDIT_MARKS, audit_cell
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells, stage_name
from fmload_analysis.verdict.table import Check, StageResult

_RANK = ("FAIL", "WARN", "PASS", "NOT APPLICABLE")
MOST_BULLETS = 12


def render(analysis: Analysis) -> Section | None:
    """What did not pass, a row a stage, and all checks. None without stages."""
    if not analysis.results:
        return None
    blocks: list[Block] = [Paragraph(_INTRODUCTION), *_failures(analysis), _overview(analysis), *_unchecked(analysis),
                           _all(analysis)]
    return Section("audit", "Audit: do these numbers hold?", blocks, BELIEVE, _gist(analysis))


_INTRODUCTION = ("Every stage's numbers are checked against each other. A stage that fails is never recommended, "
                 "whatever its figures say.")


def _gist(analysis: Analysis) -> str:
    """`Audit: 2 FAIL, 10 PASS. Failed: enough requests.`"""
    states = Counter(result.audit for result in analysis.results)
    failed = dict.fromkeys(check.name for result in analysis.results for check in result.checks
                           if check.result == "FAIL")
    told = ", ".join(f"{states[state]} {state}" for state in _RANK if states[state])
    return f"Audit of the stages: {told}.{f' Failed: {formats_listed(list(failed))}.' if failed else ''}"


def _failures(analysis: Analysis) -> list[Block]:
    failed = [f"**{stage_name(result)}**: {check.sentence}" for result in analysis.results for check in result.checks
              if check.result == "FAIL"]
    if not failed:
        return [Paragraph("No check failed.")]
    more = len(failed) - MOST_BULLETS
    return [Bullets([*failed[:MOST_BULLETS], *([f"and {more} more, below"] if more > 0 else [])])]


def _unchecked(analysis: Analysis) -> list[Block]:
    """What was not checked, and why: each once, with the stages."""
    found: dict[str, list[str]] = {}
    for result in analysis.results:
        for check in result.checks:
            if check.result == "NOT APPLICABLE" and check.sentence.startswith("Not checked"):
                found.setdefault(f"{check.name}: {check.sentence.removeprefix('Not checked: ')}", []).append(
                    str(result.stage))
    every = len(analysis.results)
    return [Paragraph("Not checked:"), Bullets([
        text if len(stages) == every else f"{text} (stages {', '.join(stages)})"
        for text, stages in found.items()])] if found else []


def _overview(analysis: Analysis) -> Table:
    columns = [*STAGE_COLUMNS, *(Column(title, numeric=False) for title in ("Audit", *GROUPS.values()))]
    rows = [[*stage_cells(result), audit_cell(result), *(_group(result, group) for group in GROUPS)]
            for result in analysis.results]
    return Table(columns, rows, "**By stage**, the worst result of each group of checks")


def _group(result: StageResult, group: int) -> Cell:
    found = [check for check in result.checks if check.group == group]
    worst = min((check.result for check in found), key=_RANK.index, default="NOT APPLICABLE")
    title = " ".join(check.sentence for check in found if check.result == worst != "PASS") or None
    return Cell("n/a") if worst == "NOT APPLICABLE" else Cell(worst, worst, _mark(worst), title)


def _all(analysis: Analysis) -> Table:
    columns = [*STAGE_COLUMNS, *(Column(label, numeric=False) for label in ("Group", "Check", "Result")),
               Column("Figures", numeric=False, wide=True)]
    rows = [[*stage_cells(result), *_check(check)]
            for result in analysis.results for check in result.checks if check.result != "NOT APPLICABLE"]
    caption = f"{several(len(rows), 'check')} with their figures; `audit.json` holds them for machines"
    return Table(columns, rows, caption, folded=True)


def _check(check: Check) -> list[Cell]:
    return [Cell(GROUPS.get(check.group, str(check.group)), check.group), Cell(check.name, check.name),
            Cell(check.result, _RANK.index(check.result), _mark(check.result)), Cell(check.sentence)]


def _mark(result: str) -> Mark | None:
    return AUDIT_MARKS.get(result)
