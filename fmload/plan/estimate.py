"""What a run will cost, before it does: requests × tokens × prices, or hours × prices, with every assumption said."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.config.abilities import made_by
from fmload.config.schema import EndpointSpec, RunFile
from fmload.model.prompt import Prompt
from fmload.model.stage import Stage
from fmload.model.step import tokens_of
from fmload.plan.tenant_prices import tenant_prices
from fmload.pricing.resolve import Pricing, Terms, Unpriced, resolve, terms_of
from fmload.pricing.spend import DOCUMENTS_A_SEARCH, Billed, usd_of
from fmload.pricing.table import PriceTable

OUTPUT_TOKENS = 256.0  # of an answer that neither its prompt nor the parameters limit
SPOKEN_PER_S = 15.0  # characters of a text that is read aloud
# Of an answer, where the load waits for answers: nobody has measured it yet.
FIRST_TOKEN_S, TOKENS_PER_S = 0.5, 50.0
IMAGES_S = 5.0  # of one that holds images
_LIMITS = ("max_tokens", "max_completion_tokens", "maxTokens", "max_new_tokens")


@dataclass(frozen=True, slots=True)
class Size:
    """Mean tokens of the requests of a prompt set, and how many of them a prompt makes: more than one where prompts are
    sessions. `guessed`: nothing limits the answers. `audio_s`: seconds of sound that are sent."""

    tokens_in: float
    tokens_out: float
    guessed: bool = False
    requests: float = 1.0
    audio_s: float = 0.0
    characters: float = 0.0
    images: float = 1.0  # that a request makes, where it makes any
    searches: float = 0.0  # of a ranking
    media: int = 0  # different images, sounds and videos in the prompts, and about how many bytes they have as files
    media_bytes: int = 0
    makes: str = "text"  # `fmload.endpoints.base.Made`

    @property
    def has_tokens(self) -> bool:
        """Whether an answer is text, which comes token by token."""
        return self.makes == "text" and self.tokens_out > 0

    def usd(self, price: Pricing) -> float:
        """What one request costs by use; 0 by the hour. What is spoken is taken to last as long as people speak."""
        sound = self.audio_s or self.characters / SPOKEN_PER_S
        return float(usd_of(price, Billed(self.tokens_in, self.tokens_out, audio_s=sound,
                                          characters=0.0 if self.audio_s else self.characters, images=self.images,
                                          searches=self.searches)))


@dataclass(frozen=True, slots=True)
class EndpointEstimate:
    """What one endpoint will cost. `usd` is None where its price is unknown, and `why` says why."""

    endpoint: str
    requests: float
    tokens_in: float
    tokens_out: float
    hours: float
    usd: float | None
    by_token: bool
    emulated: bool
    why: str = ""
    makes: str = "text"


@dataclass(frozen=True, slots=True)
class Estimate:
    """The whole run's. `assumptions` are sentences; `each_usd` what a request costs, by endpoint and prompt set."""

    endpoints: tuple[EndpointEstimate, ...]
    assumptions: tuple[str, ...]
    each_usd: Mapping[tuple[str, str], float]

    @property
    def usd(self) -> float | None:
        """What is known of it, together; None when no endpoint has a price."""
        known = [one.usd for one in self.endpoints if one.usd is not None]
        return math.fsum(known) if known else None

    @property
    def real_usd(self) -> float:
        """Of that, what is not the price of an emulation."""
        return math.fsum(one.usd or 0.0 for one in self.endpoints if not one.emulated)

    def describe(self) -> str:
        """As people read it: a line an endpoint, the sum, the assumptions."""
        lines = [_line(one) for one in self.endpoints]
        lines.append(f"this run: {'n/a' if self.usd is None else f'about {_usd(self.usd)}'}")
        return "\n".join([*lines, *(f"  assumed: {one}" for one in self.assumptions)])


def terms_of_spec(spec: EndpointSpec, region: str | None = None) -> Terms:
    """What decides the price of an endpoint of a loaded run file; `region` is the run's."""
    return terms_of(spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True), region)


def prices_of(run: RunFile, table: PriceTable) -> dict[str, Pricing | Unpriced]:
    """The price of every endpoint of a run file, with those of its tenants, or why it has none."""
    tenants = [tenant.model_dump(mode="json", by_alias=True, exclude_none=True) for tenant in run.tenants]
    found: dict[str, Pricing | Unpriced] = {}
    for spec in run.endpoints:
        price = resolve(terms_of_spec(spec, run.region), table)
        entry = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        found[spec.name] = replace(price, of_tenants=tenant_prices(entry, tenants, price, table, run.region)) if (
            isinstance(price, Pricing)) else price
    return found


def require_prices(run: RunFile, prices: Mapping[str, Pricing | Unpriced]) -> None:
    """Raises FmloadError where `max_cost` is set and a price is unknown: the limit could not be kept."""
    unknown = {f"endpoint '{name}'": price for name, price in prices.items() if isinstance(price, Unpriced)}
    unknown |= {f"tenant '{tenant}' of endpoint '{name}'": own for name, price in prices.items()
                if isinstance(price, Pricing) for tenant, own in price.of_tenants.items() if isinstance(own, Unpriced)}
    if run.max_cost is not None and unknown:
        raise FmloadError("\n".join(f"{name}: max_cost is {run.max_cost:g} USD, but {price.reason}"
                                    for name, price in unknown.items()),
                          hint="; ".join(dict.fromkeys(price.remedy for price in unknown.values()))
                          + "; {hourly: 0} where it costs nothing; or take max_cost out")


def sizes_of(prompts: Mapping[str, Iterable[Prompt]], spec: EndpointSpec) -> dict[str, Size]:
    """Mean tokens by prompt set, at an endpoint."""
    makes = made_by(spec)
    return {name: replace(_size(list(some), spec.parameters), makes=makes) for name, some in prompts.items()}


def described(run: RunFile) -> dict[str, list[Prompt]]:
    """One prompt of mean length for each set, as far as the run file itself tells lengths: for plans, before any prompt
    is prepared."""
    found = {}
    for spec in run.prompts:
        given = getattr(spec.options, "input_tokens", None)
        each, batched = _mean(given), spec.batch is not None or spec.query_tokens is not None
        found[spec.name] = [Prompt("described", spec.name, "", output_tokens=_mean(spec.output_tokens),
                                   input_tokens=each if each is None else each * (spec.batch or 1),
                                   inputs=[] if batched else None)]
    return found


def _mean(length: object) -> int | None:
    mean = getattr(length, "mean", None)
    return round(mean) if isinstance(mean, int | float) else None


def _size(prompts: Sequence[Prompt], parameters: Mapping[str, object]) -> Size:
    limit = next((float(value) for key in _LIMITS if isinstance(value := parameters.get(key), int | float)), None)
    if any(prompt.steps for prompt in prompts):
        return _size_of_sessions(prompts, limit)
    given = [prompt.output_tokens if prompt.inputs is None and prompt.audio is None else 0 for prompt in prompts]
    guessed = limit is None and any(tokens is None for tokens in given)
    made = [float(tokens) if tokens is not None else limit or OUTPUT_TOKENS for tokens in given]
    count = max(1, len(prompts))
    return Size(sum(prompt.input_tokens or 0 for prompt in prompts) / count, sum(made) / count, guessed,
                audio_s=sum(prompt.audio["seconds"] for prompt in prompts if prompt.audio) / count,
                characters=sum(len(prompt.as_text()) for prompt in prompts) / count,
                images=float(asked) if isinstance(asked := parameters.get("n"), int) and asked > 0 else 1.0,
                searches=sum(math.ceil(len(prompt.inputs or ()) / DOCUMENTS_A_SEARCH) for prompt in prompts) / count,
                media=len(files := _different(prompts)), media_bytes=sum(files.values()))


def _different(prompts: Sequence[Prompt]) -> dict[str, int]:
    """The different images, sounds and videos of prompts, and about how many bytes each has."""
    return {repr(sorted(one.items())): int(one.get("bytes", 0)) for prompt in prompts for one in prompt.media}


def _size_of_sessions(prompts: Sequence[Prompt], limit: float | None) -> Size:
    asked = [one for prompt in prompts for one in tokens_of(prompt)]
    made = [float(tokens) if tokens is not None else limit or OUTPUT_TOKENS for _, tokens in asked]
    count = max(1, len(asked))
    return Size(sum(tokens for tokens, _ in asked) / count, sum(made) / count,
                limit is None and any(tokens is None for _, tokens in asked), len(asked) / len(prompts))


def estimate(run: RunFile, stages: Sequence[Stage], prompts: Mapping[str, Sequence[Prompt]],
             prices: Mapping[str, Pricing | Unpriced], at_most: int | None = None) -> Estimate:
    """The estimate of the stages that are still to be run. `at_most`: how many a search may take."""
    pending = [stage for stage in stages if stage.status == "pending"]
    more = max(1.0, (at_most or 0) / max(1, len(stages))) if run.load.find is not None else 1.0
    sizes = {spec.name: sizes_of(prompts, spec) for spec in run.endpoints}
    each = {(spec.name, name): _dearest_usd(price, size)
            for spec in run.endpoints if isinstance(price := prices[spec.name], Pricing) and price.by_token
            for name, size in sizes[spec.name].items()}
    found = tuple(_endpoint(spec, [stage for stage in pending if stage.endpoint == spec.name], sizes[spec.name],
                            prices[spec.name], more) for spec in run.endpoints)
    assumed = list(_assumptions(pending, sizes, more))
    if any(isinstance(price, Pricing) and price.of_tenants for price in prices.values()):
        assumed.append("every request is of the tenant that pays most")
    return Estimate(found, tuple(assumed), each)


def _endpoint(spec: EndpointSpec, stages: Sequence[Stage], sizes: Mapping[str, Size], price: Pricing | Unpriced,
              more: float) -> EndpointEstimate:
    counts = [(stage, requests_of(stage, sizes[stage.prompt_set]) * more) for stage in stages]
    tokens_in = math.fsum(count * sizes[stage.prompt_set].tokens_in for stage, count in counts)
    tokens_out = math.fsum(count * sizes[stage.prompt_set].tokens_out for stage, count in counts)
    hours = math.fsum(duration_s(stage, sizes[stage.prompt_set]) for stage in stages) * more / 3600
    usd, by_token, why = None, isinstance(price, Pricing) and price.by_token, ""
    if isinstance(price, Unpriced):
        why = str(price)
    elif by_token:
        usd = math.fsum(count * _dearest_usd(price, sizes[stage.prompt_set]) for stage, count in counts)
    else:
        usd = (price.usd_per_hour or 0.0) * hours
    return EndpointEstimate(spec.name, math.fsum(count for _, count in counts), tokens_in, tokens_out, hours, usd,
                            by_token, bool(spec.emulated), why, made_by(spec))


def _dearest_usd(price: Pricing, size: Size) -> float:
    """A request at the price of the tenant that pays most."""
    known = [price, *(own for own in price.of_tenants.values() if isinstance(own, Pricing))]
    return max(size.usd(one) for one in known)


def latency_s(size: Size) -> float:
    """How long an answer is taken to be on its way."""
    if size.makes == "images":
        return IMAGES_S
    return FIRST_TOKEN_S + (size.tokens_out / TOKENS_PER_S if size.has_tokens else 0.0)


def _latency_text(size: Size) -> str:
    if size.has_tokens:
        return f"an answer {format_duration(FIRST_TOKEN_S)} after it asks, at {TOKENS_PER_S:g} tokens/s"
    return f"{'its images' if size.makes == 'images' else 'an answer'} {format_duration(latency_s(size))} after it asks"


def requests_of(stage: Stage, size: Size) -> float:
    """Requests that a stage will send: as many as are due in an open loop, which begins at its full rate; else as
    answers of the assumed length allow, or as many as close its window."""
    if stage.exact and stage.requests is not None:
        return float(stage.requests)
    if stage.load.kind == "rate":
        due_s = stage.ramp_s + stage.warmup_s + (stage.window_s or 0.0)
        return stage.load.value * size.requests * due_s + float(stage.requests or 0)
    users = stage.load.value
    per_s = users / latency_s(size)
    before = float(stage.warmup.requests or per_s * stage.warmup_s) + per_s * stage.ramp_s / 2
    return before + (float(stage.requests) if stage.requests is not None else per_s * (stage.window_s or 0.0)) + users


def duration_s(stage: Stage, size: Size) -> float:
    """How long a stage will be on, its drain with one answer included."""
    window_s = stage.window_s
    if window_s is None:
        per_s = stage.load.value if stage.load.kind == "rate" else stage.load.value / latency_s(size)
        window_s = (stage.requests or 0) / per_s
    return stage.ramp_s + stage.warmup_s + window_s + latency_s(size)


def _assumptions(stages: Sequence[Stage], sizes: Mapping[str, Mapping[str, Size]], more: float) -> Iterable[str]:
    waited = dict.fromkeys(_latency_text(sizes[stage.endpoint][stage.prompt_set]) for stage in stages
                           if stage.slots and stage.requests is None)
    yield from (f"each user gets {text} (not measured yet)" for text in waited)
    found = [sizes[stage.endpoint][stage.prompt_set] for stage in stages]
    if any(size.guessed and size.has_tokens for size in found):
        yield f"answers of {OUTPUT_TOKENS:g} tokens, as neither prompts nor parameters limit them"
    elif any(size.has_tokens for size in found):
        yield "answers as long as they may be"
    if any(size.guessed and not size.has_tokens for size in found):
        yield f"{OUTPUT_TOKENS:g} tokens for what a request makes, where tokens are paid for"
    held = {name: size for each in sizes.values() for name, size in each.items() if size.media}
    if held:
        files, size = sum(one.media for one in held.values()), sum(one.media_bytes for one in held.values())
        yield (f"the tokens of {files:,} images, sounds and videos ({size / 1e6:,.4g} MB) are not in it: they are the "
               "server's alone to count")
    if more > 1:
        yield f"the search takes {more:.0f} times as many stages as are planned now, at loads like them"
    if any(stage.load.sessions for stage in stages):
        yield "sessions use no tools and nobody thinks: users that do send less"
    yield "nothing comes from a cache, and no request fails"


def approve(found: Estimate, run: RunFile, yes: bool, ask: Callable[[str], bool] | None, spent_usd: float = 0.0) -> str:
    """Whether the run may go on; returns what is to be told. Raises FmloadError when its owner declines, or when it
    needs a yes (above `ask_above`, or above `max_cost`) and nobody is there to say it. `spent_usd`: so far."""
    told = found.describe()
    over = run.max_cost is not None and spent_usd + (found.usd or 0.0) > run.max_cost
    if over:
        told += f"\n  above max_cost ({run.max_cost:g} USD): the run will be stopped before it is passed"
    real = found.real_usd
    if yes or real <= 0 or not (over or real > run.ask_above):
        return told
    if ask is None:
        why = f"above max_cost ({run.max_cost:g} USD)" if over else f"above ask_above ({run.ask_above:g} USD)"
        raise FmloadError(f"{told}\nthis run would cost about {_usd(real)}, {why}, and nobody is there to agree",
                          hint="add --yes; or fewer stages, shorter windows, or a higher limit")
    if not ask(told):
        raise FmloadError("not started: its cost was declined")
    return told


def _line(one: EndpointEstimate) -> str:
    tokens = f", {one.tokens_in:,.0f} tokens in and {one.tokens_out:,.0f} out" if (
        one.makes in ("text", "vectors", "rankings") and one.tokens_in + one.tokens_out) else ""
    what = (f"{one.requests:,.0f} requests{tokens}" if one.by_token or one.usd is None else
            format_duration(one.hours * 3600))
    price = f"n/a ({one.why})" if one.usd is None else f"about {_usd(one.usd)}"
    return f"{one.endpoint}: {what}: {price}{', as if it were no emulation' if one.emulated and one.usd else ''}"


def _usd(value: float) -> str:
    return f"{value:.2f} USD" if value >= 0.1 or value == 0 else f"{value:.2g} USD"
