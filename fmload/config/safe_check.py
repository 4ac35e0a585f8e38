"""`load.safe_check`: a content-safety step before and after each request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from fmload.config.model import Rule, Strict
from fmload.config.values import Seconds


class Latency(Strict):
    """A time that is waited: `{mean, stddev}`, `{min, max}`, or a duration in place of the mapping.

    Without `kind`, `{mean, …}` is normal and `{min, max}` uniform; `min` and `max` bound what is drawn.
    """

    kind: Literal["fixed", "normal", "lognormal", "exponential", "uniform"] | None = Field(
        None, description="normal with a mean, else uniform")
    mean_s: Seconds | None = Field(None, alias="mean")
    stddev_s: Seconds = Field(0.0, alias="stddev", description="of the times, for lognormal too")
    min_s: Seconds = Field(0.0, alias="min", description="the shortest")
    max_s: Seconds | None = Field(None, alias="max", description="the longest")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if given.get("kind") == "uniform" or "mean_s" not in given:
            if "max_s" not in given:
                yield "", "needs 'mean' (and 'stddev'), or 'min' and 'max'"
            if given.get("stddev_s"):
                yield "stddev", "goes with 'mean'"

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        reference = handler(core)
        mapping = handler.resolve_ref_schema(reference)
        both = {"anyOf": [{"type": "string", "examples": ["500ms", "10s", "2m"]}, dict(mapping)]}
        mapping.clear()
        mapping.update(both)
        return reference

    @property
    def drawn(self) -> Literal["fixed", "normal", "lognormal", "exponential", "uniform"]:
        """The kind, where the run file leaves it open: normal with a mean, else uniform."""
        return self.kind or ("normal" if self.mean_s is not None else "uniform")


def _fixed(value: object) -> object:
    return {"kind": "fixed", "mean": value} if isinstance(value, str | int | float) else value


class CheckSpec(Strict):
    """One step: a simulated `latency`, or a check service at `url`."""

    latency: Annotated[Latency, BeforeValidator(_fixed)] | None = Field(
        None, description="how long a simulated check takes: a duration, or {mean, stddev}; it finds everything safe")
    url: str | None = Field(None, description="where the text is posted as JSON")
    body: Any = Field(default_factory=lambda: {"text": "$text"},
                      description="what is posted; `$text` stands for the prompt or the answer")
    verdict: str = Field("safe", description="where the verdict stands in the reply, such as results.0.flagged")
    safe_when: bool | str = Field(True, description="what stands there when the text is safe")
    headers: dict[str, str] = Field(default_factory=dict, description="sent with every check")
    api_key_env: str | None = Field(None, description="environment variable that holds the service's key")
    api_key_header: str = Field("Authorization", description="where the key goes; there as a bearer token")
    timeout_s: Seconds = Field(10.0, alias="timeout", gt=0, description="after which the check has failed")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if ("latency" in given) == ("url" in given):
            yield "url", "give either latency (simulated) or url (a check service)"
        if not str(given.get("url", "http://")).startswith(("http://", "https://")):
            yield "url", f"'{given['url']}' is not a URL; write http://host:port/path"


class SafeCheckSpec(Strict):
    """A content-safety step before and after each request, timed apart from it; docs/safe-check.md."""

    before: CheckSpec | None = Field(None, description="of the prompt; a request whose prompt is unsafe is not sent")
    after: CheckSpec | None = Field(None, description="of the answer")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "before" not in given and "after" not in given:
            yield "", "needs 'before', 'after' or both"
