"""Bodies of multipart/form-data: fields, and one file. Pure."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import orjson


class Multipart:
    """Writes bodies with one boundary, which no sound holds but by a chance of 2⁻¹²⁸."""

    def __init__(self) -> None:
        self._boundary = f"fmload-{secrets.token_hex(16)}"

    @property
    def content_type(self) -> str:
        """The header of the requests."""
        return f"multipart/form-data; boundary={self._boundary}"

    def body(self, fields: Mapping[str, Any], name: str, filename: str, kind: str, content: bytes) -> bytes:
        """The fields, then the file: servers that read it as it comes know what to do with it then."""
        parts = [self._part(f'name="{_quoted(field)}"', text.encode()) for field, text in _texts(fields)]
        head = f'--{self._boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{_quoted(filename)}"' \
               f"\r\nContent-Type: {kind}\r\n\r\n"
        return b"".join([*parts, head.encode(), content, f"\r\n--{self._boundary}--\r\n".encode()])

    def _part(self, disposition: str, content: bytes) -> bytes:
        head = f"--{self._boundary}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
        return head.encode() + content + b"\r\n"


def _texts(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and texts of fields: a list is a field an entry (`name[]`), None is left out."""
    for name, value in fields.items():
        if isinstance(value, list | tuple):
            yield from ((name if name.endswith("[]") else f"{name}[]", _text(one)) for one in value)
        elif value is not None:
            yield name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode() if isinstance(value, Mapping | list) else str(value)


def _quoted(name: str) -> str:
    """As browsers write names: what would end them is escaped."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
