"""What is wrong in a price table's file: nothing in it may be misread as another price, or be passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import yaml

SCHEMA = 1
UNITS = {"instances": "USD/hour", "tokens": "USD per 1M tokens"}
TOKENS = ("input", "output", "cached_input", "cache_write", "cache_write_1h")
_TABLE = {"schema", *UNITS}
_GROUP = {"source", "date", "region", "purchase", "unit", "note", "prices"}
_NESTED = ("tiers", "latency", "above")


def problems(table: Mapping[str, Any]) -> Iterator[str]:
    """Everything that is wrong, a line each."""
    if table.get("schema", SCHEMA) != SCHEMA:
        yield f"schema {table['schema']} is of another version of fmload, which reads {SCHEMA}"
    yield from _strange("", table, _TABLE)
    for kind in UNITS:
        groups = table.get(kind) or ()
        if not isinstance(groups, list | tuple):
            yield f"{kind} is no list of groups"
            continue
        for position, group in enumerate(groups):
            yield from _group(f"{kind}[{position}]", kind, group)


def repeated(text: str) -> Iterator[str]:
    """Names that one mapping has twice, of which YAML keeps the last without a word. Raises yaml.YAMLError."""
    nodes = [yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
            for place, (name, value) in enumerate(node.value):
                nodes.append(value)
                if isinstance(name, yaml.ScalarNode) and name.value in names[:place]:
                    yield f"line {name.start_mark.line + 1}: '{name.value}' stands there twice"


def _group(where: str, kind: str, group: Any) -> Iterator[str]:
    needed = ("source", "date", "prices", *(["region"] if kind == "instances" else []))
    missing = [key for key in needed if not isinstance(group, Mapping) or group.get(key) is None]
    if missing:
        yield f"{where} lacks {', '.join(missing)}"
        return
    yield from _strange(where, group, _GROUP)
    if not _is_date(group["date"]):
        yield f"{where}: date '{group['date']}' is no date; write 2026-11-20"
    if group.get("unit") not in (None, UNITS[kind]):
        yield f"{where}: unit '{group['unit']}' is not read; give the prices in {UNITS[kind]}"
    for key in ("source", "region", "purchase", "note"):
        if not isinstance(group.get(key), str | None):
            yield f"{where}: {key} '{group[key]}' is no text"
    if not isinstance(group["prices"], Mapping):
        yield f"{where}: prices is no mapping of names to prices"
        return
    for name, price in group["prices"].items():
        if kind == "tokens":
            yield from _row(f"{where}: {name}", price)
        elif not _is_price(price):
            yield f"{where}: {name}: '{price}' is no price"


def _row(where: str, row: Any, nested: tuple[str, ...] = _NESTED) -> Iterator[str]:
    if not isinstance(row, Mapping):
        yield f"{where}: '{row}' is no price"
        return
    yield from _strange(where, row, {*TOKENS, "note", *nested})
    for key in TOKENS:
        if row.get(key) is not None and not _is_price(row[key]):
            yield f"{where}: {key}: '{row[key]}' is no price"
        elif row.get(key) is None and key in ("input", "output"):
            yield f"{where} lacks {key}"
    for key in nested:
        inner = row.get(key) or {}
        if not isinstance(inner, Mapping):
            yield f"{where}: {key} is no mapping of names to prices"
            continue
        for name, prices in inner.items():
            if key == "above" and not (isinstance(name, int) and name > 0):
                yield f"{where}: above: '{name}' is no number of tokens"
            yield from _row(f"{where}: {key}: {name}", prices, _NESTED if key == "tiers" else ())


def _strange(where: str, given: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for key in given:
        if key not in known:
            yield f"{where + ': ' if where else ''}'{key}' is not known; known are {', '.join(sorted(known))}"


def _is_price(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_date(value: Any) -> bool:
    try:
        return date.fromisoformat(str(value)) is not None
    except ValueError:
        return False
