"""What is counted of requests: outcomes, tokens, good ones, and histograms of their metrics. Counts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fmload.metrics.histogram import Histogram
from fmload.model.outcome import NEITHER


@dataclass(slots=True)
class Counts:
    """What is counted of one group, or of one second."""

    outcomes: Counter[str] = field(default_factory=Counter)
    output_tokens: int = 0
    input_tokens: int = 0
    good: int = 0
    histograms: dict[str, Histogram] = field(default_factory=dict)
    images: int = 0  # made, of requests that ended well

    def add(self, other: Counts) -> None:
        """Add up two counts."""
        self.outcomes.update(other.outcomes)
        self.output_tokens += other.output_tokens
        self.input_tokens += other.input_tokens
        self.good += other.good
        self.images += other.images
        for metric, histogram in other.histograms.items():
            mine = self.histograms.setdefault(metric, Counter())
            for number, count in histogram.items():
                mine[number] += count

    def take_out(self, other: Counts) -> None:
        """Take out what is a part of these counts."""
        self.outcomes -= other.outcomes
        self.output_tokens -= other.output_tokens
        self.input_tokens -= other.input_tokens
        self.good -= other.good
        self.images -= other.images
        for metric, histogram in other.histograms.items():
            self.histograms[metric] = self.histograms.get(metric, Counter()) - histogram

    def dump(self) -> list[Any]:
        """Plain values for a message."""
        return [dict(self.outcomes), self.output_tokens, self.input_tokens, self.good,
                {metric: dict(histogram) for metric, histogram in self.histograms.items()}, self.images]

    @classmethod
    def load(cls, data: list[Any]) -> Counts:
        """The inverse of `dump`."""
        outcomes, output_tokens, input_tokens, good, histograms, images = data
        return cls(Counter(outcomes), output_tokens, input_tokens, good,
                   {metric: Counter(histogram) for metric, histogram in histograms.items()}, images)

    @property
    def requests(self) -> int:
        return self.outcomes.total()

    @property
    def errors(self) -> dict[str, int]:
        """Counts of the outcomes that are failures of the endpoint; what was cut off by the end of a stage is none."""
        return {name: count for name, count in self.outcomes.items() if name not in ("ok", "censored", *NEITHER)}
