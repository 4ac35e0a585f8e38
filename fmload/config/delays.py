"""Durations that are drawn: how long tools take, and people think."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fmload.config.model import Rule, Strict, also
from fmload.config.values import Seconds

_TRIES = 1000


class DelaySpec(Strict):
    """A duration, `300ms`; or `{mean, stddev}` and `{min, max}` of one that is drawn.

    Without `kind`, `{mean, stddev}` is normal, `{mean}` fixed, and `{min, max}` uniform; `min` and `max` bound what is
    drawn. lognormal: `mean` and `stddev` are those of the durations themselves.
    """

    kind: Literal["fixed", "normal", "lognormal", "exponential", "uniform"] | None = None
    mean_s: Seconds | None = Field(None, alias="mean")
    stddev_s: Seconds = Field(0.0, alias="stddev")
    min_s: Seconds = Field(0.0, alias="min", description="shorter draws are drawn again")
    max_s: Seconds | None = Field(None, alias="max", description="longer draws are drawn again")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if given.get("kind") == "uniform" or "mean_s" not in given:
            if "min_s" not in given or "max_s" not in given:
                yield "", "needs 'mean' (and 'stddev'), or 'min' and 'max'"
        elif given.get("kind") == "lognormal" and not given.get("stddev_s"):
            yield "kind", "lognormal needs a stddev"

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "string", "examples": ["300ms", "2s"]})

    def draw_s(self, draw: random.Random) -> float:
        """One duration in seconds, within `min` and `max`."""
        most = math.inf if self.max_s is None else self.max_s
        for _ in range(_TRIES):
            if self.min_s <= (drawn := self._draw_s(draw)) <= most:
                return drawn
        return min(max(drawn, self.min_s), most)

    def _draw_s(self, draw: random.Random) -> float:
        mean, stddev = self.mean_s, self.stddev_s
        if mean is None or self.kind == "uniform":
            return draw.uniform(self.min_s, self.max_s or self.min_s)
        if self.kind == "exponential":
            return draw.expovariate(1 / mean) if mean else 0.0
        if self.kind == "lognormal" and mean:
            spread = math.log1p((stddev / mean) ** 2)
            return draw.lognormvariate(math.log(mean) - spread / 2, math.sqrt(spread))
        return mean if self.kind == "fixed" or not stddev else draw.gauss(mean, stddev)


def _fixed(value: object) -> object:
    return {"kind": "fixed", "mean": value} if isinstance(value, str | int | float) and not isinstance(
        value, bool) else value


Delay = Annotated[DelaySpec, BeforeValidator(_fixed)]
