"""Prices from the AWS Price List API, in the form of the price table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError

API_REGION = "us-east-1"  # the API is served there and in few other regions; it prices them all
SOURCE = "AWS Price List API"
_EC2 = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
        "licenseModel": "No License required"}
_SAGEMAKER = {"component": "Hosting"}
_RESERVED = {"LeaseContractLength": "1yr", "PurchaseOption": "No Upfront", "OfferingClass": "standard"}


def client() -> Any:
    """A boto3 client of the Price List API, by the usual credential chain."""
    import boto3

    return boto3.client("pricing", region_name=API_REGION)


def fetch(pricing: Any, instance_types: Iterable[str], region: str) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Prices by purchase option and instance type, and the types that are not sold there.

    Raises FmloadError when the API gives several prices for one type: none of them is then the right one.
    """
    prices: dict[str, dict[str, float]] = {"on_demand": {}, "reserved_1yr": {}}
    missing = []
    for instance_type in instance_types:
        offers = list(_offers(pricing, instance_type, region))
        for purchase, found in (("on_demand", set(_on_demand(offers))), ("reserved_1yr", set(_reserved(offers)))):
            if len(found) > 1:
                raise FmloadError(f"{instance_type} in {region} has several {purchase} prices: "
                                  f"{', '.join(f'{price:g}' for price in sorted(found))}",
                                  hint="give the right one in the run file: price: {hourly: …}")
            prices[purchase] |= dict.fromkeys([instance_type], found.pop()) if found else {}
        if instance_type not in prices["on_demand"]:
            missing.append(instance_type)
    return prices, missing


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


def as_table(prices: Mapping[str, Mapping[str, float]], region: str, today: date) -> dict[str, Any]:
    """The prices as a table that the run file's `prices` can name."""
    return {"schema": 1, "instances": [
        {"source": SOURCE, "date": today.isoformat(), "region": region, "purchase": purchase, "unit": "USD/hour",
         "prices": dict(sorted(found.items()))} for purchase, found in prices.items() if found]}


def write_table(path: Path, table: Mapping[str, Any]) -> None:
    """Writes the table as YAML."""
    path.write_text(yaml.safe_dump(table, sort_keys=False, allow_unicode=True))
