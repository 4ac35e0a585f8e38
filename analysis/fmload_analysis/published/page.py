"""The page of a re-examination: what was published, what its own other columns allow, the verdict; worst first."""

from __future__ import annotations

from collections.abc import Sequence

from fmload_analysis.document.document import (
    Block,
    Bullets,
    Cell,
    Mark,
    Paragraph,
    Section,
    Table,
    literal,
    plain,
)
from fmload_analysis.document.formats import several
from fmload_analysis.document.questions import BELIEVE, HOW
from fmload_analysis.published import published_figures
from fmload_analysis.published.published_figures import text_columns
from fmload_analysis.published.rows.figure_names import PLURALS, is_price, label, shown
from fmload_analysis.published.rows.published import (
    NONE_COMPLETED,
    NOT_CHECKED,
    NOTHING_NEGATIVE,
    AuditedRow,
    Correction,
    worst_first,
)
from fmload_analysis.published.rows.sweep import Sweep
from fmload_analysis.verdict.table import Check

PRICES = 8  # the group of the checks of prices
_MARKS: dict[str, Mark] = {"PASS": "good", "WARN": "warn", "FAIL": "bad"}


def _lacking(stages: int) -> str:
    return "1 stage lacks" if stages == 1 else f"{stages} stages lack"


def sections(sweep: Sweep, rows: Sequence[AuditedRow]) -> list[Section]:
    """The page's sections."""
    return [Section("published", "As published, and by its own other columns",
                    [Paragraph(plain(in_one_sentence(sweep, rows))), _findings(rows)]),
            Section("figures", "Figures as published", [published_figures.table(worst_first(rows))]),
            Section("not-checked", "What was not checked", _not_checked(rows), BELIEVE),
            Section("checks", "Checks", [_checks(rows)], BELIEVE),
            Section("sources", "Sources, dates, definitions", _sources(sweep, rows), HOW)]


def title(sweep: Sweep) -> str:
    """The page's headline."""
    return f"{sweep.name}, re-examined"


def in_one_sentence(sweep: Sweep, rows: Sequence[AuditedRow]) -> str:
    """What a person can send on: how much of it holds, and the worst of what does not."""
    wrong = [row for row in worst_first(rows) if row.audit in ("FAIL", "WARN")]
    checked = [row for row in rows if row.audit != NOT_CHECKED]
    of = f"{several(len(rows), 'stage')} of {sweep.tool}"
    if not checked:
        return f"Nothing of {of} could be checked: the columns that checks need are not there."
    if not wrong:
        rest = "" if len(checked) == len(rows) else f"; {len(rows) - len(checked)} could not be checked"
        return f"The columns of {of} agree with each other as far as they can be checked{rest}."
    have = "has" if len(wrong) == 1 else "have"
    return f"{len(wrong)} of {of} {have} figures that need a remark: {_worst(wrong[0])}."


def _worst(row: AuditedRow) -> str:
    told = _worst_finding(row)
    price = _wrong_price(row)
    return told if price is None or price in told else f"{told}; {price}"


def _worst_finding(row: AuditedRow) -> str:
    obvious = [check for check in row.checks
               if check.name == NOTHING_NEGATIVE or check.sentence.startswith(NONE_COMPLETED)]
    if row.corrections and not obvious:
        found = max(row.corrections, key=lambda correction: correction.factor)
        return f"at {row.row.label}, {_corrected(found)}"
    check = next(check for check in (*obvious, *row.checks) if check.result == row.audit)
    return f"at {row.row.label}, {check.name}: {check.sentence.split(' If it alone')[0].rstrip('.')}"


def _corrected(found: Correction) -> str:
    verb = "are" if found.figure in PLURALS else "is"
    return (f"{label(found.figure)} {verb} {shown(found.figure, found.corrected)} by its own other columns, "
            f"not {shown(found.figure, found.published)} as published")


def _wrong_price(row: AuditedRow) -> str | None:
    """What is wrong with the price, which is what is decided by; None where it holds."""
    prices = [found for found in row.corrections if is_price(found.figure)]
    if prices:
        return _corrected(max(prices, key=lambda correction: correction.factor))
    wrong = [check for check in row.checks if check.group == PRICES and check.result in ("FAIL", "WARN")]
    return min(wrong, key=lambda check: check.result).sentence.split(" If it alone")[0].rstrip(".") if wrong else None


def _findings(rows: Sequence[AuditedRow]) -> Table:
    cells = [cells for row in worst_first(rows) for cells in _of_row(row)]
    names = ("stage", "figure", "as published", "by its own other columns", "verdict", "why")
    return Table(text_columns(names, cells), cells, "Every stage, worst first")


def _of_row(row: AuditedRow) -> list[list[Cell]]:
    verdict = Cell(row.audit, row.audit, _MARKS.get(row.audit))
    found = [[Cell(row.row.label), Cell(label(one.figure), title=row.row.called(one.figure)),
              Cell(shown(one.figure, one.published), one.published),
              Cell(shown(one.figure, one.corrected), one.corrected), verdict, Cell(one.reason)]
             for one in row.corrections]
    found += [[Cell(row.row.label), Cell(check.name), Cell(_columns(check)), Cell(_each(check)),
               Cell(check.result, check.result, _MARKS[check.result]), Cell(check.sentence.split(" If it alone")[0])]
              for check in row.checks if check.result in ("FAIL", "WARN") and not _settled(check, row)]
    return found or [[Cell(row.row.label), Cell("all"), Cell(""), Cell("agrees" if row.audit == "PASS" else ""),
                      verdict, Cell(row.coverage)]]


def _settled(check: Check, row: AuditedRow) -> bool:
    """Whether one of the corrections is what this check found."""
    names = {row.row.called(correction.figure) for correction in row.corrections}
    columns = check.figures.get("columns")
    if isinstance(columns, dict):
        return bool(names & set(columns))
    return bool(row.corrections) and check.name in ("ITL is without TTFT", "TPOT is by tokens", "output is output")


def _columns(check: Check) -> str:
    columns = check.figures.get("columns")
    return "; ".join(f"{name} {value:.4g}" for name, value in columns.items()) if isinstance(columns, dict) else ""


def _each(check: Check) -> str:
    """What each column would be were it the wrong one: which of them it is cannot be told."""
    each = check.figures.get("if_wrong")
    if not isinstance(each, dict) or not each:
        return ""
    return "one of: " + "; ".join(f"{name} {value:.4g}" for name, value in each.items())


def _not_checked(rows: Sequence[AuditedRow]) -> list[Block]:
    missing: dict[str, list[str]] = {}
    for row in rows:
        for name in row.not_checked:
            missing.setdefault(name, []).append(row.row.label)
    coverage = Bullets([plain(f"{row.row.label}: {row.coverage}") for row in rows])
    names = [plain(f"{name}: {'no stage has' if len(labels) == len(rows) else _lacking(len(labels))} the "
                   "columns for it") for name, labels in sorted(missing.items())]
    return [coverage, Bullets(names)] if names else [coverage]


def _checks(rows: Sequence[AuditedRow]) -> Table:
    cells = [[Cell(row.row.label), Cell(check.name), Cell(check.result, check.result, _MARKS.get(check.result)),
              Cell(_columns(check)), Cell(check.sentence)] for row in worst_first(rows) for check in row.checks]
    names = ("stage", "check", "result", "columns it used", "finding")
    return Table(text_columns(names, cells), cells, "All checks that could be made", folded=len(rows) > 4)


def _sources(sweep: Sweep, rows: Sequence[AuditedRow]) -> list[Block]:
    dates = sorted({row.row.date for row in rows if row.row.date})
    told = f"dated {', '.join(dates)}" if dates else "the files tell no date"
    lines = [f"{literal(part.source)}, {part.tool}" for part in sweep.parts]
    skipped = [f"left out: {literal(reason)}" for reason in sweep.skipped]
    return [Bullets([*lines, *skipped, told]), Paragraph(f"The tool's definitions: {plain('; '.join(sweep.notes))}.")]
