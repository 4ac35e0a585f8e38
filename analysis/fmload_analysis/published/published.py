"""Stages as other tools published them, and what their own columns allow: "as published" beside "corrected"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fmload_analysis.verdict.table import Check


@dataclass(frozen=True, slots=True)
class Row:
    """One stage of a published table.

    `figures` hold our metric names (`e2e_p95`, `transactions_per_minute`) in our units; a tool's figure with another
    definition has a name of its own: `itl_with_ttft_p50` (inter-token latency whose first gap is TTFT),
    `request_tokens_per_s_p50` (output tokens per second of one request). What is not told is absent.
    """

    label: str
    figures: Mapping[str, float]
    endpoint: str | None = None
    instance_type: str | None = None
    prompt_set: str | None = None

    def value(self, name: str) -> float | None:
        """A figure, or None; a price per 10,000 transactions also from the price of one."""
        if name == "price_per_10k_transactions" and name not in self.figures:
            one = self.figures.get("price_per_transaction")
            return None if one is None else one * 1e4
        return self.figures.get(name)


@dataclass(frozen=True, slots=True)
class Published:
    """A file of another tool, as stages. `notes` say how its definitions differ from ours."""

    tool: str
    source: Path
    rows: Sequence[Row]
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Correction:
    """A figure as published, what the row's other columns allow instead, and why."""

    figure: str
    published: float
    corrected: float
    reason: str


@dataclass(frozen=True, slots=True)
class AuditedRow:
    """A published row with the audit's findings."""

    row: Row
    checks: tuple[Check, ...]
    corrections: tuple[Correction, ...] = field(default_factory=tuple)

    @property
    def audit(self) -> str:
        """The worst of the checks."""
        results = {check.result for check in self.checks}
        return next((result for result in ("FAIL", "WARN", "PASS") if result in results), "NOT APPLICABLE")
