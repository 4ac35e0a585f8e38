"""Text from outside made inert for what opens it: a terminal, a spreadsheet, a page that is made of Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmload.base.redaction import printable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_PICTURE = re.compile(r"!(?=\[)")


def row(cells: Mapping[str, Any]) -> dict[str, Any]:
    """The cells of a CSV row: texts that a spreadsheet would take for a formula begin with an apostrophe."""
    return {name: cell(value) for name, value in cells.items()}


def cell(value: Any) -> Any:
    """One cell of a CSV file; numbers, also those that are written as text, stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def markdown(text: str) -> str:
    """Text in which no HTML begins, no picture is loaded, and no control character is left."""
    return _PICTURE.sub(r"!\\", _TAG.sub("&lt;", printable(text)))
