"""What a stage's requests say about its load: verdicts on objectives, throughput, and how well a metric is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["meets", "fails", "unclear"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One objective against one stage, in the metric's unit. `value` is None for a percentile that a failed request
    holds. `low` and `high` are one-sided bounds, each of the verdict's confidence, as the verdict is; None where the
    samples do not reach, or a failed request does. `needed`: how many more requests like these would make it clear;
    None where it is clear, or no number would."""

    name: str
    limit: float
    result: Result
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    design_effect: float = 1.0
    needed: int | None = None

    @property
    def text(self) -> str:
        """For logs: `ttft_p95 unclear: 0.97 in 0.81 to 1.2, limit 1, n 240`."""
        value = "failed" if self.value is None else f"{self.value:.4g}"
        ends = " to ".join("…" if end is None else f"{end:.4g}" for end in (self.low, self.high))
        return f"{self.name} {self.result}: {value} in {ends}, limit {self.limit:g}, n {self.n}"


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """All objectives against one stage. `reason` says what decided where it was not the intervals."""

    result: Result
    confidence: float
    judged: tuple[Judged, ...] = ()
    reason: str = ""

    def on(self, objective: str) -> Judged | None:
        """The part on one objective, by its name; None where it was not judged."""
        return next((one for one in self.judged if one.name == objective), None)


@dataclass(frozen=True, slots=True)
class Observed:
    """Requests completed a second in the window with their 95 % interval, and the mean E2E latency; None: not known."""

    requests_per_s: float | None = None
    low: float | None = None
    high: float | None = None
    e2e_mean_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reached:
    """What was known of the metric of `until` at the last look: its interval, and half of that relative to its value.
    None: not known, or beyond every number."""

    metric: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    half_width: float | None = None
    n: int = 0
    design_effect: float = 1.0
