"""Searches: `load.find` of the run file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from fmload.config import limits, objectives
from fmload.config.model import Rule, Strict
from fmload.config.values import Share

LOWEST, HIGHEST = 1.0, 1024.0


class FindSpec(Strict):
    """A search over loads: for the highest that meets the objectives, or for the knee of the curve (docs/search.md)."""

    objective: dict[str, Any] | None = Field(
        None, description="limits that the load must meet, such as ttft_p95: 1s; the run's objectives when absent")
    knee: bool = Field(False, description="look for the knee and for saturation instead")
    over: Literal["concurrency", "rate"] = Field("concurrency", description="what is raised: users, or arrivals/s")
    from_: float = Field(LOWEST, alias="from", gt=0, le=limits.USERS, description="the lowest load, tried first")
    to: float = Field(HIGHEST, gt=0, le=limits.USERS, description="the highest load that may be tried")
    near: float | None = Field(None, gt=0, le=limits.USERS, description="where the answer is thought to be: the search "
                                                                        "begins there, and goes up or down")
    within: Share = Field(0.05, description="how near the answer is to be: the bracket's width, as a share")
    confidence: Share = Field(0.95, description="of the verdict on each stage")
    extend: int = Field(4, ge=1, le=64, description="an unclear stage's window grows up to so many times its length")

    @property
    def first(self) -> float:
        """The load that is tried first: the lowest, or the one near which the answer is thought to be."""
        if self.near is None:
            return self.from_
        load = min(max(self.near, self.from_), self.to)
        return float(round(load)) if self.over == "concurrency" else load

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        yield from _ends(given)
        if given.get("knee") is True and "near" in given:
            yield "near", "goes with a search for the highest load"
        confidence = given.get("confidence", 0.95)
        if isinstance(confidence, int | float) and not 0.5 < confidence < 1:
            yield "confidence", f"{confidence:g} is to be above 50 % and below 100 %, such as 95%"
        if given.get("knee") is True and "objective" in given:
            yield "objective", "goes with a search for the highest load; the knee has none"
        if isinstance(given.get("objective"), Mapping):
            for name, wrong in objectives.unsearchable(given["objective"]):
                yield ("objective", name), wrong


def _ends(given: Mapping[str, Any]) -> Iterator[Rule]:
    low, high = given.get("from_", LOWEST), given.get("to", HIGHEST)
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return
    if low >= high:
        yield "to", f"{high:g} is not above from, {low:g}"
    if given.get("over", "concurrency") == "concurrency":
        for key, value in (("from", low), ("to", high)):
            if value != int(value) or value < 1:
                yield key, f"{value:g} is no number of users; give a whole one, or search over: rate"
