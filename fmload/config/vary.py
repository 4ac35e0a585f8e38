"""Candidates of an endpoint: what `vary`, `exclude` and `require` of its entry say, over plain values. Pure.

A key of `vary` is a path into the entry (`deploy.instance_type`), or a word that stands as `{word}` in its texts. Its
values are a list; or a mapping from a name to the keys that this value changes together. The first of each is the
default.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fmload.base.registry import did_you_mean

KEYS = ("vary", "exclude", "require")
MOST = 4096  # candidates of one endpoint

Entry = Mapping[str, Any]
Settings = dict[str, Any]  # key of `vary` to one of its values, or to the name of one


def values_of(vary: Entry, key: str) -> list[Any]:
    """The values of a key as rules name them: the values themselves, or their names."""
    given = vary[key]
    return list(given)


def count(vary: Entry) -> int:
    """Combinations of all values, before any rule."""
    return math.prod(len(values_of(vary, key)) for key in vary)


def combinations(entry: Entry) -> Iterator[tuple[int, Settings]]:
    """The candidates that the rules leave, numbered by their place among all combinations; the last key of `vary`
    changes fastest."""
    vary = entry.get("vary") or {}
    for number, values in enumerate(itertools.product(*(values_of(vary, key) for key in vary))):
        settings = dict(zip(vary, values, strict=True))
        if allowed(settings, entry):
            yield number, settings


def allowed(settings: Settings, entry: Entry) -> bool:
    """No rule of `exclude` holds for it, and where the `when` of a rule of `require` does, its `then` does. Rules
    without their form, which are refused elsewhere, say nothing."""
    if any(holds(rule, settings) for rule in entry.get("exclude") or () if isinstance(rule, Mapping)):
        return False
    return all(holds(rule["then"], settings) for rule in entry.get("require") or () if _is_rule(rule)
               and holds(rule["when"], settings))


def _is_rule(rule: Any) -> bool:
    return isinstance(rule, Mapping) and all(isinstance(rule.get(part), Mapping) for part in ("when", "then"))


def holds(rule: Entry, settings: Settings) -> bool:
    """Whether every key has the value, or one of the list of values, that the rule names."""
    return all(settings.get(key) in (wanted if isinstance(wanted, list) else [wanted]) for key, wanted in rule.items())


def filled(entry: Entry, settings: Settings) -> dict[str, Any]:
    """The entry of one candidate: its keys set, its `{words}` replaced, without the keys that made it."""
    made = copy.deepcopy({key: value for key, value in entry.items() if key not in KEYS})
    vary = entry.get("vary") or {}
    words = {}
    for key, value in settings.items():
        changes = vary[key][value] if isinstance(vary[key], Mapping) else {key: value}
        for path, changed in changes.items():
            if _is_word(path, made):
                words[path] = changed
            else:
                _put(made, path.split("."), changed)
    return {key: _replaced(value, words) for key, value in made.items()}


def with_first_values(entry: Any, known: Collection[str]) -> Any:
    """The entry with the first value of every path in its place, so that it is a whole endpoint; its words stay. Paths
    that begin with no `known` key are left out, and what has no such form is returned as it is: refused elsewhere."""
    if not isinstance(entry, Mapping) or not is_formed(entry.get("vary")):
        return entry
    made = copy.deepcopy(dict(entry))
    for key, values in entry["vary"].items():
        first = next(iter(values))
        changes = values[first] if isinstance(values, Mapping) else {key: first}
        for path, value in changes.items():
            if not _is_word(path, made) and path.partition(".")[0] in known:
                _put(made, path.split("."), value)
    return made


def is_formed(vary: Any) -> bool:
    """Whether it is a mapping of texts to lists, or mappings of mappings, of which none is empty."""
    return isinstance(vary, Mapping) and bool(vary) and all(isinstance(key, str) and key and (
        (isinstance(values, list) and values) or (isinstance(values, Mapping) and values and all(
            isinstance(one, Mapping) and all(isinstance(path, str) and path for path in one)
            for one in values.values()))) for key, values in vary.items())


def broken(entry: Entry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """(path, what is wrong) of rules that name what `vary` does not have, of too many candidates, and of none."""
    vary = entry.get("vary")
    for key in ("exclude", "require"):
        if entry.get(key) and not vary:
            yield (key,), "goes with vary"
    if not is_formed(vary):
        empty = [key for key, values in vary.items() if values in ([], {})] if isinstance(vary, Mapping) else []
        yield from ((("vary", key), "needs at least one value") for key in empty)
        return
    assert isinstance(vary, Mapping)
    wrong = list(_wrong_rules(entry, vary))
    yield from wrong
    if (number := count(vary)) > MOST:
        yield ("vary",), f"{number:,} combinations; {MOST:,} are the most: take fewer values"
    elif not wrong and next(combinations(entry), None) is None:
        yield ("exclude" if entry.get("exclude") else "require",), "leaves no candidate; take a rule out"


def _wrong_rules(entry: Entry, vary: Entry) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for place, rule in enumerate(entry.get("exclude") or ()):
        yield from ((("exclude", place, key), why) for key, why in _wrong(rule, vary))
    for place, rule in enumerate(entry.get("require") or ()):
        for part in ("when", "then"):
            wanted = rule.get(part) if isinstance(rule, Mapping) else None
            yield from ((("require", place, part, key), why) for key, why in _wrong(wanted, vary))


def _wrong(rule: Any, vary: Entry) -> Iterator[tuple[str, str]]:
    for key, wanted in rule.items() if isinstance(rule, Mapping) else ():
        if key not in vary:
            yield key, f"vary has no such key{did_you_mean(str(key), list(vary))}"
            continue
        known = values_of(vary, key)
        for value in wanted if isinstance(wanted, list) else [wanted]:
            if value not in known:
                yield key, f"{value!r} is none of its values: {', '.join(map(str, known))}"


def _is_word(path: str, entry: Any) -> bool:
    """Whether `{path}` stands in a text of the entry."""
    if isinstance(entry, Mapping):
        return any(_is_word(path, value) for key, value in entry.items() if key not in KEYS)
    if isinstance(entry, list):
        return any(_is_word(path, value) for value in entry)
    return isinstance(entry, str) and f"{{{path}}}" in entry


def _put(place: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        below = place.get(part)
        place[part] = below = dict(below) if isinstance(below, Mapping) else {}
        place = below
    place[path[-1]] = copy.deepcopy(value)


def _replaced(value: Any, words: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _replaced(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [part for item in value for part in _spliced(item, words)]
    return _text(value, words) if isinstance(value, str) else value


def _spliced(item: Any, words: Mapping[str, Any]) -> list[Any]:
    """An element of a list that is nothing but `{word}` becomes as many elements as the value is a list of."""
    if isinstance(item, str) and item[:1] == "{" and item[-1:] == "}" and isinstance(words.get(item[1:-1]), list):
        return [_shown(part) for part in words[item[1:-1]]]
    return [_replaced(item, words)]


def _text(text: str, words: Mapping[str, Any]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", " ".join(map(_shown, value)) if isinstance(value, list) else _shown(value))
    return text


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
