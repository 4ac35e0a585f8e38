"""Prices from the AWS Price List API, in the form of the price table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import yaml

API_REGION = "us-east-1"  # the API is served there and in few other regions; it prices them all
SOURCE = "AWS Price List API"
SPOT = "EC2 spot price history, the highest of the region's zones"
_EC2 = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
        "licenseModel": "No License required"}
_SAGEMAKER = {"component": "Hosting"}
_RESERVED = {"LeaseContractLength": "1yr", "PurchaseOption": "No Upfront", "OfferingClass": "standard"}


def client() -> Any:
    """A boto3 client of the Price List API, by the usual credential chain."""
    import boto3

    return boto3.client("pricing", region_name=API_REGION)


@dataclass(slots=True)
class Fetched:
    """Prices by purchase option and instance type; the types that are not sold there; and what is wrong, in words."""

    prices: dict[str, dict[str, float]]
    missing: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def fetch(pricing: Any, instance_types: Iterable[str], region: str) -> Fetched:
    """Prices of instance types. One for which the API gives several, or none that can be read, is told and left out;
    the others are not the worse for it."""
    found = Fetched({"on_demand": {}, "reserved_1yr": {}})
    for instance_type in instance_types:
        offers = list(_offers(pricing, instance_type, region))
        try:
            read = {"on_demand": set(_on_demand(offers)), "reserved_1yr": set(_reserved(offers))}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            found.told.append(f"{instance_type} in {region} has a price that cannot be read: {type(error).__name__}: "
                              f"{error}")
            continue
        for purchase, usd in read.items():
            if len(usd) > 1:
                found.told.append(f"{instance_type} in {region} has several {purchase} prices: "
                                  f"{', '.join(f'{price:g}' for price in sorted(usd))}; give the right one in the run "
                                  "file: price: {hourly: …}")
            elif usd:
                found.prices[purchase][instance_type] = min(usd)
        if not read["on_demand"]:
            found.missing.append(instance_type)
    return found


def spot(ec2: Any, instance_types: Iterable[str], now: datetime) -> dict[str, float]:
    """The latest spot price (Linux) of each type: of a region's zones the highest, which is the least flattering."""
    found: dict[str, float] = {}
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=list(instance_types), ProductDescriptions=["Linux/UNIX"], StartTime=now)
    for page in pages:
        for one in page["SpotPriceHistory"]:
            name, usd = one["InstanceType"], float(one["SpotPrice"])
            found[name] = max(usd, found.get(name, 0.0))
    return found


def _offers(pricing: Any, instance_type: str, region: str) -> Iterator[dict[str, Any]]:
    if instance_type.startswith("ml."):
        service, fields = "AmazonSageMaker", {"instanceName": instance_type, **_SAGEMAKER}
    else:
        service, fields = "AmazonEC2", {"instanceType": instance_type, **_EC2}
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value}
               for name, value in {**fields, "regionCode": region}.items()]
    for page in pricing.get_paginator("get_products").paginate(ServiceCode=service, Filters=filters):
        yield from map(json.loads, page["PriceList"])


def _on_demand(offers: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    for offer in offers:
        for term in offer.get("terms", {}).get("OnDemand", {}).values():
            yield from _hourly(term)


def _reserved(offers: Iterable[Mapping[str, Any]]) -> Iterator[float]:
    for offer in offers:
        for term in offer.get("terms", {}).get("Reserved", {}).values():
            if all(term.get("termAttributes", {}).get(name) == value for name, value in _RESERVED.items()):
                yield from _hourly(term)


def _hourly(term: Mapping[str, Any]) -> Iterator[float]:
    for dimension in term["priceDimensions"].values():
        price = float(dimension["pricePerUnit"].get("USD", 0))
        if dimension["unit"].lower() in ("hrs", "hours") and price > 0:
            yield price


def as_table(prices: Mapping[str, Mapping[str, float]], region: str, today: date,
             tokens: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """The prices as a table that the run file's `prices` can name. Rows of worldwide profiles hold in every region."""
    instances = [{"source": SPOT if purchase == "spot" else SOURCE, "date": today.isoformat(), "region": region,
                  "purchase": purchase, "unit": "USD/hour", "prices": dict(sorted(found.items()))}
                 for purchase, found in prices.items() if found]
    here = {name: row for name, row in (tokens or {}).items() if not name.startswith("global.")}
    worldwide = {name: row for name, row in (tokens or {}).items() if name.startswith("global.")}
    groups = [{"source": SOURCE, "date": today.isoformat(), **where, "unit": "USD per 1M tokens", "prices": dict(rows)}
              for where, rows in (({"region": region}, here), ({}, worldwide)) if rows]
    return {"schema": 1, **({"instances": instances} if instances else {}), **({"tokens": groups} if groups else {})}


def write_table(path: Path, table: Mapping[str, Any]) -> None:
    """Writes the table as YAML."""
    path.write_text(yaml.safe_dump(table, sort_keys=False, allow_unicode=True))
