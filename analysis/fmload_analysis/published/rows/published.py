"""Stages as other tools published them, and what their own columns allow: "as published" beside "corrected"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fmload_analysis.published.rows.request import Request
from fmload_analysis.verdict.table import Check

NOT_CHECKED = "NOT CHECKED"
NOTHING_NEGATIVE = "nothing is negative"  # a check's name
NONE_COMPLETED = "No request was completed"  # how a check's sentence begins
_RESULTS = ("FAIL", "WARN", "PASS")


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of a published table.

    `figures` hold what the file tells, under our metric names (`e2e_p95`, `transactions_per_minute`) in our units; a
    figure with another definition has a name of its own: `itl_with_ttft_p50` (inter-token latency whose first gap is
    TTFT), `request_tokens_per_s_p50` (output tokens per second of one request). What is not told is absent.
    `names` are the file's own names of its figures. `steps` say by how much a figure may be off because it was rounded
    or cut, `scales` by what the file's numbers were multiplied. `recomputed` holds figures worked out from the requests
    that stand in the same file.
    """

    label: str
    figures: Mapping[str, float]
    endpoint: str | None = None
    instance_type: str | None = None
    prompt_set: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    recomputed: Mapping[str, float] = field(default_factory=dict)
    flags: Mapping[str, bool] = field(default_factory=dict)  # yes-or-no columns: `latency_criterion_failed`
    date: str | None = None  # of the measurement, ISO
    requests: Sequence[Request] = ()  # those of the stage, where the file holds them with their instants

    def value(self, name: str) -> float | None:
        """A figure, or what follows from told ones alone (`output_tokens_mean` from the total); None: unknown."""
        return self._found(name, frozenset())[0]

    def columns(self, name: str) -> tuple[str, ...]:
        """The told figures that `value` takes; none where it is unknown."""
        return self._found(name, frozenset())[1]

    def _found(self, name: str, asked: frozenset[str]) -> tuple[float | None, tuple[str, ...]]:
        if name in self.figures:
            return self.figures[name], (name,)
        if name in asked:
            return None, ()
        for rule in DERIVED.get(name, ()):
            operands = [self._found(column, asked | {name}) for column in rule.columns]
            values = [value for value, _ in operands if value is not None]
            if len(values) == len(rule.columns):
                return rule.of(*values), tuple(dict.fromkeys(column for _, told in operands for column in told))
        return None, ()

    def step(self, name: str) -> float:
        """By how much the figure may be off because it was rounded."""
        return self.steps.get(name, 0.0)

    def called(self, name: str) -> str:
        """The figure's name in the file, or ours."""
        return self.names.get(name, name)

    def as_file(self, name: str, value: float | None = None) -> float:
        """The figure, or what it would be, in the unit of the file, as `called` names it."""
        return (self.figures[name] if value is None else value) / (self.scales.get(name) or 1.0)


@dataclass(frozen=True, slots=True)
class _Derived:
    """A figure that follows from told ones."""

    columns: tuple[str, ...]
    kind: str  # ratio, per minute, difference, sum, or a number that the one column is multiplied by

    def of(self, *values: float) -> float | None:
        """The figure; None where it would be a division by 0."""
        if self.kind in ("ratio", "per minute"):
            return values[0] / values[1] * (60.0 if self.kind == "per minute" else 1.0) if values[1] else None
        if self.kind == "difference":
            return values[0] - sum(values[1:])
        if self.kind == "sum":
            return sum(values)
        return values[0] * float(self.kind)


DERIVED: Mapping[str, tuple[_Derived, ...]] = {
    "requests": (_Derived(("completed", "errors"), "sum"),),
    "completed": (_Derived(("requests", "errors"), "difference"),),
    "errors": (_Derived(("requests", "completed"), "difference"),),
    "error_rate": (_Derived(("errors", "requests"), "ratio"),),
    "output_tokens_mean": (_Derived(("output_tokens", "completed"), "ratio"),),
    "input_tokens_mean": (_Derived(("input_tokens", "completed"), "ratio"),),
    "transactions_per_minute": (_Derived(("completed", "duration_s"), "per minute"),),
    "output_tokens_per_s": (_Derived(("output_tokens", "duration_s"), "ratio"),),
    "price_per_10k_transactions": (_Derived(("price_per_transaction",), "10000"),),
    "price_per_transaction": (_Derived(("price_per_10k_transactions",), "0.0001"),),
}


@dataclass(frozen=True, slots=True)
class Published:
    """Files of another tool, as stages. `notes` say how its definitions differ from ours.

    `weak` are figures that the tool is known to work out otherwise than their name says, each with how; where columns
    contradict each other, these give way. `loose` tools average and round before they multiply: sums and products agree
    within 5 % with them, 1 % with others. `edges`: what ends after the run counts in some of its rates and not in
    others, so that they differ by the share of requests that were in flight then.
    """

    tool: str
    source: Path
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    weak: Mapping[str, str] = field(default_factory=dict)
    text: str = ""  # of the source, for evidence that stands outside of the rows
    loose: bool = False
    edges: bool = False
    sources: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Correction:
    """A figure as published, what the row's other columns allow instead, and why."""

    figure: str
    published: float
    corrected: float
    reason: str

    @property
    def factor(self) -> float:
        """How many times the larger of the two is the smaller: how far off the published one is."""
        larger, smaller = sorted((abs(self.published), abs(self.corrected)), reverse=True)
        return larger / smaller if smaller else float("inf")


@dataclass(frozen=True, slots=True)
class AuditedRow:
    """A published row with the audit's findings. `not_checked` names the checks that its columns do not
    allow."""

    row: Row
    checks: tuple[Check, ...]
    corrections: tuple[Correction, ...] = field(default_factory=tuple)
    not_checked: tuple[str, ...] = ()

    @property
    def audit(self) -> str:
        """The worst of the checks; NOT CHECKED where the columns allow none."""
        results = {check.result for check in self.checks}
        return next((result for result in _RESULTS if result in results), NOT_CHECKED)

    @property
    def coverage(self) -> str:
        """`3 of 12 checks`."""
        made = len({check.name for check in self.checks})
        return f"{made} of {made + len(self.not_checked)} checks"


def worst_first(rows: Sequence[AuditedRow]) -> list[AuditedRow]:
    """FAIL before WARN before PASS before NOT CHECKED; among equals those whose figures are furthest off."""
    order = {"FAIL": 0, "WARN": 1, "PASS": 2}
    return sorted(rows, key=lambda row: (order.get(row.audit, 3), -max(
        (correction.factor for correction in row.corrections), default=0.0)))
