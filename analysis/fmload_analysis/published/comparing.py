"""Two sides of which one at least is another tool's: their stages of the same load beside each other.

What chance may have done cannot be told from a tool's summary, and is told as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fmload_analysis.published.rows.published import AuditedRow
from fmload_analysis.published.rows.sweep import Sweep
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.compare import Comparison, Difference
from fmload_analysis.verdict.table import StageResult

Load = tuple[str, float]


@dataclass(frozen=True, slots=True)
class Side:
    """The stages of a run or of an imported sweep, by load, with how to ask one for a metric."""

    name: str
    stages: Mapping[Load, tuple[str, Callable[[str], float | None], str]]  # label, value, audit
    notes: Sequence[str] = field(default_factory=tuple)


def imported(sweep: Sweep, rows: Sequence[AuditedRow]) -> Side:
    """The side that another tool's sweep makes, with its audit."""
    return Side(sweep.name, {_load(row): (row.row.label, _values(row), row.audit) for row in rows}, sweep.notes)


def measured(analysis: Analysis) -> Side:
    """The side that a run of ours makes; of repeats the last."""
    return Side(analysis.run.results.root.name, {
        _load_of(result): (result.summary.stage.load.text, result.value, result.audit) for result in analysis.results})


def compare_sides(baseline: Side, candidate: Side, metrics: Sequence[str]) -> Comparison:
    """The candidate's stages against those of the same load; a load that only one side has is named."""
    differences = [found for load in baseline.stages if load in candidate.stages for metric in metrics
                   if (found := _difference(baseline.stages[load], candidate.stages[load], metric))]
    return Comparison(
        baseline.name, candidate.name, tuple(differences),
        tuple(label for load, (label, *_) in baseline.stages.items() if load not in candidate.stages),
        tuple(label for load, (label, *_) in candidate.stages.items() if load not in baseline.stages), ())


def _difference(before: tuple[str, Callable[[str], float | None], str],
                after: tuple[str, Callable[[str], float | None], str], metric: str) -> Difference | None:
    a, b = before[1](metric), after[1](metric)
    if a is None and b is None:
        return None
    change = (b - a) / a if a and b is not None else None
    failed = "FAIL" if "FAIL" in (before[2], after[2]) else ""
    return Difference(before[0], metric, a, b, change, None, "another tool's summary", None, failed)


def _load(row: AuditedRow) -> Load:
    users, rate = row.row.value("concurrency"), row.row.value("offered_per_s")
    if users is not None:
        return "concurrency", users
    return ("rate", rate) if rate is not None else (row.row.label, 0.0)


def _load_of(result: StageResult) -> Load:
    load = result.summary.stage.load
    return load.kind, float(load.value)


def _values(row: AuditedRow) -> Callable[[str], float | None]:
    def value(metric: str) -> float | None:
        if metric == "requests_per_s":
            per_minute = row.row.value("transactions_per_minute")
            return None if per_minute is None else per_minute / 60
        return row.row.value(metric)

    return value
