"""The search over serving stacks: `stacks` of the run file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fmload.config import limits
from fmload.config.model import Extensible, also
from fmload.config.values import Seconds
from fmload.plugins import STRATEGIES

DEFAULT = "halving"


class StacksSpec(Extensible):
    """How candidates are searched: a strategy and its options, or its name alone (docs/stacks.md)."""

    registry = STRATEGIES
    chosen_by = "strategy"

    strategy: str = Field(description="halving (the default), grid, optuna, or a plugin's name")
    by: Literal["price_per_1m_output_tokens", "price_per_transaction", "output_tokens_per_s", "requests_per_s"] = Field(
        "price_per_1m_output_tokens", description="the figure that ranks: the lowest price, or the highest rate")
    at_once: int = Field(1, ge=1, le=limits.ENTRIES, description="trials that run side by side")
    max_time_s: Seconds | None = Field(
        None, alias="max_time", gt=0, description="no trial begins that would probably end later")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "string", "examples": STRATEGIES.names()})


def _named(value: object) -> object:
    if isinstance(value, str):
        return {"strategy": value}
    return {"strategy": DEFAULT, **value} if isinstance(value, dict) else value


Stacks = Annotated[StacksSpec, BeforeValidator(_named)]


def default() -> StacksSpec:
    """Where the run file says nothing of the search."""
    return StacksSpec.model_validate({"strategy": DEFAULT})
