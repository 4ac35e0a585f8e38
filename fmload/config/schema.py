"""The run file's schema. In YAML durations carry their unit (`ramp: 5s`); in code they are seconds (`ramp_s`).

Keys that belong to one protocol, prompt source, arrival process or deploy target are declared by that one, in
its `Options` model, and stand flat beside the common keys; `Extensible` routes them there.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from fmload.endpoints import ENDPOINTS
from fmload.prompts import SOURCES
from fmload.registry import Registry
from fmload.targets import TARGETS
from fmload.units import parse_duration_s


def _duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration_s(value)
    if isinstance(value, bool) or (isinstance(value, int | float) and value != 0):
        raise ValueError(f"{value} has no unit; write a duration such as 500ms, 10s, 2m or 1h")
    return value


Seconds = Annotated[float, BeforeValidator(_duration), Field(ge=0)]


class Strict(BaseModel):
    """Unknown keys are errors; values are not coerced between kinds."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class NoOptions(Strict):
    """The options of an entry that has none."""


class Extensible(BaseModel):
    """A model whose further keys belong to the registry entry that `_chosen` names."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, frozen=True)
    registry: ClassVar[Registry]
    _options: Any = PrivateAttr(default=None)

    def _chosen(self) -> str:
        raise NotImplementedError

    @model_validator(mode="after")
    def _route_options(self) -> Extensible:
        chosen = self.registry.load(self._chosen())
        model = getattr(chosen, "Options", NoOptions)
        self._options = model.model_validate(self.__pydantic_extra__ or {})
        return self

    @property
    def options(self) -> Any:
        """The further keys, as the chosen entry's own `Options` model."""
        return self._options


class PriceSpec(Strict):
    """What the endpoint costs: an instance type (looked up), an hourly price, or prices per million tokens."""

    instance_type: str | None = None
    count: int = Field(1, ge=1, description="instances that serve this endpoint")
    region: str | None = None
    purchase: str = Field("on_demand", description="on_demand, spot, or a rate named in the price table")
    hourly: float | None = Field(None, ge=0, description="USD per hour and instance")
    input_per_1m: float | None = Field(None, ge=0, description="USD per million input tokens")
    output_per_1m: float | None = Field(None, ge=0, description="USD per million output tokens")
    cached_input_per_1m: float | None = Field(None, ge=0, description="USD per million cached input tokens")
    model: str | None = Field(None, description="a model id in the price table's token prices")
    tier: str | None = None


class DeploySpec(Extensible):
    """How the endpoint comes to be, when the run makes it itself."""

    registry = TARGETS

    target: str = Field(description="local, sagemaker, ec2, eks or bedrock")

    def _chosen(self) -> str:
        return self.target


class EndpointSpec(Extensible):
    """One endpoint under test."""

    registry = ENDPOINTS

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    protocol: str = Field(description="openai, sagemaker, bedrock, or a plugin's name")
    url: str | None = Field(None, description="base URL, for example http://10.0.0.5:8080/v1")
    urls: list[str] | None = Field(None, description="several addresses of one model")
    model: str | None = None
    tokenizer: str = Field("bundled", description="bundled, a Hugging Face name, or a folder")
    stream: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict, description="inference parameters, sent as they are")
    headers: dict[str, str] = Field(default_factory=dict)
    request_id_header: str | None = Field("X-Request-Id", description="null switches it off")
    deploy: DeploySpec | None = None
    price: PriceSpec | None = None
    instance_type: str | None = Field(None, description="for the report, when the price does not name it")
    accelerators: int | None = Field(None, ge=1, description="accelerators that serve this endpoint, in all")
    emulated: str | None = Field(None, description="what it imitates, when it is an emulation; the report says so")

    def _chosen(self) -> str:
        return self.protocol


class TokenFilter(Strict):
    """Keeps prompts of one language and of a token range (both ends included)."""

    language: str | None = None
    tokens: tuple[int, int] | None = None


class Distribution(Strict):
    """A length in tokens: `{mean, stddev}`, `{min, max}` or a fixed number in place of the mapping."""

    mean: float | None = Field(None, gt=0)
    stddev: float = Field(0, ge=0)
    min: int | None = Field(None, ge=1)
    max: int | None = Field(None, ge=1)
    kind: Literal["normal", "uniform", "lognormal", "fixed"] = "normal"


Length = int | Distribution


class PromptSpec(Extensible):
    """One prompt set."""

    registry = SOURCES

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    source: str
    template: str | None = None
    filter: TokenFilter | None = None
    output_tokens: Length | None = None
    count: int | None = Field(None, ge=1, description="prompts to prepare; the source decides when absent")
    unique: bool = Field(True, description="no prompt is sent twice in a run while others are left")

    def _chosen(self) -> str:
        return self.source


class LoadSpec(Strict):
    """The sweep. Exactly one of `concurrency`, `rate`, `find` and `trace`."""

    concurrency: list[Annotated[int, Field(ge=1)]] | None = None
    rate: list[Annotated[float, Field(gt=0)]] | None = Field(None, description="arrivals per second")
    find: dict[str, Any] | None = None
    trace: dict[str, Any] | None = None
    arrivals: str | dict[str, Any] = Field("constant", description="arrival process of an open loop")
    ramp_s: Seconds = Field(5.0, alias="ramp")
    warmup_s: Seconds = Field(10.0, alias="warmup")
    window_s: Seconds | None = Field(None, alias="window", description="60s when neither window nor requests is given")
    requests: int | None = Field(None, ge=1, description="close the window after so many requests")
    drain_s: Seconds = Field(120.0, alias="drain")
    workers: int = Field(1, ge=1)
    side_by_side: bool = Field(False, description="stages of different endpoints run at the same time")
    repeat: int = Field(1, ge=1)
    shuffle: bool = Field(False, description="order of the stages drawn by the seed")
    respread: bool = Field(False, description="users of a lost worker are given to the others")


class TimeoutSpec(Strict):
    """Limits of one request."""

    connect_s: Seconds = Field(10.0, alias="connect")
    first_token_s: Seconds = Field(120.0, alias="first_token")
    idle_s: Seconds = Field(60.0, alias="idle")
    total_s: Seconds = Field(600.0, alias="total")


class ReportSpec(Strict):
    """What the report shows."""

    title: str | None = None
    percentile_floor: bool = Field(True, description="blank percentiles with too few samples")
    threshold_tokens_per_s: float | None = Field(None, gt=0, description="count requests slower than this")


class RunFile(Strict):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    region: str | None = None
    seed: int = 0
    endpoints: list[EndpointSpec] = Field(min_length=1)
    prompts: list[PromptSpec] = Field(min_length=1)
    load: LoadSpec
    timeouts: TimeoutSpec = Field(default_factory=TimeoutSpec)
    objectives: dict[str, Any] = Field(default_factory=dict)
    report: ReportSpec = Field(default_factory=ReportSpec)
    keep_answers: bool = False
    prices: str | None = Field(None, description="a price table of your own, over the one that ships")
    max_cost: float | None = Field(None, ge=0, description="USD; a run that would pass it is stopped before")
    telemetry: list[dict[str, Any]] = Field(default_factory=list)
