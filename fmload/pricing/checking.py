"""What is wrong with a price table: rows that are old, rows that contradict each other, prices that a run lacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from fmload.pricing.resolve import Unpriced, resolve, terms_of
from fmload.pricing.table import PriceTable

ALIKE = 0.005  # relative: sources round
Rows = dict[tuple[str, ...], list[tuple[float, str, str]]]


def old(table: PriceTable, today: date, days: int) -> list[str]:
    """The groups whose date is more than so many days ago, a line each."""
    return [f"{_where(group)}: {len(group['prices'])} prices of {group['date']}, {group['source']}"
            for group in (*table.instances, *table.token_groups)
            if (today - date.fromisoformat(str(group["date"]))).days > days]


def contradictions(table: PriceTable) -> list[str]:
    """What two groups price differently, a line each: the first price is the one that is used."""
    lines = []
    for (kind, name, *where), found in _prices(table).items():
        used, date_, source = found[0]
        for usd, other_date, other in found[1:]:
            if abs(usd - used) > ALIKE * max(usd, used):
                lines.append(f"{name} ({', '.join([*where, kind])}): {used:g} of {date_} ({source}), {usd:g} of "
                             f"{other_date} ({other})")
    return lines


def missing(entries: Sequence[Mapping[str, Any]], region: str | None, table: PriceTable) -> list[str]:
    """The endpoints of a run file whose price is unknown, with the reason and the remedy."""
    found = ((entry["name"], resolve(terms_of(entry, region), table)) for entry in entries)
    return [f"endpoint '{name}': {price}" for name, price in found if isinstance(price, Unpriced)]


def _prices(table: PriceTable) -> Rows:
    """Every price by what it is of, in the order in which it is looked up: (USD, date, source)."""
    rows: Rows = defaultdict(list)
    for group in table.instances:
        for name, usd in group["prices"].items():
            key = ("USD/h", name, group["region"], group.get("purchase", "on_demand"))
            rows[key].append((float(usd), str(group["date"]), group["source"]))
    for group in table.token_groups:
        for name, row in group["prices"].items():
            for kind in ("input", "output", "cached_input", "cache_write"):
                if row.get(kind) is not None:
                    rows[kind, name, group.get("region") or "anywhere"].append(
                        (float(row[kind]), str(group["date"]), group["source"]))
    return rows


def _where(group: Mapping[str, Any]) -> str:
    return ", ".join(str(each) for each in (group.get("region") or "anywhere", group.get("purchase")) if each)
