"""`--set endpoints[0].url=…`: values put over the run file's, before it is checked."""

from __future__ import annotations

import re
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import yaml_lines

Path = tuple[str | int, ...]
_KEY = re.compile(r"[^.\[\]=]+(\[[^\]]+\])*(\.[^.\[\]=]+(\[[^\]]+\])*)*")
_NUMBER = re.compile(r"\s*\d+(\.\d+)?\s*")
_PART = re.compile(r"[^.\[\]]+")


def split(text: str) -> tuple[Path, Any]:
    """`a.b[0].c=v` as a path and a value read as YAML. Raises FmloadError naming the `--set`."""
    match = _KEY.match(text)
    if not match or text[match.end():match.end() + 1] != "=":
        raise FmloadError(f"--set {text}: not of the form key=value", hint="for example --set load.window=30s")
    try:
        value = yaml_lines.parse(text[match.end() + 1:]).value
    except yaml_lines.SyntaxProblem as problem:
        raise FmloadError(f"--set {text}: {problem}", hint="put the value in quotes") from problem
    return tuple(int(part) if part.isdigit() else part for part in _PART.findall(match.group())), value


def apply(data: Any, path: Path, value: Any, text: str) -> Path:
    """Put `value` at `path` inside `data`; returns the path with names of list entries turned into positions.

    Lists may be given with commas between their values. Mappings on the way are made when they are absent; list
    entries must exist, by position or by their name.
    """
    place, real = data, list[str | int]()
    for part in path[:-1]:
        real.append(_inside(place, part, text))
        if isinstance(place, dict) and place.get(real[-1]) is None:
            place[real[-1]] = {}
        place = place[real[-1]]
    real.append(_inside(place, path[-1], text))
    before = place.get(real[-1]) if isinstance(place, dict) else None
    place[real[-1]] = _as_list(value) if isinstance(before, list) or _is_numbers(value) else value
    return tuple(real)


def _is_numbers(value: Any) -> bool:
    """Whether it is numbers with commas between, which YAML takes for a text: `1,2,4`."""
    return isinstance(value, str) and "," in value and all(_NUMBER.fullmatch(part) for part in value.split(","))


def _as_list(value: Any) -> Any:
    """A plain value, or several with commas between, as the list that stands there."""
    if isinstance(value, list | dict) or value is None:
        return value
    parts = value.split(",") if isinstance(value, str) else [value]
    return [yaml_lines.parse(part.strip()).value if isinstance(part, str) else part for part in parts]


def _inside(place: Any, part: str | int, text: str) -> str | int:
    if isinstance(place, dict):
        return str(part)
    if not isinstance(place, list):
        raise FmloadError(f"--set {text}: nothing can stand under '{part}': what is above it is a plain value")
    names = [one.get("name") if isinstance(one, dict) else None for one in place]
    index = names.index(part) if part in names else part
    if not isinstance(index, int) or index >= len(place):
        raise FmloadError(f"--set {text}: there is no entry [{part}]",
                          hint=f"there are {len(place)}, counted from [0]; an entry's name works too")
    return index
