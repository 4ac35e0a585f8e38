"""The analysis of a run: its stages, figures, verdicts, prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.pricing.resolve import Pricing, Unpriced
from fmload_analysis.run import Run
from fmload_analysis.stage.health import WorkerHealth
from fmload_analysis.verdict.cost import total_usd
from fmload_analysis.verdict.objectives import Objective
from fmload_analysis.verdict.recommend import Recommendation
from fmload_analysis.verdict.table import StageResult, summary_row


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that a report shows; the single input of its sections."""

    run: Run
    results: tuple[StageResult, ...]
    objectives: tuple[Objective, ...]
    best: tuple[Recommendation, ...]  # one a prompt set
    per_instance: tuple[Recommendation, ...]  # one an instance type and prompt set
    health: Mapping[int, tuple[WorkerHealth, ...]]  # by stage
    pricing: Mapping[str, Pricing | None]  # by endpoint, with those of its tenants
    unpriced: Mapping[str, Unpriced] = field(default_factory=dict)  # why an endpoint has no price
    options: Mapping[str, Mapping[str, Pricing]] = field(default_factory=dict)  # other prices of an endpoint, by name
    repeated_usd: float | None = None  # of stages that were broken off and run again

    @property
    def total_usd(self) -> float | None:
        """What the measured stages cost; None when no price is known."""
        return total_usd([result.cost for result in self.results])

    def rows(self) -> list[dict[str, Any]]:
        """The rows of summary.csv."""
        return [summary_row(result) for result in self.results]



def emulated(analysis: Analysis) -> dict[str, str]:
    """Endpoints that are emulations, with what they imitate."""
    told = analysis.run.environment.get("emulated") or {}
    named = {result.endpoint: result.summary.endpoint.emulated for result in analysis.results}
    return {endpoint: str(told.get(endpoint) or what) for endpoint, what in named.items() if told.get(endpoint) or what}
