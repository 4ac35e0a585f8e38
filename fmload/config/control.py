"""How long a stage takes, where answers decide: warm-ups that end by what came, windows that end when it is known well
enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from fmload.base.units import parse_duration_s, write_duration
from fmload.config import limits, objectives
from fmload.config.model import Rule, Strict, also
from fmload.config.values import Seconds, Share, duration
from fmload.model.outcome import Outcome

STEADY_BY = "e2e"


class ExactSpec(Strict):
    """So many requests and no more, all of them counted: each prompt of the set once (docs/running.md)."""

    exactly: Annotated[int, Field(ge=1)] | Literal["all"] = Field(
        description="requests of each stage, over all workers; all: one for each prompt of the set")


class TrialSpec(Strict):
    """The small request to each address before the load, which tells what is wrong with address, key or model."""

    text: str = Field("Hello", min_length=1, description="its prompt")
    output_tokens: int | None = Field(None, ge=1, description="asked for; as the prompts do, up to 64, when absent")


def _tried(value: object) -> object:
    return {} if value is True else value


# The trial, which may be written short: true, or false for none.
Trial = Annotated[TrialSpec | Literal[False], BeforeValidator(_tried),
                  WithJsonSchema({"anyOf": [{"type": "boolean"}, {"type": "object"}]})]


class StopSpec(Strict):
    """When a stage ends early because of what its requests became; higher loads of it are skipped then."""

    error_rate: Share | None = Field(None, description="stop above this share of failed requests")
    after: int = Field(20, ge=1, description="judged once so many requests of the stage have ended")
    outcomes: dict[Outcome, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict, description="stop at so many requests of an outcome, such as throttled: 10")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "error_rate" not in given and not given.get("outcomes"):
            yield "", "says not at what: give error_rate, outcomes, or both"
        if isinstance(given.get("outcomes"), Mapping) and "ok" in given["outcomes"]:
            yield ("outcomes", "ok"), "is no failure; requests: 200 ends a stage after so many"


class UntilSpec(Strict):
    """Keep the window open until a metric is known well enough (docs/running.md)."""

    metric: str = Field(description="a percentile or mean, such as ttft_p95; or requests_per_s, output_tokens_per_s")
    within: Share = Field(0.05, description="half the confidence interval, as a share of the value")
    confidence: Share = Field(0.95, description="of that interval")
    at_least_s: Seconds = Field(10.0, alias="at_least", gt=0, description="not looked at before")
    at_most_s: Seconds = Field(600.0, alias="at_most", gt=0, description="closed then, whatever is known")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if isinstance(given.get("metric"), str) and (wrong := objectives.not_estimable(given["metric"])):
            yield "metric", wrong
        least, most = (_seconds(given.get(key, cls.model_fields[key].default)) for key in ("at_least_s", "at_most_s"))
        if least is not None and most is not None and least > most:
            yield "at_most", f"{most:g}s is shorter than at_least, {least:g}s"


def _steady(value: object) -> object:
    return STEADY_BY if value is True else value


class WarmupSpec(Strict):
    """What ends a warm-up: a time alone, so many requests, or the first that look like those before them."""

    time_s: Seconds | None = Field(None, alias="time", description="ends after so long")
    requests: int | None = Field(
        None, ge=1, le=limits.REQUESTS, description="ends after so many requests have completed")
    steady: Annotated[str | None, BeforeValidator(_steady), WithJsonSchema(
        {"anyOf": [{"const": True}, {"type": "string", "examples": ["e2e", "ttft"]}]})] = Field(
        None, description="ends once this metric shows no start-up transient; true: e2e")
    at_most_s: Seconds = Field(120.0, alias="at_most", gt=0, description="ends then, for requests and steady")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        kinds = [kind for kind in ("time_s", "requests", "steady") if kind in given]
        if len(kinds) != 1:
            found = " and ".join(kind.removesuffix("_s") for kind in kinds) or "none of them"
            yield kinds[1] if kinds else "", f"give exactly one of time, requests and steady; here: {found}"
        if "time_s" in given and "at_most_s" in given:
            yield "at_most", "goes with requests and steady; a time is its own limit"
        if isinstance(given.get("steady"), str) and (wrong := objectives.not_of_requests(given["steady"])):
            yield "steady", wrong

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "string", "examples": ["10s", "1m"]})

    @property
    def limit_s(self) -> float:
        """The longest that it can take; of a time, what it takes."""
        return self.at_most_s if self.time_s is None else self.time_s


def _timed(value: object, info: ValidationInfo) -> object:
    return value if isinstance(value, Mapping | WarmupSpec) else WarmupSpec(time_s=duration(value, info))  # type: ignore[arg-type]


def _written(warmup: WarmupSpec) -> Any:
    if warmup.time_s is not None:
        return write_duration(warmup.time_s)
    return warmup.model_dump(mode="json", by_alias=True, exclude_none=True)


# What ends a warm-up, which may be written short: as its time.
Warmup = Annotated[WarmupSpec, BeforeValidator(_timed), PlainSerializer(_written, when_used="json")]


def _seconds(value: object) -> float | None:
    """A duration as it is given; None for one that is wrong, which is told of elsewhere."""
    try:
        return parse_duration_s(value) if isinstance(value, str) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
