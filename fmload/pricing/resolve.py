"""The one rule by which an endpoint gets its price, for report, live figures, budget, plans, deployments and judges.

What the run file gives in numbers goes before what is looked up: the hourly price, then the token prices, then the
instance type, then the model. Where `price` says nothing of that, it is the instances that `deploy` or `instance_type`
names, and for a model on Bedrock the model. Nothing is borrowed from another region, purchase option, tier, latency
mode or inference profile: what the table lacks is `Unpriced`, with the reason and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from fmload.pricing.table import DEFAULT_REGION, DEFAULT_TIERS, PriceTable, Rates

RUN_FILE = "the run file"
# Inference profiles name a geography before the model.
PROFILES = ("global", "us-gov", "us", "eu", "apac", "jp", "au", "ca", "in", "mx", "sa", "me", "af")
_ARN = re.compile(r"arn:aws[\w-]*:bedrock:(?P<region>[\w-]*):\d*:(?P<kind>[\w-]+)/(?P<name>.+)")
_BEDROCK_URL = re.compile(r"https?://bedrock-(?P<service>runtime|mantle)(-fips)?\.(?P<region>[a-z0-9-]+)\.(amazonaws\.com|api\.aws)")
_SAGEMAKER_URL = "https://runtime.sagemaker."
_OWN_PRICE = "give it in the run file: price: {{{how}}}, or name a table of yours: prices: FILE ('fmload help cost')"
_BY_HOUR, _BY_TOKEN = _OWN_PRICE.format(how="hourly: …"), _OWN_PRICE.format(how="input_per_1m: …, output_per_1m: …")


@dataclass(frozen=True, slots=True)
class Pricing:
    """How an endpoint is paid for: by the hour (all its instances), or by the token or image. `source` says whence, and
    when.

    The token prices are USD per million; a cached or written token without a price of its own costs what input costs.
    `steps` are the prices of longer inputs. `of_tenants`: of those tenants whose tokens cost others.
    """

    source: str
    usd_per_hour: float | None = None
    instance_type: str | None = None
    count: int = 1
    purchase: str = "on_demand"
    region: str | None = None
    input_per_1m: float | None = None
    output_per_1m: float | None = None
    cached_input_per_1m: float | None = None
    cache_write_per_1m: float | None = None
    cache_write_1h_per_1m: float | None = None
    per_audio_minute: float | None = None
    per_1m_characters: float | None = None
    per_image: float | None = None
    per_1k_searches: float | None = None
    steps: tuple[Rates, ...] = ()
    model: str | None = None
    tier: str | None = None
    latency: str | None = None
    date: str | None = None
    note: str | None = None
    of_tenants: Mapping[str, Pricing | Unpriced] = field(default_factory=dict, compare=False)

    def of(self, tenant: str | None) -> Pricing | Unpriced:
        """What the requests of a tenant are paid by; of nobody's, and of a tenant without another price, this one."""
        return self if tenant is None else self.of_tenants.get(tenant, self)

    @property
    def by_token(self) -> bool:
        """True when what is used is paid for (tokens, sound, characters, images, searches), not hours."""
        return any(each is not None for each in (self.output_per_1m, self.per_audio_minute, self.per_1m_characters,
                                                 self.per_image, self.per_1k_searches))

    @property
    def rates(self) -> tuple[Rates, ...]:
        """The token prices by the length of the input, the shortest first; empty for hourly ones."""
        if self.output_per_1m is None:
            return ()
        return (Rates(self.input_per_1m or 0.0, self.output_per_1m, self.cached_input_per_1m, self.cache_write_per_1m,
                      self.cache_write_1h_per_1m), *self.steps)


@dataclass(frozen=True, slots=True)
class Unpriced:
    """Why an endpoint has no price, and what to do about it."""

    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class Price:
    """The `price` of a run file, as `config.schema.PriceSpec` describes it; None: not given."""

    instance_type: str | None = None
    count: int | None = None
    region: str | None = None
    purchase: str | None = None
    hourly: float | None = None
    input_per_1m: float | None = None
    output_per_1m: float | None = None
    cached_input_per_1m: float | None = None
    cache_write_per_1m: float | None = None
    cache_write_1h_per_1m: float | None = None
    per_audio_minute: float | None = None
    per_1m_characters: float | None = None
    per_image: float | None = None
    per_1k_searches: float | None = None
    model: str | None = None
    tier: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Price:
        """Of the run file's mapping, which is valid."""
        known = {column.name for column in fields(cls)}
        return cls(**{key: value for key, value in given.items() if key in known and value is not None})


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides the price of an endpoint. `served_from` is the region; None: nobody said. `sagemaker`: SageMaker
    hosts it, whose instances have prices of their own."""

    price: Price | None = None
    instance_type: str | None = None
    count: int = 1
    purchase: str = "on_demand"
    model: str | None = None  # of a service that is paid by the token
    served_from: str | None = None
    tier: str | None = None
    latency: str | None = None
    sagemaker: bool = False


def terms_of(entry: Mapping[str, Any], region: str | None = None) -> Terms:
    """The terms of an endpoint, of its entry in a run file; `region` is the run's."""
    deploy = entry.get("deploy") or {}
    given = entry.get("price")
    price = Price.of(given) if isinstance(given, Mapping) else None
    urls = [str(url) for url in entry.get("urls") or [entry.get("url") or ""]]
    called = _BEDROCK_URL.match(urls[0])
    by_model = entry.get("protocol") == "bedrock" or called is not None or price is not None
    parameters = entry.get("parameters") or {}
    return Terms(
        price, *_machines(entry, deploy),
        _called(entry.get("model"), called is not None and called["service"] == "mantle") if by_model else None,
        _region_of(urls) or entry.get("region") or deploy.get("region") or region,
        entry.get("service_tier") or (parameters.get("service_tier") if called else None), entry.get("latency"),
        "sagemaker" in (entry.get("protocol"), deploy.get("target")) or urls[0].startswith(_SAGEMAKER_URL))


def _machines(entry: Mapping[str, Any], deploy: Mapping[str, Any]) -> tuple[str | None, int, str]:
    """Instance type, count and purchase option of what the endpoint runs on."""
    group = deploy.get("node_group") or {}
    bought = "spot" if group.get("capacity") == "SPOT" else "on_demand"
    return (deploy.get("instance_type") or group.get("instance_type") or entry.get("instance_type"),
            int(deploy.get("instance_count") or group.get("count") or 1), deploy.get("purchase") or bought)


def _region_of(urls: Iterable[str]) -> str | None:
    """The region that Bedrock's addresses name; of several all of them, which no price is for."""
    found = dict.fromkeys(match["region"] for url in urls if (match := _BEDROCK_URL.match(url)))
    return " and ".join(found) or None


def _called(model: str | None, mantle: bool) -> str | None:
    """The model as the table names it: what bedrock-mantle serves has rows of its own."""
    return f"bedrock_mantle/{model}" if mantle and model else model


def resolve(terms: Terms, table: PriceTable) -> Pricing | Unpriced:
    """The price of an endpoint by its terms, or why it has none."""
    price = terms.price or Price()
    where = price.region or terms.served_from
    count, purchase = price.count or terms.count, price.purchase or terms.purchase
    if price.hourly is not None:
        return Pricing(RUN_FILE, price.hourly * count, price.instance_type or terms.instance_type, count, purchase,
                       where)
    if any(getattr(price, key) is not None for key in (*_TOKEN_PRICES, *_OTHER_PRICES)):
        return _given(price, terms, where, count)
    machine = price.instance_type or (terms.instance_type if price.model is None else None)
    if machine is not None and terms.sagemaker and not machine.startswith("ml."):
        return Unpriced(f"{machine} is no instance type of SageMaker, whose names begin with ml.",
                        f"write ml.{machine.lower().removeprefix('ml.')}; or {_BY_HOUR}")
    if machine is not None:
        return _by_hour(machine, count, purchase, where, table)
    model = price.model or terms.model
    if model is None:
        return Unpriced("no price is given", f"name what it runs on: price: {{instance_type: …}}; or {_BY_HOUR}")
    return _by_model(model, price, terms, table, where)


_TOKEN_PRICES = ("input_per_1m", "output_per_1m", "cached_input_per_1m", "cache_write_per_1m", "cache_write_1h_per_1m")
_OTHER_PRICES = ("per_audio_minute", "per_1m_characters", "per_image", "per_1k_searches")


def _given(price: Price, terms: Terms, where: str | None, count: int) -> Pricing | Unpriced:
    lacking = [key for key in ("input_per_1m", "output_per_1m") if getattr(price, key) is None]
    if lacking and any(getattr(price, key) is not None for key in _TOKEN_PRICES):
        return Unpriced(f"price gives token prices, but no {lacking[0]}", f"add {lacking[0]}; 0 where it costs nothing")
    return Pricing(RUN_FILE, region=where, instance_type=price.instance_type or terms.instance_type, count=count,
                   **{key: getattr(price, key) for key in (*_TOKEN_PRICES, *_OTHER_PRICES)})


def _by_hour(name: str, count: int, purchase: str, region: str | None, table: PriceTable) -> Pricing | Unpriced:
    quote = table.hourly(name, region, purchase)
    if quote is None:
        return _no_hourly(name, purchase, region or DEFAULT_REGION, table)
    return Pricing(quote.source, quote.usd * count, name, count, purchase, quote.region, date=quote.date,
                   note=quote.note)


_FETCHED = ("on_demand", "reserved_1yr", "spot")  # what the Price List API and the spot history tell


def _no_hourly(name: str, purchase: str, where: str, table: PriceTable) -> Unpriced:
    known = table.regions_of(name, purchase)
    option = "" if purchase == "on_demand" else f" ({purchase.replace('_', ' ')})"
    reason = f"the price table has no {name}{option} in {where}"
    if purchase == "spot" and name.startswith("ml."):
        return Unpriced(reason + "; SageMaker hosts on no spot instances", _BY_HOUR)
    spot = " --spot" if purchase == "spot" else ""
    refresh = f"fetch it: fmload prices refresh --region {where} --types {name}{spot}; or "
    return Unpriced(reason + _elsewhere(known), (refresh if purchase in _FETCHED else "") + _BY_HOUR)


def _by_model(called: str, price: Price, terms: Terms, table: PriceTable,
              region: str | None) -> Pricing | Unpriced:
    arn = _ARN.fullmatch(called)
    model, where = (arn["name"], arn["region"] or region) if arn else (called, region)
    if arn and arn["kind"] not in ("foundation-model", "inference-profile"):
        return Unpriced(f"the ARN of {arn['kind']} does not tell the model",
                        f"name the model that it stands for: price: {{model: …}}; or {_BY_HOUR}")
    if price.purchase not in (None, "on_demand"):
        units = _by_hour(model, price.count or 1, price.purchase, where, table)
        return Unpriced(units.reason, _BY_HOUR) if isinstance(units, Unpriced) else units  # nothing fetches those
    tier = price.tier or terms.tier
    quote = table.tokens(model, tier, where, terms.latency)
    if quote is None:
        return _no_tokens(model, tier, terms.latency, where or DEFAULT_REGION, table)
    first, *steps = quote.rates
    return Pricing(quote.source, region=quote.region or where, input_per_1m=first.input_per_1m,
                   output_per_1m=first.output_per_1m, cached_input_per_1m=first.cached_input_per_1m,
                   cache_write_per_1m=first.cache_write_per_1m, cache_write_1h_per_1m=first.cache_write_1h_per_1m,
                   steps=tuple(steps), model=model, tier=None if tier in DEFAULT_TIERS else tier,
                   latency=None if terms.latency in (None, "standard") else terms.latency, date=quote.date,
                   note=quote.note)


def _no_tokens(model: str, tier: str | None, latency: str | None, where: str, table: PriceTable) -> Unpriced:
    if latency not in (None, "standard") and table.tokens(model, tier, where):
        return Unpriced(f"the price table has no {latency} latency for {model}", _BY_TOKEN)
    if tier not in DEFAULT_TIERS and table.tokens(model, None, where):
        tiers = ", ".join(["default", *table.tiers_of(model)])
        return Unpriced(f"the price table has no tier {tier} for {model}; it has {tiers}", _BY_TOKEN)
    known = table.regions_of(model)
    plain = profile_of(model)
    reason = f"the price table has no {model}" + (f" in {where}" if known else "") + _elsewhere(known)
    if plain and not known and (table.regions_of(plain[1]) or table.tokens(plain[1])):
        reason += f"; it has {plain[1]}, but a profile ({plain[0]}.) has a price of its own"
    refresh = f"fetch it: fmload prices refresh --region {where} --types bedrock; or "
    return Unpriced(reason, refresh + _BY_TOKEN)


def profile_of(model: str) -> tuple[str, str] | None:
    """The geography and the model of an inference profile's id; None for an id without a geography."""
    geography, dot, plain = model.partition(".")
    return (geography, plain) if dot and geography in PROFILES else None


def _elsewhere(regions: Iterable[str]) -> str:
    known = list(regions)
    return f" (it has {', '.join(known)}; a price of another region is not used)" if known else ""


def options_of(terms: Terms, table: PriceTable) -> dict[str, Pricing]:
    """The other ways in which the table knows the endpoint's price, by name: purchase options, or service tiers.

    Empty where the price is the run file's own, or unknown.
    """
    now = resolve(terms, table)
    if isinstance(now, Unpriced) or now.source == RUN_FILE:
        return {}
    price = terms.price or Price()
    if now.by_token:
        asked = [(tier, replace(terms, price=replace(price, tier=tier), tier=tier))
                 for tier in ("default", *table.tiers_of(now.model or "")) if tier != (now.tier or "default")]
    else:
        asked = [(purchase, replace(terms, price=replace(
            price, instance_type=now.instance_type, count=now.count, purchase=purchase)))
            for purchase in table.purchases_of(now.instance_type or "") if purchase != now.purchase]
    found = ((name, resolve(other, table)) for name, other in asked)
    return {name: pricing for name, pricing in found if isinstance(pricing, Pricing)}
