"""Another tool's file as text, JSON objects, CSV tables: whatever is wrong with it is an error that says where."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from fmload.base.errors import FmloadError, first_line
from fmload.base.text_encoding import utf16_of
from fmload_analysis.published.rows.packed import GZIP, unpacked

MAX_BYTES = 1 << 30
MAX_FIGURE = 1e15  # no figure of a load test is larger; instants in nanoseconds are not read as figures
_ABSENT = {"", "-", "n/a", "na", "none", "null", "nan", "**", "inf", "infinity", "-inf"}
_MARKUP = re.compile(r"<[^>]+>|\*\*|`")


@dataclass(frozen=True)
class Source:
    """A file and its content, parsed when it is asked for."""

    path: Path
    text: str
    _parsed: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def is_json(self) -> bool:
        """Whether the text means to be JSON, sound or not."""
        return self.text.lstrip()[:1] in ("{", "[")

    @cached_property
    def content(self) -> Any:
        """The JSON content; a list where there is one document a line. Raises FmloadError where it is spoilt."""
        if not self.is_json:
            raise FmloadError(f"{self.path} is not JSON", hint="leave --from out, or name the tool that wrote the file")
        try:
            return _parsed(self.text)
        except _Twice as error:
            raise FmloadError(f"{self.path}: {error}", hint="let the tool write the file again") from error
        except RecursionError as error:
            raise FmloadError(f"{self.path} is nested too deeply", hint="no tool writes such a file") from error
        except ValueError as error:
            return self._lines(error)

    def _lines(self, whole: ValueError) -> list[Any]:
        lines = [(number, line) for number, line in enumerate(self.text.split("\n"), 1) if line.strip()]
        found = []
        for number, line in lines:
            try:
                found.append(_parsed(line))
            except _Twice as error:
                raise FmloadError(f"{self.path}, line {number}: {error}",
                                  hint="let the tool write the file again") from error
            except (ValueError, RecursionError) as error:
                told = error if found and isinstance(error, json.JSONDecodeError) else whole
                at = number if found else getattr(whole, "lineno", number)
                raise FmloadError(
                    f"{self.path}, line {at}: {first_line(told)}: the file is cut off or no JSON",
                    hint="take the file from a copy, or let the tool write it again") from error
        return found

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects at the top: one, those of an array, or one a line; none where it is no JSON."""
        if not self.is_json:
            return []
        content = self.content
        if isinstance(content, dict):
            return [content]
        return [entry for entry in content if isinstance(entry, dict)]

    @cached_property
    def first(self) -> dict[str, Any]:
        """The first JSON object, or an empty one."""
        return self.objects[0] if self.objects else {}

    @cached_property
    def yaml(self) -> Any:
        """The YAML content. Raises FmloadError where it is none."""
        try:
            return yaml.load(self.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise FmloadError(f"{self.path} is not YAML: {first_line(error)}",
                              hint="take the file from a copy, or let the tool write it again") from error

    @cached_property
    def delimiter(self) -> str:
        """What divides the cells of a CSV: the most frequent of `,`, `;` and tab in its first line."""
        line = self.text.lstrip().partition("\n")[0]
        return max(",;\t", key=line.count)

    @cached_property
    def tables(self) -> list[list[list[str]]]:
        """The tables of a CSV, divided by empty lines, as rows of cells."""
        csv.field_size_limit(MAX_BYTES)
        found: list[list[list[str]]] = [[]]
        try:
            for row in csv.reader(self.text.splitlines(keepends=True), delimiter=self.delimiter):
                if any(cell.strip() for cell in row):
                    found[-1].append([cell.strip() for cell in row])
                elif found[-1]:
                    found.append([])
        except csv.Error as error:
            raise FmloadError(f"{self.path} is not CSV: {error}", hint="take the file from a copy") from error
        return [table for table in found if table]

    @property
    def comma_decimals(self) -> bool:
        """Whether numbers are written as 1.234,5, which only a CSV that is not divided by commas can have."""
        return self.delimiter != "," and not self.is_json and "|" not in self.text[:2000]


class _Twice(Exception):
    """A key of an object that stands twice."""


def _parsed(text: str) -> Any:
    """JSON in which no object holds a key twice: which of the two values counts, nobody could tell."""
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Twice(f"{twice!r} stands twice in one object, with {_shown(found[twice])} the last time")
    return found


def read_source(path: Path) -> Source:
    """The file as text: UTF-8 or UTF-16, with or without a byte-order mark; gzip and tar.gz unpacked.

    Raises FmloadError when it cannot be read, is empty, is no text, or is larger than 1 GiB.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise FmloadError(f"{path} has {size / 2**30:.1f} GiB; up to 1 GiB is read",
                              hint="give the tool's summary file in place of its records")
        data = path.read_bytes()
    except OSError as error:
        raise FmloadError(f"cannot read {path}: {error.strerror or error}",
                          hint="give a results folder, or a file of another tool's results") from error
    text = _decoded(path, unpacked(path, data, MAX_BYTES) if data[:2] == GZIP else data)
    if not text.strip():
        raise FmloadError(f"{path} is empty",
                          hint="the tool wrote no results into it; look for another file of the run")
    return Source(path, text)


def _decoded(path: Path, data: bytes) -> str:
    try:
        text = data.decode(utf16_of(data) or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise FmloadError(f"{path} is no text: {error.reason} at byte {error.start:,}",
                          hint="give the tool's JSON, CSV or Markdown file, unpacked") from error
    if "\x00" in text:
        raise FmloadError(f"{path} is no text: it holds zero bytes", hint="give the tool's JSON, CSV or Markdown file")
    return text


def plain(cell: str) -> str:
    """A cell without emphasis, code marks and HTML tags."""
    return _MARKUP.sub("", cell).strip()


def cell_number(cell: str, comma_decimals: bool = False) -> float | None:
    """A cell's number without markup, `$`, thousands separators and `%`; None where it holds none."""
    text = plain(cell).replace("$", "").replace("%", "").replace("\u00a0", "").strip()
    text = text.replace(".", "").replace(",", ".") if comma_decimals and "," in text else text.replace(",", "")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None


def cell_step(cell: str, comma_decimals: bool = False) -> float:
    """By how much the number of a cell may be off because it was rounded: half a unit of its last digit."""
    text = plain(cell)
    point = "," if comma_decimals and "," in text else "."
    digits = re.match(r"\d*", text.partition(point)[2])
    count = len(digits[0]) if digits and point in text else 0
    return 0.5 * 10.0 ** -count if count < 8 else 0.0


def json_number(value: Any, where: str) -> float | None:
    """A JSON value as a number: numbers, and numbers written as text; None for null, NaN, infinity and blanks.

    Raises FmloadError for what is no number, or too large to be a figure.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in _ABSENT):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise FmloadError(f"{where} holds {_shown(value)}, not a number", hint="let the tool write the file again")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise FmloadError(f"{where} holds {_shown(value)}, not a number",
                          hint="let the tool write the file again") from error
    if number != number or abs(number) == float("inf"):
        return None
    if abs(number) > MAX_FIGURE:
        raise FmloadError(f"{where} holds {number:g}: no figure of a load test is so large",
                          hint="let the tool write the file again")
    return number


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """The value as an object. Raises FmloadError when it is something else; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FmloadError(f"{where} holds {_shown(value)}, not an object", hint="let the tool write the file again")
    return value


def sequence(value: Any, where: str) -> Sequence[Any]:
    """The value as an array. Raises FmloadError when it is something else; null is an empty one."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FmloadError(f"{where} holds {_shown(value)}, not an array", hint="let the tool write the file again")
    return value


def numbers(value: Any, where: str) -> list[float]:
    """An array of numbers; null and NaN are left out."""
    found = (json_number(entry, f"{where}[{at}]") for at, entry in enumerate(sequence(value, where)))
    return [number for number in found if number is not None]


def _shown(value: Any) -> str:
    kinds = {dict: "an object", list: "an array", bool: str(value).lower()}
    text = kinds.get(type(value)) or repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"
