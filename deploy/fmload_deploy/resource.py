"""A resource: one thing that exists, or will, and the tag that all of a run's things carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RUN_TAG = "fmload:run"
IAM_PATH = "/fmload/"  # of every role and profile that a run makes


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that exists, or will. `name` is chosen before it is created, so that it can always be found again.

    `hourly` is its price in USD while it exists (0 when it costs nothing by the hour, None when unknown).
    `detail` is what it takes to find and delete it besides the name: ids, the host, an emulated AWS's URL.
    """

    kind: str
    name: str
    region: str | None = None
    hourly: float | None = 0.0
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What tells it from every other resource of the run."""
        return self.kind, self.name, self.region

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({self.region})" if self.region else "")


def sum_or_none(prices: Any) -> float | None:
    """The sum, or None as soon as one of them is None: an unknown price is not zero."""
    values = list(prices)
    return None if None in values else float(sum(values))
