"""Bedrock's token prices from the AWS Price List API, by the ids under which Bedrock's own API lists its models.

Two services of the API hold them: AmazonBedrock names a model in `model` and what is counted in `inferenceType`;
AmazonBedrockFoundationModels (models of the marketplace) names it in `servicename` and the count in `usagetype`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SERVICES = ("AmazonBedrock", "AmazonBedrockFoundationModels")
_EDITION = re.compile(r"\s*\(Amazon Bedrock Edition\)$")
_UNITS = {"1k tokens": 1e3, "1m tokens": 1.0}  # factor to USD per million
_TIERS = ("flex", "priority", "batch")
# what is counted, in the words of either service; the first that fits
_COUNTED = (
    (re.compile(r"cache[ _-]?write.*(1h|1 hour|one hour)", re.IGNORECASE), "cache_write_1h"),
    (re.compile(r"cache[ _-]?write", re.IGNORECASE), "cache_write"),
    (re.compile(r"cache[ _-]?read", re.IGNORECASE), "cached_input"),
    (re.compile(r"input[ _-]?token", re.IGNORECASE), "input"),
    (re.compile(r"output[ _-]?token|response[ _-]?token", re.IGNORECASE), "output"))
_NOT_THESE = re.compile(r"customi[sz]ation|provisioned|reserved|latency|long|image|video|audio|speech|embed|rerank"
                        r"|training", re.IGNORECASE)

Rows = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Found:
    """Rows of the price table by model id, and what could not be one of them, in words."""

    rows: Rows = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def model_ids(bedrock: Any) -> dict[str, list[str]]:
    """Ids of models and of inference profiles that the region has, by the model's name as `plain` makes it."""
    by_name: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for model in bedrock.list_foundation_models()["modelSummaries"]:
        names[model["modelId"]] = plain(model["modelName"])
        by_name.setdefault(plain(model["modelName"]), []).append(model["modelId"])
    for page in bedrock.get_paginator("list_inference_profiles").paginate(typeEquals="SYSTEM_DEFINED"):
        for profile in page["inferenceProfileSummaries"]:
            of = profile["inferenceProfileId"].partition(".")[2]
            if of in names:
                by_name[names[of]].append(profile["inferenceProfileId"])
    return by_name


def plain(name: str) -> str:
    """A model's name without what the two APIs write differently: case, blanks, dashes, dots, editions."""
    return re.sub(r"[\s._-]+", "", _EDITION.sub("", name)).lower()


def fetch(pricing: Any, ids: Mapping[str, list[str]], region: str) -> Found:
    """The region's token prices. A price that is none, and a model that has two of one kind, are told and left out."""
    prices: dict[str, dict[tuple[str, str, bool], set[float]]] = {}
    found = Found()
    for offer in _offers(pricing, region):
        try:
            read = _read(offer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            found.told.append(f"an offer that cannot be read: {type(error).__name__}: {error}")
            continue
        if read is not None:
            name, kind, price = read
            prices.setdefault(name, {}).setdefault(kind, set()).add(price)
    for name, kinds in sorted(prices.items()):
        _add(found, name, kinds, ids.get(plain(name), []))
    return found


def _offers(pricing: Any, region: str) -> Iterator[dict[str, Any]]:
    filters = [{"Type": "TERM_MATCH", "Field": "regionCode", "Value": region}]
    for service in SERVICES:
        for page in pricing.get_paginator("get_products").paginate(ServiceCode=service, Filters=filters):
            yield from map(json.loads, page["PriceList"])


def _read(offer: Mapping[str, Any]) -> tuple[str, tuple[str, str, bool], float] | None:
    """Model name, (what is counted, tier, whether worldwide), USD per million; None for what is not paid by the token
    on demand."""
    attributes = offer["product"]["attributes"]
    name = attributes.get("model") or _EDITION.sub("", attributes.get("servicename", ""))
    usage = attributes.get("usagetype", "")
    words = " ".join((attributes.get("inferenceType") or usage, attributes.get("feature", ""),
                      attributes.get("service_tier") or attributes.get("serviceTier") or ""))
    counted = next((key for pattern, key in _COUNTED if pattern.search(attributes.get("inferenceType") or usage)), None)
    if not name or counted is None or _NOT_THESE.search(f"{words} {usage}"):
        return None
    tier = next((tier for tier in _TIERS if tier in f"{words} {usage}".lower()), "")
    for term in offer["terms"]["OnDemand"].values():
        for dimension in term["priceDimensions"].values():
            usd, factor = float(dimension["pricePerUnit"]["USD"]), _UNITS.get(dimension["unit"].lower(), 1.0)
            if usd > 0:
                return name, (counted, tier, "global" in f"{words} {usage}".lower()), usd * factor
    return None


def _add(found: Found, name: str, kinds: Mapping[tuple[str, str, bool], set[float]], ids: Iterable[str]) -> None:
    known = list(ids)
    if not known:
        found.told.append(f"{name}: Bedrock lists no model of that name here")
    for model in known:
        worldwide = model.startswith("global.")
        row: dict[str, Any] = {}
        for (counted, tier, everywhere), usd in sorted(kinds.items()):
            if everywhere is not worldwide:
                continue
            if len(usd) > 1:
                found.told.append(f"{model} has several prices of {counted}{f' ({tier})' if tier else ''}: "
                                  f"{', '.join(f'{one:g}' for one in sorted(usd))}")
                continue
            into = row.setdefault("tiers", {}).setdefault(tier, {}) if tier else row
            into[counted] = round(min(usd), 6)
        _without_halves(found, model, row)
        if "input" in row and "output" in row:
            found.rows[model] = row
        elif row:
            found.told.append(f"{model}: no price of {'output' if 'input' in row else 'input'} tokens")


def _without_halves(found: Found, model: str, row: dict[str, Any]) -> None:
    """Takes out the tiers that lack a price of input or of output, which the price table does not read."""
    tiers = row.pop("tiers", {})
    for tier, prices in tiers.items():
        lacking = [key for key in ("input", "output") if key not in prices]
        if lacking:
            found.told.append(f"{model}: tier {tier} has no price of {' and '.join(lacking)} tokens")
        else:
            row.setdefault("tiers", {})[tier] = prices
