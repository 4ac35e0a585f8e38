"""From pydantic's findings to sentences that name the place, the value and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.base.registry import did_you_mean

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: `where` is `file:line` or the `--set` that brought it, `key` the path of the key."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key}: {self.message}" if self.key else f"{self.where}: {self.message}"


class RunFileError(FmloadError):
    """A run file that cannot be used, with all its problems."""

    def __init__(self, problems: list[Problem], hint: str | None = None) -> None:
        count = f"{len(problems)} problems\n" if len(problems) > 1 else ""
        super().__init__(count + "\n".join(map(str, problems)), hint)
        self.problems = problems


def written(path: Path) -> str:
    """`endpoints[0].parameters` for `("endpoints", 0, "parameters")`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def shown(value: Any) -> str:
    """The value as it stands in YAML, cut short."""
    text = {None: "null", True: "true", False: "false"}.get(value) if isinstance(value, bool | None) else None
    text = text or (repr(value) if not isinstance(value, dict | list) else
                    "a mapping" if isinstance(value, dict) else "a list")
    return text if len(text) <= 60 else text[:57] + "..."


def findings(error: ValidationError, data: Any) -> list[tuple[Path, str]]:
    """(path, message) of each finding; the wrong types of one union are one finding, and none where the value is of a
    type that the union takes, and something else is wrong with it."""
    wrong_types: dict[Path, list[Any]] = {}
    found: list[tuple[Path, str]] = []
    for line in error.errors(include_url=False):
        path = _real_path(line["loc"], data, missing=line["type"] == "missing")
        if line["type"] in _WANTED:
            wrong_types.setdefault(path, []).append(line)
        else:
            found.append((path, _message(line["type"], line["msg"], line["input"], line.get("ctx", {}), path)))
    explained = [path for path, _ in found] + [path[:-1] for path in wrong_types if path]
    found += [(path, _type_message(lines)) for path, lines in wrong_types.items()
              if not any(other[:len(path)] == path for other in explained)]
    return list(dict.fromkeys(found))


def _type_message(lines: list[Any]) -> str:
    kind, value = lines[0]["type"], lines[0]["input"]
    wanted = " or ".join(dict.fromkeys(_WANTED[line["type"]] for line in lines))
    return f"must be {wanted}, not {shown(value)}{_quoting(kind, value) if len(lines) == 1 else ''}"


def _real_path(loc: tuple[int | str, ...], data: Any, missing: bool) -> Path:
    """The location without pydantic's own marks for unions and keys; a missing key's name is kept."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        inside = part in data if isinstance(data, Mapping) else (
            isinstance(data, list) and isinstance(part, int) and part < len(data))
        if inside:
            path.append(part)
            data = data[part]
        elif missing and index == len(loc) - 1:
            path.append(part)
    return tuple(path)


def _message(kind: str, said: str, value: Any, context: Mapping[str, Any], path: Path) -> str:
    name = path[-1] if path else "the run file"
    if kind == "missing":
        return f"is missing; add '{name}'"
    if kind == "extra_forbidden":
        known = sorted(context.get("known", []))
        remedy = did_you_mean(str(name), known) or (f"; known here: {', '.join(known)}" if known else "; remove it")
        return f"unknown key '{name}'{remedy}"
    if kind in ("value_error", "assertion_error"):
        return str(context.get("error", said))
    if kind == "literal_error":
        return f"{shown(value)} is not one of {context.get('expected')}"
    if kind in _BOUNDS:
        word, key = _BOUNDS[kind]
        return f"must be {word} {context.get(key)}, not {shown(value)}"
    if kind == "too_short":
        least = context.get("min_length")
        return f"needs at least {least} {'entry' if least == 1 else 'entries'}; it has {context.get('actual_length')}"
    if kind == "string_pattern_mismatch":
        return f"{shown(value)} may hold only letters, digits, '.', '_' and '-', and begins with a letter or digit"
    return said if kind == "rule" else f"{said[0].lower()}{said[1:]}, not {shown(value)}"


def _quoting(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, int | float):
        return f"; put it in quotes: '{shown(value)}'"
    if kind in ("int_type", "float_type") and isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return "; take the quotes away"
    return f"; write it as [{shown(value)}]" if kind == "list_type" and not isinstance(value, dict) else ""


_WANTED = {
    "string_type": "text", "int_type": "a whole number", "int_from_float": "a whole number", "float_type": "a number",
    "bool_type": "true or false", "list_type": "a list", "dict_type": "a mapping", "model_type": "a mapping",
    "model_attributes_type": "a mapping", "tuple_type": "a list", "none_required": "null", "mapping_type": "a mapping",
}
_BOUNDS = {
    "greater_than": ("above", "gt"), "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"), "less_than_equal": ("at most", "le"),
}
