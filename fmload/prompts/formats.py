"""What files of prompts hold: rows of JSONL, JSON, CSV and Parquet, each with its place; a row that is none is an error
in its place, and reading goes on."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.text_encoding import save_as_utf8, utf16_of
from fmload.config.problems import shown

Values = dict[str, Any]
Read = Iterator[tuple[str, Values | FmloadError]]  # `file:line`, or `file: row 3` where there are no lines


def rows(content: bytes, suffix: str, name: str) -> Read:
    """The rows of a file of this kind; `name` is the file's in places and messages.

    Raises FmloadError for a file that cannot be read at all, or not any further.
    """
    reader = _READERS.get(suffix)
    if reader is None:
        raise FmloadError(f"{name}: '{suffix}' files cannot be read", hint=(
            f"name a file in it: {name}!inside.jsonl" if suffix == ".zip" else f"known: {', '.join(sorted(_READERS))}"))
    if not content.strip():
        raise FmloadError(f"{name}: the file is empty", hint="write it again, or leave it out")
    return ((where, values if isinstance(values, FmloadError) else _sendable(values, where))
            for where, values in reader(content, name))


def _sendable(values: Values, where: str) -> Values | FmloadError:
    """The values, when their texts can be sent: JSON's escapes can spell half a character, which none can hold."""
    for column, value in values.items():
        try:
            if isinstance(value, str):
                value.encode()
        except UnicodeEncodeError as error:
            return FmloadError(f"{where}: {column}: half of a surrogate pair (\\u{ord(value[error.start]):04x})",
                               hint="repair the text, or leave the row out")
    return values


def text(content: bytes, name: str) -> str:
    """The text of a file, without a byte-order mark. Raises FmloadError naming the line that is not UTF-8."""
    if kind := utf16_of(content):
        raise FmloadError(f"{name}:1: {kind} text", hint=save_as_utf8(kind))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise FmloadError(f"{name}:{line}: not UTF-8 text (byte 0x{error.object[error.start]:02x})",
                          hint="save the file as UTF-8; of Latin-1: iconv -f LATIN1 -t UTF-8 FILE") from error


def _jsonl(content: bytes, name: str) -> Read:
    for number, line in enumerate(text(content, name).split("\n"), start=1):  # a text may hold U+2028
        if line.strip():
            yield f"{name}:{number}", _object(line, f"{name}:{number}")


def _object(line: str, where: str) -> Values | FmloadError:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        return FmloadError(f"{where}: {_no_json(error)}",
                           hint="one JSON object a line; a list of objects is a .json file")
    return value if isinstance(value, dict) else _no_object(value, where)


def _no_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg} (character {error.colno})"
    return f"JSON that cannot be read: {error}"  # too deep, or a number of too many digits


def _no_object(value: Any, where: str) -> FmloadError:
    return FmloadError(f"{where}: not a JSON object: {shown(value)}", hint='for example {"prompt": "…"}')


def _json(content: bytes, name: str) -> Read:
    try:
        value = json.loads(text(content, name))
    except (ValueError, RecursionError) as error:
        remedy = "a file of one object a line is named .jsonl" if "Extra data" in str(error) else "is the file whole?"
        raise FmloadError(f"{name}:{getattr(error, 'lineno', 1)}: {_no_json(error)}", hint=remedy) from error
    if not isinstance(value, list):
        raise FmloadError(f"{name}: not a list of JSON objects, but {shown(value)}",
                          hint='write [{"prompt": "…"}, …], or one object a line in a .jsonl file')
    for number, one in enumerate(value, start=1):
        where = f"{name}: entry {number}"
        yield where, one if isinstance(one, dict) else _no_object(one, where)


def _csv(content: bytes, name: str) -> Read:
    # The module's own limit of 131,072 characters is below a long context; it holds for the whole process.
    csv.field_size_limit(max(csv.field_size_limit(), len(content) + 1))
    reader = csv.reader(io.StringIO(text(content, name), newline=""), strict=True)
    header: list[str] = []
    begin = 1  # the line on which the row begins: quoted texts may have several
    try:
        for cells in reader:
            if cells and not header:
                header = _header(cells, f"{name}:{begin}")
            elif cells:
                yield f"{name}:{begin}", _record(header, cells, f"{name}:{begin}")
            begin = reader.line_num + 1
    except csv.Error as error:
        raise FmloadError(f"{name}:{begin}: not CSV: {error}", hint=(
            'a text that holds a quote is quoted, each quote in it doubled: "say ""yes"""')) from error


def _header(cells: list[str], where: str) -> list[str]:
    twice = [name for name, times in Counter(cells).items() if times > 1]
    if twice:
        raise FmloadError(f"{where}: two columns are named '{twice[0]}'", hint="rename one of them")
    if len(cells) == 1 and (other := next((mark for mark in ";\t|" if mark in cells[0]), None)):
        raise FmloadError(f"{where}: one column, {shown(cells[0])}", hint=f"separate columns by ',', not by {other!r}")
    return cells


def _record(header: list[str], cells: list[str], where: str) -> Values | FmloadError:
    if len(cells) != len(header):
        return FmloadError(f"{where}: the row has not as many columns ({len(cells)}) as the first line ({len(header)})",
                           hint='a text with a comma or a line end is quoted: "first, second"')
    return dict(zip(header, cells, strict=True))


def _parquet(content: bytes, name: str) -> Read:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        values = parquet.read_table(pa.BufferReader(content)).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise FmloadError(f"{name}: not a Parquet file: {str(error).strip().rstrip('.')}",
                          hint="is the file whole?") from error
    return ((f"{name}: row {number}", row) for number, row in enumerate(values, start=1))


_READERS: dict[str, Callable[[bytes, str], Read]] = {
    ".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet,
}
