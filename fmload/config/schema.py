"""The run file's schema. In YAML durations carry their unit (`ramp: 5s`); in code they are seconds (`ramp_s`).

Keys that belong to one protocol, prompt source, arrival process or deploy target are declared by that one, in
its `Options` model, and stand flat beside the common keys; `Extensible` routes them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import (
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import CoreSchema

from fmload.base.apportion import shares, spread
from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean
from fmload.base.units import parse_duration_s
from fmload.config import http_rules, limits, objectives, problems, tenants, vary
from fmload.config.control import ExactSpec, StopSpec, Trial, TrialSpec, UntilSpec, Warmup, WarmupSpec
from fmload.config.find import FindSpec
from fmload.config.lengths import Length
from fmload.config.media import MediaSpec, uncarried
from fmload.config.model import Extensible, Rule, Strict, also, key_names, options_model
from fmload.config.safe_check import SafeCheckSpec
from fmload.config.stacks import Stacks
from fmload.config.values import Balance, Bytes, ModelName, Name, RunPath, Seconds, Share
from fmload.plugins import ARRIVALS, COLLECTORS, ENDPOINTS, SOURCES, TARGETS, is_steady
from fmload.wire.exchange import ReaderChoice


class PriceSpec(Strict):
    """What the endpoint costs: an instance type (looked up), an hourly price, or prices per million tokens or per
    image."""

    instance_type: str | None = None
    count: int | None = Field(None, ge=1, le=limits.ENTRIES,
                              description="instances that serve this endpoint; all that `deploy` makes, else 1")
    region: str | None = None
    purchase: str | None = Field(
        None, description="on_demand, spot, or a rate named in the price table; as `deploy` buys, else on_demand")
    hourly: float | None = Field(None, ge=0, le=limits.USD, description="USD per hour and instance")
    input_per_1m: float | None = Field(None, ge=0, le=limits.USD, description="USD per million input tokens")
    output_per_1m: float | None = Field(None, ge=0, le=limits.USD, description="USD per million output tokens")
    cached_input_per_1m: float | None = Field(
        None, ge=0, le=limits.USD, description="USD per million cached input tokens")
    cache_write_per_1m: float | None = Field(
        None, ge=0, le=limits.USD, description="USD per million tokens written to a cache")
    cache_write_1h_per_1m: float | None = Field(
        None, ge=0, le=limits.USD, description="USD per million tokens cached for an hour")
    per_audio_minute: float | None = Field(
        None, ge=0, le=limits.USD, description="USD per minute of sound, transcribed or spoken")
    per_1m_characters: float | None = Field(
        None, ge=0, le=limits.USD, description="USD per million characters that are spoken")
    per_image: float | None = Field(None, ge=0, le=limits.USD, description="USD per image that is made")
    per_1k_searches: float | None = Field(
        None, ge=0, le=limits.USD, description="USD per 1,000 rankings; each 100 documents of one are a search")
    model: str | None = Field(None, description="a model id in the price table's token prices")
    tier: str | None = Field(None, description="service tier, or batch; default: the endpoint's service_tier")


class DeploySpec(Extensible):
    """How the endpoint comes to be, when the run makes it itself."""

    registry = TARGETS
    chosen_by = "target"

    target: str = Field(description="local, sagemaker, ec2, eks or bedrock")


class RequireSpec(Strict):
    """A rule between settings of `vary`: a candidate with those of `when` must have those of `then`."""

    when: dict[str, Any] = Field(description="keys of vary, each with a value or a list of values")
    then: dict[str, Any] = Field(description="likewise")


def _needs_url(protocol: Any) -> bool:
    """Whether endpoints of a protocol have no address but the one that the run file gives."""
    return protocol in ENDPOINTS and getattr(ENDPOINTS.load(protocol), "NEEDS_URL", False)


def _streams(entry: Mapping[str, Any]) -> bool:
    """Whether an endpoint with these keys can stream its answers."""
    if entry.get("protocol") not in ENDPOINTS:
        return True
    protocol = ENDPOINTS.load(str(entry["protocol"]))
    streams = getattr(protocol, "streams", None)
    return getattr(protocol, "STREAMS", True) and (streams is None or streams(entry))


def _streams_unasked(entry: Mapping[str, Any]) -> bool:
    """Whether an endpoint with these keys streams its answers unless the run file says otherwise."""
    protocol = entry.get("protocol")
    return _streams(entry) and not (protocol in ENDPOINTS and getattr(ENDPOINTS.load(str(protocol)), "WHOLE", False))


class EndpointSpec(Extensible):
    """One endpoint under test."""

    registry = ENDPOINTS
    chosen_by = "protocol"

    name: Name = Field(description="its name in results and report")
    protocol: str = Field(description="openai, responses, sagemaker, bedrock …; docs/protocols.md")
    url: str | None = Field(None, description="base URL, for example http://10.0.0.5:8080/v1")
    urls: list[str] | None = Field(
        None, min_length=1, max_length=limits.ENTRIES, description="several addresses of one model")
    balance: Balance | None = Field(None, description="of several addresses: each in turn (round_robin, the default), "
                                                      "or the one with the fewest requests of this worker in flight")
    model: str | None = Field(None, description="as the server calls it")
    tokenizer: ModelName = Field("bundled", description="bundled, a Hugging Face name, or a folder")
    stream: bool = Field(True, description="false waits for whole answers: no TTFT, TPOT or ITL then")
    parameters: dict[str, Any] = Field(default_factory=dict, description="inference parameters, sent as they are")
    headers: dict[str, str] = Field(default_factory=dict, description="sent with every request")
    proxy: str | None = Field(None, description="http, https, socks5 or socks5h://user:password@host:port; "
                                                "default: that of the usual variables (HTTPS_PROXY …); none: no proxy")
    request_id_header: str | None = Field("X-Request-Id", description="null switches it off")
    deploy: DeploySpec | None = Field(None, description="the run makes the endpoint, and removes it")
    price: PriceSpec | None = Field(None, description="what the endpoint costs")
    instance_type: str | None = Field(None, description="for the report, when the price does not name it")
    accelerators: int | None = Field(
        None, ge=1, le=limits.USERS, description="accelerators that serve this endpoint, in all")
    emulated: str | None = Field(None, description="what it imitates, when it is an emulation; the report says so")
    vary: dict[str, list[Any] | dict[str, dict[str, Any]]] = Field(
        default_factory=dict,
        description="candidates: by key of this entry, or {word} in its texts, the values to try; docs/stacks.md")
    exclude: list[dict[str, Any]] = Field(
        default_factory=list, max_length=limits.ENTRIES,
        description="of vary: candidates with all of these are left out")
    require: list[RequireSpec] = Field(
        default_factory=list, max_length=limits.ENTRIES,
        description="of vary: what settings need of each other")

    @classmethod
    def whole(cls, data: Any) -> Any:
        whole = vary.with_first_values(data, [*key_names(cls), *_protocol_keys(_key(data, "protocol"))])
        if isinstance(whole, Mapping) and "stream" not in whole and not _streams_unasked(whole):
            return {**whole, "stream": False}
        return whole

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "url" in given and "urls" in given:
            yield "urls", "give either url or urls, not both"
        if _needs_url(given.get("protocol")) and not {"url", "urls", "deploy"} & given.keys():
            yield "url", "is missing; give url, urls or deploy"
        if "balance" in given and not {"urls", "deploy"} & given.keys():
            yield "balance", "goes with several addresses; give them as urls"
        if given.get("stream") is True and not _streams(given):
            yield "stream", f"protocol '{given['protocol']}' has whole answers only here; leave it out"
        urls = _listed(given.get("urls"))
        for place, url in enumerate(urls):
            if url in urls[:place]:
                yield ("urls", place), f"'{url}' stands here twice; give each address once"
            elif wrong := http_rules.wrong_url(url):
                yield ("urls", place), wrong
        if wrong := http_rules.wrong_url(given.get("url")):
            yield "url", wrong
        if isinstance(given.get("headers"), Mapping):
            for name, wrong in http_rules.wrong_headers(given["headers"]):
                yield ("headers", name), wrong
        if wrong := http_rules.wrong_proxy(given.get("proxy")):
            yield "proxy", wrong
        if wrong := http_rules.wrong_name(given.get("request_id_header")):
            yield "request_id_header", wrong
        yield from _unfit_candidates(cls, given)


def _protocol_keys(protocol: Any) -> list[str]:
    """The keys of a protocol's own; none where it is not known, which is told elsewhere."""
    return key_names(options_model(ENDPOINTS, protocol)) if protocol in ENDPOINTS else []


def _unfit_candidates(cls: type[EndpointSpec], given: Mapping[str, Any]) -> Iterator[Rule]:
    """Rules that name what is not there, and values that make no endpoint, each on its own."""
    yield from vary.broken(given)
    if not vary.is_formed(given.get("vary")):
        return
    first = {key: vary.values_of(given["vary"], key)[0] for key in given["vary"]}
    told = {path for path, _ in _wrong_in(cls, vary.filled(given, {}))}
    for key in given["vary"]:
        for place, value in enumerate(vary.values_of(given["vary"], key)):
            named = value if isinstance(given["vary"][key], Mapping) else place
            for path, wrong in _wrong_in(cls, vary.filled(given, {**first, key: value})):
                if path not in told:
                    yield ("vary", key, named), f"{problems.written(path)}: {wrong}"


def _wrong_in(cls: type[EndpointSpec], entry: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    try:
        cls.model_validate(entry)
    except ValidationError as error:
        return problems.findings(error, entry)
    return []


class TokenFilter(Strict):
    """Keeps prompts of one language and of a token range (both ends included)."""

    language: str | None = Field(None, description="as the file's language column has it, for example en")
    tokens: tuple[int, int] | None = Field(None, strict=False, description="fewest and most, for example [1, 500]")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        match given.get("tokens"):
            case [int(least), int(most)] if not 0 <= least <= most:
                yield "tokens", f"[{least}, {most}] holds no length; write the smaller number first"


def _one_tenant(value: object) -> object:
    return {value: 1.0} if isinstance(value, str) else value


_Weight = Annotated[float, Field(gt=0, le=limits.FACTOR)]
_Weights = Annotated[dict[str, _Weight], Field(min_length=1)]
Tenants = Annotated[_Weights | None, BeforeValidator(_one_tenant),
                    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {
                        "type": "number", "exclusiveMinimum": 0}}]})]


class PromptSpec(Extensible):
    """One prompt set."""

    registry = SOURCES
    chosen_by = "source"

    name: Name = Field(description="its name in results and report")
    source: str = Field(description="where the prompts come from; docs/prompts.md")
    template: RunPath | None = Field(None, description="a file with {fields} named after the source's columns")
    filter: TokenFilter | None = Field(None, description="keeps a part of the prompts")
    output_tokens: Length | None = Field(None, description="length of the answers to ask for")
    exact_output: bool = Field(False, description="answers exactly that long, where the server can be made to")
    batch: int | None = Field(
        None, ge=1, le=limits.INPUTS,
        description="texts of one request, for embeddings and rankings; docs/embeddings.md")
    query_tokens: Length | None = Field(
        None, description="length of the made-up query by which a request's texts are ranked")
    media: MediaSpec | None = Field(
        None, description="images, sound and video in every prompt, made or from files; docs/multimodal.md")
    count: int | None = Field(
        None, ge=1, le=limits.PROMPTS, description="prompts to prepare; the source decides when absent")
    unique: bool = Field(True, description="no two prompts of the set are alike")
    tenants: Tenants = Field(None, description=(
        "whose requests they are: a tenant, or {tenant: weight}, drawn for each prompt or session by the seed"))
    nonce: bool | None = Field(None, description="begin every prompt with a mark that no earlier run has sent; yes for "
                                                 "texts made up at random (synthetic, fixed, random), else no")

    @property
    def marked(self) -> bool:
        """Whether prompts begin with a mark of this run: as asked, or as the source does where nothing is said."""
        return bool(getattr(SOURCES.load(self.source), "marked", False)) if self.nonce is None else self.nonce

    @property
    def scripted(self) -> bool:
        """Whether users of a locustfile write the requests as they go."""
        return bool(getattr(SOURCES.load(self.source), "scripted", False))

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        source = given.get("source")
        without = _without(source)
        if "template" in given and "template" in without:
            yield "template", f"source '{source}' takes no template; leave it out"
        if _key(given.get("filter"), "language") is not None and "filter.language" in without:
            yield ("filter", "language"), f"source '{source}' knows no languages; leave it out"
        yield from _unbatched(given)
        if given.get("media") is not None and (wrong := _no_media(given)):
            yield "media", wrong


def _no_media(given: Mapping[str, Any]) -> str | None:
    """Why the prompts of a set can hold no images, sound and video; None where they can."""
    source = given.get("source")
    if given.get("batch") is not None or given.get("query_tokens") is not None:
        return "goes with one text a request; leave out batch and query_tokens"
    if isinstance(source, str) and (of_sessions(source) or source in _OWN_WORDS):
        return f"source '{source}' makes its requests as it goes, or sends sound of its own; take one of texts"
    return None


_OWN_WORDS = ("scenario", "tones", "recordings")


def _unbatched(given: Mapping[str, Any]) -> Iterator[Rule]:
    """What does not go with the texts of one request."""
    batched = [key for key in ("batch", "query_tokens") if given.get(key) is not None]
    if not batched:
        return
    for key in ("output_tokens", "exact_output"):
        if given.get(key):
            yield key, f"does not go with {batched[0]}: embeddings and rankings generate nothing; leave it out"
    if given.get("source") in _WHOLE_SOURCES:
        yield batched[0], f"source '{given['source']}' makes conversations; take one of texts, such as synthetic"
    elif isinstance(given.get("source"), str) and _is_timed(given["source"]):
        yield batched[0], f"source '{given['source']}' has a request a row, at its own instant; leave it out"


_WHOLE_SOURCES = ("conversation", "scenario", "sharegpt")


def _without(source: object) -> Sequence[str]:
    """Keys that mean nothing to this source. One that cannot be loaded is told elsewhere."""
    try:
        return getattr(SOURCES.load(source), "without", ()) if isinstance(source, str) else ()
    except (FmloadError, ImportError):
        return ()


class ArrivalSpec(Extensible):
    """How the arrivals of an open loop spread over time: a process and its options, or its name alone."""

    registry = ARRIVALS
    chosen_by = "process"

    process: str = Field(description="constant, poisson, gamma, ramp, step or diurnal; docs/load-shapes.md")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "string", "examples": ARRIVALS.names()})


def _named(value: object) -> object:
    return {"process": value} if isinstance(value, str) else value


Arrivals = Annotated[ArrivalSpec, BeforeValidator(_named)]


def _several(value: object) -> object:
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


_Speed = Annotated[float, Field(gt=0, le=limits.FACTOR)]
Speeds = Annotated[list[_Speed], BeforeValidator(_several), Field(min_length=1, max_length=limits.LEVELS),
                   WithJsonSchema({"anyOf": [
    {"type": "number", "exclusiveMinimum": 0},
    {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1}]})]


class TraceSpec(Strict):
    """The arrivals of a trace, at the instants that the rows of the prompt sets have
    (azure_trace, burstgpt, mooncake, log).

    `start` and `duration` are on the trace's own clock, before the speed-up.
    """

    speed: Speeds = Field([1.0], description="how many times as fast as it was; several make a stage each")
    start_s: Seconds = Field(0.0, alias="start", description="leave out what came before, counted from its first row")
    duration_s: Seconds | None = Field(None, alias="duration", gt=0, description="and what came so much later")


class TenantSpec(Strict):
    """One of those who share the endpoints: what its requests carry over what their endpoint says, and its limits.

    What is left out is the endpoint's own.
    """

    name: Name = Field(description="its name in prompt sets, mixes, results and report")
    model: str | None = Field(None, description="its model or adapter, as the server calls it; over the endpoint's")
    headers: dict[str, str] = Field(default_factory=dict, description="over those of the endpoint")
    parameters: dict[str, Any] = Field(default_factory=dict, description="over those of endpoint and mix")
    priority: int | None = Field(
        None, ge=-limits.REQUESTS, le=limits.REQUESTS, description="vLLM's, sent in the body: the lowest goes first")
    service_tier: str | None = Field(None, description="as the endpoint's service takes it; docs/tenants.md")
    price: PriceSpec | None = Field(None, description="of its tokens, where they cost others than the endpoint's")
    objectives: dict[str, Any] = Field(
        default_factory=dict, description="limits on its own requests, in place of those of the run")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        yield from tenants.broken(given)


class ComponentSpec(Strict):
    """One component of a mix: requests of one prompt set to one endpoint, so many of all as its weight says."""

    endpoint: str = Field(description="name of an endpoint")
    prompts: str = Field(description="name of a prompt set")
    weight: float = Field(1.0, gt=0, le=limits.FACTOR, description="its part, against the weights of the others")
    parameters: dict[str, Any] = Field(default_factory=dict, description="over those of the endpoint")
    tenant: str | None = Field(None, description="whose requests they are, where their rows do not say")


class CancelSpec(Strict):
    """Requests that the client gives up on purpose, as people do: the connection is closed."""

    share: Share = Field(description="of all requests, drawn by the seed")
    after_s: Seconds | None = Field(None, alias="after", gt=0, description="so long after it was sent, unless it was "
                                                                           "answered by then")
    after_tokens: int | None = Field(
        None, ge=1, le=limits.TOKENS,
        description="once so many tokens of the answer have come; needs streamed answers")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "after_s" not in given and "after_tokens" not in given:
            yield "", "says not when: give after (a time), after_tokens, or both"


DEFAULT_WARMUP = "10s"


class LoadSpec(Strict):
    """The sweep. Exactly one of `concurrency`, `rate`, `find` and `trace`."""

    concurrency: list[Annotated[int, Field(ge=1, le=limits.USERS)]] | None = Field(
        None, max_length=limits.LEVELS, description="users at the same time")
    rate: list[Annotated[float, Field(gt=0, le=limits.REQUESTS_PER_S)]] | None = Field(
        None, max_length=limits.LEVELS, description="arrivals per second")
    find: FindSpec | None = Field(None, description="search for the highest load that meets objectives, or the knee")
    mix: list[ComponentSpec] | None = Field(
        None, min_length=1, max_length=limits.ENTRIES,
        description="what is sent at the same time, by weight; docs/mixes.md")
    trace: TraceSpec | None = Field(None, description="arrivals replayed as they were; {} for a whole trace")
    arrivals: Arrivals | None = Field(
        None, description="arrival process of an open loop: its name, or {process: name, …its options}; constant")
    ramp_s: Seconds = Field(5.0, alias="ramp", description="from none to all users of a stage")
    warmup: Warmup = Field(WarmupSpec(time_s=10.0), json_schema_extra={"default": DEFAULT_WARMUP},
                           description="not measured: a duration, or what ends it")
    window_s: Seconds | None = Field(
        None, alias="window", gt=0,
        description="60s when neither window nor requests is given; of a trace, all that is left")
    requests: Annotated[int, Field(ge=1, le=limits.REQUESTS)] | ExactSpec | None = Field(
        None, description="close the window after so many requests; {exactly: 500}: send no more, and count them all")
    until: UntilSpec | None = Field(None, description="close the window once a metric is known well enough")
    drain_s: Seconds = Field(120.0, alias="drain", description="longest wait for answers after the window")
    workers: int = Field(1, ge=1, le=limits.WORKERS, description="Locust worker processes")
    side_by_side: bool = Field(False, description="stages of different endpoints run at the same time")
    repeat: int = Field(1, ge=1, le=limits.REPEATS, description="times that every stage is run")
    shuffle: bool = Field(False, description="order of the stages drawn by the seed")
    shape: bool = Field(False, description=(
        "users come and go as the locustfile's own LoadTestShape says; concurrency is the most of them"))
    sessions: bool = Field(False, description=(
        "concurrency and rate count sessions: a conversation keeps its user to its end; always so for source agents"))
    respread: bool = Field(False, description="users of a lost worker, or its arrivals to come, go to the others")
    stop_when_saturated: bool | None = Field(
        None, description="end a stage that the endpoint cannot keep up with, and skip higher ones; yes in a search")
    trial: Trial = Field(TrialSpec(), json_schema_extra={"default": True}, description=(
        "a small request to each address before the load; false: none; {text, output_tokens}: another one"))
    stop_if: StopSpec | None = Field(
        None, description="end a stage, and skip higher loads, at an error rate or so many requests of an outcome")
    cancel: CancelSpec | None = Field(None, description="a share of the requests is given up on purpose")
    safe_check: SafeCheckSpec | None = Field(None, description="a content-safety step around each request")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        kinds = [kind for kind in ("concurrency", "rate", "find", "trace") if kind in given]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none of them"
            yield kinds[1] if kinds else "", f"give exactly one of concurrency, rate, find and trace; here: {found}"
        closings = [key for key in ("window_s", "requests", "until") if key in given]
        if len(closings) > 1:
            names = " and ".join(key.removesuffix("_s") for key in closings)
            yield closings[-1], f"give one of window, requests and until, not {names}"
        yield from _unsteady(given)
        yield from _inexact(given)
        yield from _unmixable(given)
        yield from _endless(given)
        for key, why in _NOT_IN_A_SEARCH.items():
            if "find" in given and given.get(key) not in (None, False, 1):
                yield key, why
        for kind in ("concurrency", "rate"):
            if given.get(kind) == []:
                yield kind, "needs at least one level"
        if "arrivals" in given and "rate" not in given and _key(given.get("find"), "over") != "rate":
            yield "arrivals", "belongs to an open loop (rate); elsewhere answers or a trace pace the requests"

    @property
    def exact(self) -> ExactSpec | None:
        """How many requests each stage has, where it has exactly so many."""
        return self.requests if isinstance(self.requests, ExactSpec) else None

    @property
    def stops(self) -> bool:
        """Whether an over-saturated stage is ended early."""
        return self.find is not None if self.stop_when_saturated is None else self.stop_when_saturated


def _inexact(given: Mapping[str, Any]) -> Iterator[Rule]:
    """What does not go with an exact number of requests."""
    if not isinstance(given.get("requests"), Mapping | ExactSpec):
        return
    if given.get("warmup") not in (None, DEFAULT_WARMUP, LoadSpec.model_fields["warmup"].default):  # as resolved files
        yield "warmup", "does not go with requests: {exactly: …}, where every request is counted; leave it out"
    for key in ("trace", "stop_when_saturated"):
        if given.get(key) not in (None, False):
            yield key, "does not go with requests: {exactly: …}; give a number alone"
    if "mix" in given and "rate" in given:
        yield "requests", "exactly so many requests of a mix need users (concurrency); give a number alone"


def _endless(given: Mapping[str, Any]) -> Iterator[Rule]:
    """More arrivals in one stage than can be counted."""
    window_s = given.get("window_s")
    try:
        length_s = parse_duration_s(window_s) if isinstance(window_s, str) else float(window_s or 0.0)
    except (TypeError, ValueError):
        return  # told elsewhere
    for place, rate in enumerate(_listed(given.get("rate"))):
        if isinstance(rate, int | float) and 0 < rate <= limits.REQUESTS_PER_S and rate * length_s > limits.REQUESTS:
            yield ("rate", place), (f"{rate:g} a second make {rate * length_s:.3g} requests in this window; "
                                    f"{limits.REQUESTS:,} are the most")


def _unmixable(given: Mapping[str, Any]) -> Iterator[Rule]:
    if "mix" not in given:
        return
    for key in ("find", "trace", "side_by_side"):
        if given.get(key, False) is not False:
            yield key, "does not go with a mix, which takes levels of concurrency or rate"
    weights = [_key(one, "weight") or 1.0 for one in _listed(given["mix"])]
    if weights and all(isinstance(weight, int | float) and weight > 0 for weight in weights):
        for place, users in enumerate(_listed(given.get("concurrency"))):
            if isinstance(users, int) and 0 in spread(users, shares(weights)):
                yield ("concurrency", place), f"{users} users leave none for some component of the mix; take more"


_NOT_IN_A_SEARCH = {
    "shuffle": "goes with a list of levels; a search chooses the next level by the last one",
    "repeat": "goes with a list of levels; a search looks longer at what is unclear",
    "requests": "goes with a list of levels; a search closes its windows by itself, after `window` at the earliest",
    "until": "goes with a list of levels; a search closes its windows by itself, after `window` at the earliest",
}


def _unsteady(given: Mapping[str, Any]) -> Iterator[Rule]:
    """A load that changes by a plan of its own has no steady state to wait for, and its plan needs known times."""
    arrivals = given.get("arrivals")
    process = getattr(arrivals, "process", None) or _key(arrivals, "process") or arrivals
    what = "a trace" if "trace" in given else process
    if what is None or ("trace" not in given and is_steady(str(what))):
        return
    if "find" in given:
        yield "arrivals", f"a search needs loads that stay the same; {what} does not"
    if given.get("stop_when_saturated") is True:
        yield "stop_when_saturated", f"needs a load that stays the same; {what} does not"
    if "until" in given:
        yield "until", f"needs a load that stays the same; {what} does not: give a window"
    if isinstance(given.get("warmup"), Mapping) and not {"time", "time_s"} & set(given["warmup"]):
        yield "warmup", f"must be a time: {what} begins with it, and it has to be known how far it is then"


class TimeoutSpec(Strict):
    """Limits of one request."""

    connect_s: Seconds = Field(10.0, alias="connect", gt=0, description="connection, TLS included")
    first_token_s: Seconds = Field(120.0, alias="first_token", gt=0, description="from the request to the first token")
    idle_s: Seconds = Field(60.0, alias="idle", gt=0, description="between two tokens")
    total_s: Seconds = Field(600.0, alias="total", gt=0, description="the whole request")


class ReportSpec(Strict):
    """What the report shows."""

    title: str | None = None
    percentile_floor: bool = Field(
        True, description="without effect: percentiles of too few samples are shown, marked, with their bounds")
    threshold_tokens_per_s: float | None = Field(None, gt=0, description="count requests slower than this")


class AnswersSpec(Strict):
    """How much of the answers is kept; `true` in place of the mapping keeps so much."""

    each_bytes: Bytes = Field(64 << 10, alias="each", description="of an answer, and of its reasoning; the rest is cut")
    total_bytes: Bytes = Field(1 << 30, alias="total", description="of all answers of the run; then no more are kept")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "boolean"})


class CountSpec(Strict):
    """Answers that their server does not count: how much of their texts is kept for counting; `false` keeps none."""

    each_bytes: Bytes = Field(64 << 10, alias="each", description="of an answer; a longer one is not counted")
    total_bytes: Bytes = Field(256 << 20, alias="total", description="of all of the run; then no more are kept")

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return also(handler, core, {"type": "boolean"})


def _kept(value: object) -> object:
    return {True: {}, False: None}[value] if isinstance(value, bool) else value


class TelemetrySpec(Extensible):
    """One collector that runs beside the load."""

    registry = COLLECTORS
    chosen_by = "collector"

    name: Name = Field(description="the source's name in the report")
    collector: str = Field(description="prometheus, prometheus_query, nvidia_smi, neuron_monitor, docker or cloudwatch")


class RunFile(Strict):
    """A whole run."""

    name: Name = Field(description="begins the name of the results folder")
    region: str | None = Field(None, description="AWS region of endpoints, deployments and prices that name none")
    seed: int = Field(0, description="decides prompts, arrivals and shuffling")
    endpoints: list[EndpointSpec] = Field(min_length=1, max_length=limits.ENTRIES, description="what is measured")
    prompts: list[PromptSpec] = Field(min_length=1, max_length=limits.ENTRIES, description="what is sent")
    tenants: list[TenantSpec] = Field(
        default_factory=list, max_length=limits.ENTRIES, description="who shares the endpoints; docs/tenants.md")
    load: LoadSpec = Field(description="how much of it")
    timeouts: TimeoutSpec = Field(default_factory=TimeoutSpec, description="limits of one request")
    max_response_bytes: Bytes = Field(
        256 << 20, alias="max_response", ge=1024, le=limits.RESPONSE_BYTES,
        description="larger answers are cut off there, and have failed (decode)")
    reader: ReaderChoice = Field("auto", description="who receives: native, python, or native where it is installed")
    objectives: dict[str, Any] = Field(default_factory=dict, description="limits on metrics, for example ttft_p95: 2s")
    report: ReportSpec = Field(default_factory=ReportSpec, description="what the report shows")
    keep_answers: Annotated[AnswersSpec | None, BeforeValidator(_kept)] = Field(
        None, description="true, or limits: keep the text of the answers, in answers.parquet")
    count_answers: Annotated[CountSpec | None, BeforeValidator(_kept)] = Field(
        default_factory=CountSpec, json_schema_extra={"default": True},
        description="count answers that the server does not count, by a tokenizer after the run")
    prices: RunPath | None = Field(None, description="a price table of your own, over the one that ships")
    max_cost: float | None = Field(
        None, ge=0, le=limits.USD, description="USD; a run that would pass it is stopped before")
    ask_above: float = Field(
        10.0, ge=0, le=limits.USD, description="USD; `fmload run` asks before a load that costs more")
    stacks: Stacks | None = Field(None, description="how the candidates of `vary` are searched; docs/stacks.md")
    telemetry: list[TelemetrySpec] = Field(
        default_factory=list, max_length=limits.ENTRIES, description="what the endpoints did meanwhile")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        for kind in ("endpoints", "prompts", "tenants", "telemetry"):
            for index, name in _repeated(given.get(kind)):
                yield (kind, index, "name"), f"'{name}' names an earlier entry too; the results tell them apart by name"
        yield from _too_many(given)
        yield from _strangers(given)
        yield from tenants.strangers(given)
        yield from tenants.unfit(given)
        yield from _unfit_tiers(given)
        yield from _unvaried(given)
        yield from _without_times(given)
        yield from _unasked(given)
        yield from uncarried(given)
        yield from _inexact_sessions(given)
        yield from _without_sessions(given)
        if isinstance(given.get("objectives"), Mapping):
            for name, wrong in objectives.broken(given["objectives"]):
                yield ("objectives", name), wrong
        if _key(_key(given.get("load"), "cancel"), "after_tokens") is not None:
            for index, one in enumerate(_listed(given.get("endpoints"))):
                if _key(one, "stream") is False:
                    yield ("endpoints", index, "stream"), "load.cancel.after_tokens counts tokens as they are streamed"
        find = _key(given.get("load"), "find")
        aimless = find is not None and not _key(find, "knee") and not _key(find, "objective")
        if aimless and not objectives.searchable(given.get("objectives")):
            yield ("load", "find", "objective"), "is missing; give limits such as {ttft_p95: 1s}"


def _unfit_tiers(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Service tiers of tenants that the protocol of an endpoint does not know."""
    for index, tenant in enumerate(_listed(given.get("tenants"))):
        for entry in _listed(given.get("endpoints")):
            if isinstance(entry, Mapping) and isinstance(tier := _key(tenant, "service_tier"), str) and (
                    tenants.has_tiers(entry.get("protocol"))):
                for path, wrong in _wrong_in(EndpointSpec, {**entry, "service_tier": tier}):
                    if path == ("service_tier",):
                        yield ("tenants", index, "service_tier"), f"endpoint '{entry.get('name')}': {wrong}"


def _too_many(given: Mapping[str, Any]) -> Iterator[Rule]:
    """A plan of more stages than anybody could wait for."""
    load = given.get("load")
    levels = max(len(_listed(_key(load, "concurrency"))), len(_listed(_key(load, "rate"))), 1)
    repeat = _key(load, "repeat")
    repeat = repeat if isinstance(repeat, int) and repeat > 0 else 1
    lanes = len(_listed(_key(load, "mix"))) or len(_listed(given.get("endpoints"))) * len(_listed(given.get("prompts")))
    if repeat <= limits.REPEATS and levels <= limits.LEVELS and repeat * levels * lanes > limits.STAGES:
        yield ("load", "repeat" if repeat > 1 else ""), (
            f"{repeat * levels * lanes:,} stages in all; {limits.STAGES:,} are the most: take fewer levels, endpoints, "
            "prompt sets or repeats")


def _unvaried(given: Mapping[str, Any]) -> Iterator[Rule]:
    """What does not go with candidates, which are measured one after the other, each on its own."""
    if not any(_key(one, "vary") for one in _listed(given.get("endpoints"))):
        return
    load = given.get("load")
    for key in ("mix", "side_by_side"):
        if _key(load, key):
            yield ("load", key), "does not go with vary: every candidate is measured on its own"
    if _key(_key(load, "find"), "knee"):
        yield ("load", "find", "knee"), "does not go with vary, which compares the highest loads within objectives"
    if len(_listed(given.get("prompts"))) > 1:
        yield ("prompts",), "a search over candidates compares them on one prompt set; take one"


def _strangers(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Collectors and components of a mix that name an endpoint or a prompt set which the run does not have."""
    mix = _listed(_key(given.get("load"), "mix"))
    for path, entries, key, kind in ((("telemetry",), _listed(given.get("telemetry")), "endpoint", "endpoint"),
                                     (("load", "mix"), mix, "endpoint", "endpoint"),
                                     (("load", "mix"), mix, "prompts", "prompt set")):
        known = "prompts" if key == "prompts" else "endpoints"
        names = [name for one in _listed(given.get(known)) if isinstance(name := _key(one, "name"), str)]
        for index, one in enumerate(entries):
            owner = _key(one, key)
            if isinstance(owner, str) and owner not in names:
                yield (*path, index, key), f"no {kind} of this run is named '{owner}'{did_you_mean(owner, names)}"


def _listed(entries: object) -> list[Any]:
    return entries if isinstance(entries, list) else []


def _key(entry: object, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)


def _unasked(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Batches of texts for endpoints that generate text, as far as their protocol alone tells. Components of a mix are
    judged prompt by prompt, before the load."""
    if _key(given.get("load"), "mix"):
        return
    for index, one in enumerate(_listed(given.get("prompts"))):
        key = next((key for key in ("batch", "query_tokens") if _key(one, key) is not None), None)
        for endpoint in _listed(given.get("endpoints")) if key else ():
            protocol = _key(endpoint, "protocol")
            if protocol in ENDPOINTS and getattr(ENDPOINTS.load(protocol), "STREAMS", None):
                yield ("prompts", index, key or ""), (
                    f"puts several texts in a request, and endpoint '{_key(endpoint, 'name')}' (protocol {protocol}) "
                    f"{'makes images of one' if protocol == 'images' else 'generates text'}; leave it out, or use "
                    "protocol embeddings or rerank")


def _without_times(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Prompt sets that a trace is to be replayed from and whose source has no instants."""
    sets = _listed(given.get("prompts")) if _key(given.get("load"), "trace") is not None else []
    for index, name in enumerate(_key(one, "source") for one in sets):
        if isinstance(name, str) and not _is_timed(name):
            yield ("prompts", index, "source"), (
                f"'{name}' has no instants that load.trace could replay; use log for rows of your own, or "
                "azure_trace, burstgpt or mooncake")


def _inexact_sessions(given: Mapping[str, Any]) -> Iterator[Rule]:
    """Sessions are as many requests as they come to."""
    load = given.get("load")
    if not isinstance(_key(load, "requests"), Mapping | ExactSpec):
        return
    sources = (_key(one, "source") for one in _listed(given.get("prompts")))
    if _key(load, "sessions") is True or any(isinstance(name, str) and of_sessions(name) for name in sources):
        yield ("load", "requests"), (
            "exactly so many requests do not go with sessions, of which each has its own number; give a number alone, "
            "which closes the window after so many requests")


def _without_sessions(given: Mapping[str, Any]) -> Iterator[Rule]:
    """A search by the durations of sessions where none of the prompt sets has any: it could never end."""
    objective = _key(_key(given.get("load"), "find"), "objective")
    sources = [name for one in _listed(given.get("prompts")) if isinstance(name := _key(one, "source"), str)]
    if not isinstance(objective, Mapping) or not sources or any(map(_may_have_sessions, sources)):
        return
    for one in objectives.searchable(objective):
        if one.level == "session":
            yield ("load", "find", "objective", one.name), (
                f"source '{sources[0]}' has no sessions; take agents, agent_trace, conversation or sharegpt")


def _may_have_sessions(source: str) -> bool:
    """Whether requests of a source may belong to sessions."""
    if source not in SOURCES:
        return True  # told elsewhere
    try:
        made = SOURCES.load(source)
    except (FmloadError, ImportError):
        return True
    return of_sessions(source) or getattr(made, "scripted", False) or "answers" in getattr(
        getattr(made, "Options", None), "model_fields", ())


def of_sessions(source: str) -> bool:
    """Whether the source's prompts are whole sessions. One that cannot be loaded is told elsewhere."""
    try:
        return bool(getattr(SOURCES.load(source), "sessions", False))
    except (FmloadError, ImportError):
        return False


def _is_timed(source: str) -> bool:
    """Whether the source's prompts have arrival times. One that cannot be loaded is told elsewhere."""
    try:
        return bool(getattr(SOURCES.load(source), "timed", False))
    except (FmloadError, ImportError):
        return True


def _repeated(entries: object) -> Iterator[tuple[int, str]]:
    """(index, name) of the entries whose name an earlier one has."""
    names = [_key(one, "name") for one in _listed(entries)]
    return ((index, name) for index, name in enumerate(names) if name is not None and name in names[:index])
