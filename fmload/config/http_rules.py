"""What can stand in a request: header names, header values, addresses. Each rule gives a sentence, or None."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config import limits
from fmload.config.proxies import DIRECT
from fmload.config.secrets import without_references
from fmload.wire.url import split_proxy, split_url

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNFIT = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")
_FRAMING = ("content-length", "transfer-encoding")


def wrong_headers(headers: Mapping[Any, Any]) -> Iterator[tuple[Any, str]]:
    """(name, what is wrong) of every header that no request can carry."""
    if len(headers) > limits.HEADERS:
        yield next(iter(headers)), f"{len(headers)} headers; {limits.HEADERS} are the most"
    for name, value in headers.items():
        if wrong := wrong_name(name) or wrong_value(value):
            yield name, wrong


def wrong_name(name: object) -> str | None:
    """Of a header's name; None also for what is no text, which is told elsewhere."""
    if not isinstance(name, str):
        return None
    if not _NAME.fullmatch(name):
        return f"{name[:40]!r} is no name of a header; letters, digits and '-' make one"
    if name.lower() in _FRAMING:
        return f"{name} is set by the client itself, from the body; leave it out"
    return None


def wrong_value(value: object) -> str | None:
    """Of a header's value."""
    if not isinstance(value, str):
        return None
    if len(value) > limits.HEADER_CHARACTERS:
        return f"a value of {len(value):,} characters; {limits.HEADER_CHARACTERS:,} are the most"
    if unfit := _UNFIT.search(value):
        kind = "a line break" if unfit[0] in "\r\n" else f"{unfit[0]!a}"
        return f"holds {kind}, which no header can carry; take it out, or encode the value (base64, %-escapes)"
    return None


def wrong_proxy(url: object) -> str | None:
    """Of an endpoint's proxy."""
    if not isinstance(url, str) or url == DIRECT:
        return None
    try:
        split_proxy(without_references(url))
    except FmloadError as error:
        return f"{error.message}; {error.hint}"
    return None


def wrong_url(url: object) -> str | None:
    """Of an endpoint's address."""
    if not isinstance(url, str):
        return None
    try:
        split_url(without_references(url))
    except FmloadError as error:
        return error.message if error.hint is None else f"{error.message}; {error.hint}"
    return None
