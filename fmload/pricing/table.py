"""The price table: dated groups of prices, each with region, source and unit; a user's own table goes before ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError
from fmload.base.resources import read_yaml, resource, table
from fmload.pricing.validity import problems, repeated

DEFAULT_REGION = "us-east-1"
DEFAULT_TIERS = (None, "default", "standard")


@dataclass(frozen=True, slots=True)
class Quote:
    """USD per hour and instance (for provisioned throughput: per hour and model unit)."""

    usd: float
    instance_type: str
    region: str
    purchase: str
    date: str
    source: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """USD per million tokens of a request with more than `above` input tokens. None: no price of its own is known."""

    input_per_1m: float
    output_per_1m: float
    cached_input_per_1m: float | None = None
    cache_write_per_1m: float | None = None  # kept for five minutes
    cache_write_1h_per_1m: float | None = None
    above: int = 0


@dataclass(frozen=True, slots=True)
class TokenQuote:
    """Token prices of one model in one region (None: wherever it is called) and tier, by the length of the input."""

    model: str
    rates: tuple[Rates, ...]  # by `above`, ascending; the first one has 0
    tier: str | None
    region: str | None
    date: str
    source: str
    note: str | None = None

    @property
    def input_per_1m(self) -> float:
        return self.rates[0].input_per_1m

    @property
    def output_per_1m(self) -> float:
        return self.rates[0].output_per_1m

    @property
    def cached_input_per_1m(self) -> float | None:
        return self.rates[0].cached_input_per_1m


class PriceTable:
    """Groups as they stand in the files; earlier groups win."""

    def __init__(self, instances: Iterable[dict[str, Any]] = (), token_groups: Iterable[dict[str, Any]] = (),
                 behind: Callable[[], Mapping[str, Any]] = dict) -> None:
        """`behind` reads a file whose groups go behind these; it is called when a price is first looked for."""
        self._instances, self._token_groups, self._behind = tuple(instances), tuple(token_groups), behind

    @cached_property
    def instances(self) -> tuple[dict[str, Any], ...]:
        """Of prices by the hour."""
        return (*self._instances, *(self._behind().get("instances") or ()))

    @cached_property
    def token_groups(self) -> tuple[dict[str, Any], ...]:
        """Of prices by the token."""
        return (*self._token_groups, *(self._behind().get("tokens") or ()))

    def hourly(self, instance_type: str, region: str | None = None, purchase: str = "on_demand") -> Quote | None:
        """The price of an instance type in a region; None when no group holds it. Never another region's price.

        Of several groups that hold one the first wins.
        """
        where = region or DEFAULT_REGION
        found = [group for group in self.instances if group["region"] == where
                 and group.get("purchase", "on_demand") == purchase and instance_type in group["prices"]]
        if not found:
            return None
        note = found[0].get("note") if region else _join(found[0].get("note"), f"no region given: {where}")
        return _quote(found[0], instance_type, note)

    def tokens(self, model: str, tier: str | None = None, region: str | None = None,
               latency: str | None = None) -> TokenQuote | None:
        """Token prices of a model id or inference profile in a region; None when no group holds them.

        A group without a region holds wherever the model is called from. No price of another region, profile, tier or
        latency mode stands in for one that is not there.
        """
        where = region or DEFAULT_REGION
        for group in self.token_groups:
            entry = group["prices"].get(model)
            if entry is not None and group.get("region") in (None, where):
                rates = _rates(_variant(entry, tier, latency))
                note = group.get("note")
                if group.get("region") and not region:
                    note = _join(note, f"no region given: {where}")
                return TokenQuote(model, rates, tier, group.get("region"), str(group["date"]), group["source"],
                                  _join(note, entry.get("note"))) if rates else None
        return None

    def regions_of(self, name: str, purchase: str | None = None) -> list[str]:
        """The regions in which an instance type or a model has a price, in the order of the table."""
        groups = [group for group in self.instances if purchase in (None, group.get("purchase", "on_demand"))]
        return list(dict.fromkeys(group["region"] for group in (*groups, *self.token_groups)
                                  if name in group["prices"] and group.get("region")))

    def purchases_of(self, instance_type: str) -> list[str]:
        """The purchase options that an instance type has prices for, in any region."""
        return list(dict.fromkeys(group.get("purchase", "on_demand") for group in self.instances
                                  if instance_type in group["prices"]))

    def tiers_of(self, model: str) -> list[str]:
        """The service tiers, beside the default one, that a model has prices for."""
        return list(dict.fromkeys(tier for group in self.token_groups
                                  for tier in (group["prices"].get(model) or {}).get("tiers") or ()))

    def __iter__(self) -> Iterator[Quote]:
        """All hourly prices."""
        for group in self.instances:
            for name in sorted(group["prices"]):
                yield _quote(group, name, group.get("note"))


def _quote(group: Mapping[str, Any], name: str, note: str | None) -> Quote:
    return Quote(float(group["prices"][name]), name, group["region"], group.get("purchase", "on_demand"),
                 str(group["date"]), group["source"], note)


def _variant(entry: Mapping[str, Any], tier: str | None, latency: str | None) -> Mapping[str, Any] | None:
    """The row's prices in a tier and latency mode; None when it has none."""
    prices = entry if tier in DEFAULT_TIERS else (entry.get("tiers") or {}).get(tier)
    if prices is not None and latency not in (None, "standard"):
        prices = (prices.get("latency") or {}).get(latency)
    return prices


_KEYS = {"input": "input_per_1m", "output": "output_per_1m", "cached_input": "cached_input_per_1m",
         "cache_write": "cache_write_per_1m", "cache_write_1h": "cache_write_1h_per_1m"}


def _rates(prices: Mapping[str, Any] | None) -> tuple[Rates, ...]:
    """The row's rates, those of long inputs behind; empty when input or output has no price."""
    if prices is None or "input" not in prices or "output" not in prices:
        return ()
    steps = [(0, prices), *sorted((prices.get("above") or {}).items())]
    return tuple(Rates(**{field: float(row[key]) for key, field in _KEYS.items() if row.get(key) is not None},
                       above=int(above)) for above, row in steps)


def _join(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None


def load_prices(own: Path | None = None) -> PriceTable:
    """The table that ships with the project, with the groups of the user's own file before it.

    Raises FmloadError for a file that is not such a table.
    """
    given = read_table(own) if own else {}
    return PriceTable(given.get("instances") or (), given.get("tokens") or (), _shipped)


@cache
def _shipped() -> dict[str, Any]:
    return dict(read_yaml(resource("configs", "prices.yml")))  # that nothing is wrong in it is tested


def read_table(path: Path) -> dict[str, Any]:
    """One price table file. Raises FmloadError that names everything that is wrong in it."""
    try:
        table = read_yaml(path)
        twice = list(repeated(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FmloadError(f"cannot read the price table {path}: {error}") from error
    if not isinstance(table, dict):
        raise FmloadError(f"{path} is not a price table", hint="'fmload help cost' shows its form")
    wrong = [f"{path}: {problem}" for problem in (*problems(table), *twice)]
    if wrong:
        raise FmloadError("\n".join(wrong), hint="every group of prices names its source, date and region, and its "
                                                 "prices are numbers of USD; 'fmload help cost' shows it")
    return table


def accelerators_of(instance_type: str | None) -> int | None:
    """Accelerators in an instance type (`ml.` types as their EC2 kin); None when it is not in the table."""
    entry = table("accelerators.yml")["instances"].get(instance_type.removeprefix("ml.")) if instance_type else None
    return None if entry is None else int(entry["count"])
