"""The content-safety checks around the requests: their times, what they blocked, and E2E latency with them."""

from __future__ import annotations

from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Callout, Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import Format, cell
from fmload_analysis.document.questions import FAILED
from fmload_analysis.records.columns import STEPS
from fmload_analysis.stage.distribution import Distribution
from fmload_analysis.stage.safe_checks import Step
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

_SHOWN = ("p50", "p95", "p99")
_EXPLAINED = (
    "Each request was checked **before** it was sent (its prompt) and **after** (its answer), as the run file says. "
    "The checks are timed apart: no other latency of this report holds them. A request whose prompt was found unsafe "
    "was not sent; it is neither success nor failure. A check that failed let the text pass.")


def render(analysis: Analysis) -> Section | None:
    """Times and verdicts by stage. None for a run without checks."""
    checked = [result for result in analysis.results if result.summary.safe_checks is not None]
    if not checked:
        return None
    blocks: list[Block] = [Paragraph(_EXPLAINED), *_failures(checked)]
    blocks += [table for step in STEPS if (table := _step_table(checked, step)).rows]
    return Section("safe-check", "Safety checks", [*blocks, _latency_table(checked)], FAILED)


def _failures(checked: list[StageResult]) -> list[Block]:
    steps = [step for result in checked if result.summary.safe_checks
             for step in result.summary.safe_checks.steps.values()]
    failed, total = sum(step.failed for step in steps), sum(step.checked for step in steps)
    if not failed:
        return []
    return [Callout("warn", "Checks that failed", f"The check service gave no verdict on {failed:,} of {total:,} "
                    "texts, which passed unchecked.")]


def _step_table(checked: list[StageResult], name: str) -> Table:
    columns = [*STAGE_COLUMNS, Column("Checked"), Column("Unsafe"), Column("Unsafe", "share"), Column("Failed"),
               *(Column(stat, "ms") for stat in ("mean", *_SHOWN))]
    what = "**Before**: of the prompt; the unsafe ones were not sent" if name == "before" else (
        "**After**: of the answer, where there was one")
    rows = [[*stage_cells(result), *_step_cells(step)] for result in checked
            if result.summary.safe_checks and (step := result.summary.safe_checks.steps.get(name))]
    return Table(columns, rows, what)


def _step_cells(step: Step) -> list[Cell]:
    return [cell(step.checked, formats.count), cell(step.blocked, formats.count),
            cell(step.blocked / step.checked if step.checked else None, formats.percent),
            cell(step.failed, formats.count, "bad" if step.failed else None),
            *_stats(step.time, ("mean", *_SHOWN), formats.milliseconds)]


def _latency_table(checked: list[StageResult]) -> Table:
    columns = [*STAGE_COLUMNS, *(Column(f"E2E {stat}", "s") for stat in _SHOWN),
               *(Column(f"With checks {stat}", "s", "e2e_with_checks") for stat in _SHOWN)]
    rows = [[*stage_cells(result), *_stats(result.summary.distributions["e2e"], _SHOWN, formats.seconds),
             *_stats(result.summary.distributions["e2e_with_checks"], _SHOWN, formats.seconds)] for result in checked]
    return Table(columns, rows, "**E2E latency with and without the checks**, of requests that succeeded")


def _stats(found: Distribution, stats: tuple[str, ...], form: Format) -> list[Cell]:
    return [cell(found.stat(stat), form) for stat in stats]
