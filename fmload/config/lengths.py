"""Lengths that are drawn: tokens of texts, pixels and numbers of images, seconds of sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fmload.base.units import parse_duration_s
from fmload.config import limits
from fmload.config.model import Rule, Strict, also
from fmload.config.values import Seconds

LONGEST_S = 7200.0  # of one request: 230 MB at 16,000 samples a second


class Distribution(Strict):
    """A length in tokens: `{mean, stddev}`, `{min, max}`, or a whole number in place of the mapping.

    Without `kind`, `{mean, …}` is normal and `{min, max}` uniform; `min` and `max` bound what is drawn.
    """

    kind: Literal["normal", "uniform", "lognormal", "fixed"] | None = Field(
        None, description="normal with a mean, else uniform")
    mean: float | None = Field(None, gt=0, le=limits.TOKENS)
    stddev: float = Field(0, ge=0, le=limits.TOKENS, description="of the lengths, for lognormal too")
    min: int | None = Field(None, ge=1, le=limits.TOKENS, description="shorter draws are drawn again")
    max: int | None = Field(None, ge=1, le=limits.TOKENS, description="longer draws are drawn again")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if given.get("kind") in ("normal", "lognormal", "fixed") and "mean" not in given:
            yield "kind", f"{given['kind']} needs a mean"
        elif given.get("kind") == "uniform" or "mean" not in given:
            if "min" not in given or "max" not in given:
                yield "", "needs 'mean' (and 'stddev'), or 'min' and 'max'"
            if given.get("stddev"):
                yield "stddev", "goes with 'mean'"
        match given.get("min"), given.get("max"):
            case int(least), int(most) if least > most:
                yield "min", f"{least} is above max, {most}"

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "integer", "minimum": 1})

    @property
    def drawn(self) -> Literal["normal", "uniform", "lognormal", "fixed"]:
        """The kind, where the run file leaves it open: normal with a mean, else uniform."""
        return self.kind or ("normal" if self.mean is not None else "uniform")


def _fixed(value: object) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return {"kind": "fixed", "mean": value} if whole else value


Length = Annotated[Distribution, BeforeValidator(_fixed)]


class Durations(Strict):
    """Seconds of sound: `{mean, stddev}`, `{min, max}`, or one duration in place of the mapping."""

    kind: Literal["normal", "uniform", "lognormal", "fixed"] | None = Field(
        None, description="normal with a mean, else uniform")
    mean: Seconds | None = Field(None, gt=0, le=LONGEST_S)
    stddev: Seconds = Field(0, ge=0, le=LONGEST_S)
    min: Seconds | None = Field(None, ge=0.01, le=LONGEST_S, description="shorter draws are drawn again")
    max: Seconds | None = Field(None, ge=0.01, le=LONGEST_S, description="longer draws are drawn again")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        values = {key: _milliseconds(value) for key, value in given.items()}
        for place, wrong in Distribution.rules(values):
            yield place, wrong.replace(f"{values.get('min')} is above max, {values.get('max')}",
                                       f"{given.get('min')} is above max, {given.get('max')}")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "string", "examples": ["10s", "1m30s"]})

    def in_ms(self) -> Distribution:
        """The same, in whole milliseconds."""
        def ms(seconds: float | None) -> int | None:
            return None if seconds is None else round(seconds * 1000)

        return Distribution(kind=self.kind, mean=ms(self.mean), stddev=self.stddev * 1000, min=ms(self.min),
                            max=ms(self.max) or round(LONGEST_S * 1000))


def _milliseconds(value: object) -> object:
    """A duration as a whole number; what is none is told elsewhere."""
    try:
        return round(parse_duration_s(value) * 1000) if isinstance(value, str) else value
    except ValueError:
        return value


def _one(value: object) -> object:
    return {"kind": "fixed", "mean": value} if isinstance(value, str | int | float) else value


Duration = Annotated[Durations, BeforeValidator(_one)]
