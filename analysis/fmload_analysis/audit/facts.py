"""What a check is given, and how it grades what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload_analysis.stage.health import WorkerHealth
from fmload_analysis.stage.mixes import Part
from fmload_analysis.stage.summarize import StageSummary
from fmload_analysis.stage.telemetry import ServerView
from fmload_analysis.verdict.table import Check

PASS, WARN, FAIL, NOT_APPLICABLE = "PASS", "WARN", "FAIL", "NOT APPLICABLE"
CLOSE, FAR = 0.05, 0.20  # relative differences up to which figures agree, and beyond which they contradict


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stage. `value` gives any metric by name; `server` what the endpoint's own metrics say."""

    value: Callable[[str], float | None]
    summary: StageSummary
    health: tuple[WorkerHealth, ...] = ()
    server: ServerView = field(default_factory=ServerView)
    part: Part | None = None
    compared: Mapping[str, Any] = field(default_factory=dict)  # of kept answers: `fmload.results.counting.compared`

    @property
    def edges(self) -> float:
        """By how much two counts of the same window may differ because they count a request at different instants:
        one mean E2E latency at each edge, as a share of the window; 1 at most, and 0 where it is not known."""
        e2e_s = self.value("e2e_mean")
        return 0.0 if e2e_s is None else min(1.0, e2e_s / self.summary.totals.window_s)

    @property
    def latency_s(self) -> float | None:
        """The median TTFT; the median E2E latency where there is none."""
        first = self.value("ttft_p50")
        return first if first is not None else self.value("e2e_p50")

    @property
    def counted_by_input(self) -> bool:
        """Whether the server may count each input as a request: vLLM does with the texts, or pairs, of embeddings and
        rankings."""
        return self.summary.totals.completed_inputs is not None


CheckFunction = Callable[[Facts], Check | None]


def relative(value: float, reference: float) -> float:
    """(value − reference) ÷ reference; 0 when both are 0, ±1 against 0."""
    if reference == 0:
        return 0.0 if value == 0 else 1.0
    return (value - reference) / reference


def graded(difference: float, warn: float = CLOSE, fail: float = FAR) -> str:
    """PASS, WARN or FAIL by the size of a difference."""
    size = abs(difference)
    return PASS if size <= warn else WARN if size <= fail else FAIL
