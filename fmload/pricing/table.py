"""The price table: dated groups of prices, each with region, source and unit; a user's own table goes before ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError
from fmload.base.resources import read_yaml, resource, table

DEFAULT_REGION = "us-east-1"
# Inference profiles name a geography before the model; global profiles are sold at list price.
_PROFILES = ("global.", "us.", "eu.", "apac.", "jp.", "au.", "us-gov.")


@dataclass(frozen=True, slots=True)
class Quote:
    """USD per hour and instance."""

    usd: float
    instance_type: str
    region: str
    purchase: str
    date: str
    source: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TokenQuote:
    """USD per million tokens."""

    model: str
    input_per_1m: float
    output_per_1m: float
    cached_input_per_1m: float | None
    tier: str | None
    date: str
    source: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Groups as they stand in the files; earlier groups win."""

    instances: tuple[dict[str, Any], ...] = ()
    token_groups: tuple[dict[str, Any], ...] = ()

    def hourly(self, instance_type: str, region: str | None = None, purchase: str = "on_demand") -> Quote | None:
        """The price of an instance type in a region; None when no group holds it. Never another region's price."""
        where = region or DEFAULT_REGION
        for group in self.instances:
            price = group["prices"].get(instance_type)
            if price is not None and group["region"] == where and group.get("purchase", "on_demand") == purchase:
                note = group.get("note") if region else _join(group.get("note"), f"no region given: {where}")
                return Quote(float(price), instance_type, where, purchase, str(group["date"]), group["source"], note)
        return None

    def tokens(self, model: str, tier: str | None = None) -> TokenQuote | None:
        """Token prices of a model id, of its inference profile, else of the model that the profile names."""
        for name in _model_names(model):
            for group in self.token_groups:
                entry = group["prices"].get(name)
                if entry is not None:
                    return _token_quote(name, entry, tier, group)
        return None

    def __iter__(self) -> Iterator[Quote]:
        """All hourly prices."""
        for group in self.instances:
            for name, price in sorted(group["prices"].items()):
                yield Quote(float(price), name, group["region"], group.get("purchase", "on_demand"),
                            str(group["date"]), group["source"], group.get("note"))


def _model_names(model: str) -> list[str]:
    for profile in _PROFILES:
        if model.startswith(profile):
            return [model, model.removeprefix(profile)]
    return [model]


def _token_quote(name: str, entry: dict[str, Any], tier: str | None, group: dict[str, Any]) -> TokenQuote | None:
    prices = entry if tier in (None, "default", "standard") else (entry.get("tiers") or {}).get(tier)
    if prices is None or "input" not in prices or "output" not in prices:
        return None
    return TokenQuote(name, float(prices["input"]), float(prices["output"]), prices.get("cached_input"), tier,
                      str(group["date"]), group["source"], group.get("note"))


def _join(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None


def load_prices(own: Path | None = None) -> PriceTable:
    """The table that ships with the project, with the groups of the user's own file before it.

    Raises FmloadError for a file that is not such a table.
    """
    tables = [*([_read(own)] if own else []), _shipped()]
    return PriceTable(tuple(group for table in tables for group in table.get("instances") or ()),
                      tuple(group for table in tables for group in table.get("tokens") or ()))


@cache
def _shipped() -> dict[str, Any]:
    return _read(resource("configs", "prices.yml"))


def _read(path: Path) -> dict[str, Any]:
    try:
        table = read_yaml(path)
    except (OSError, yaml.YAMLError) as error:
        raise FmloadError(f"cannot read the price table {path}: {error}") from error
    if not isinstance(table, dict):
        raise FmloadError(f"{path} is not a price table", hint="'fmload help cost' shows its form")
    for kind in ("instances", "tokens"):
        for position, group in enumerate(table.get(kind) or ()):
            missing = [key for key in ("source", "date", "prices", *(["region"] if kind == "instances" else []))
                       if not isinstance(group, dict) or key not in group]
            if missing:
                raise FmloadError(f"{path}: {kind}[{position}] lacks {', '.join(missing)}",
                                  hint="every group of prices names its source, date and region")
    return table


def accelerators_of(instance_type: str | None) -> int | None:
    """Accelerators in an instance type (`ml.` types as their EC2 kin); None when it is not in the table."""
    entry = table("accelerators.yml")["instances"].get(instance_type.removeprefix("ml.")) if instance_type else None
    return None if entry is None else int(entry["count"])
