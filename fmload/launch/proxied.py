"""One request before the load through a proxy, as those of the load go: urllib speaks to HTTP proxies alone."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from io import BytesIO
from urllib.error import HTTPError

from fmload.wire.exchange import Exchange, HttpRequest, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.url import Way, split_url, with_query


class Redirected(ValueError):
    """The server names another address, at which the load would not ask."""

    def __init__(self, to: str) -> None:
        super().__init__(f"it redirects to {to}, and redirects are not followed under load")


def fetch(url: str, way: Way, headers: Mapping[str, str], limit_s: float, body: bytes | None = None) -> bytes:
    """The answer to a GET, or with a `body` to a POST.

    Raises what urllib does: HTTPError for a status that is none of success, else OSError (TimeoutError at the limit);
    Redirected; FmloadError for a `way` whose proxy is none.
    """
    address, path, query = split_url(url, way)
    wire = Http1Wire(Timeouts(limit_s, limit_s, limit_s, limit_s))
    try:
        request = HttpRequest("GET" if body is None else "POST", with_query(path, query), headers, body or b"")
        return _answer(url, wire.exchange(address, request, bool))
    finally:
        wire.close()


def _answer(url: str, exchange: Exchange) -> bytes:
    if failure := exchange.failure:
        raise (TimeoutError if failure.outcome.startswith("timeout") else OSError)(failure.message)
    if not exchange.complete:
        raise OSError("the connection was closed in the middle of its answer")
    status = exchange.status or 0
    if 300 <= status < 400:
        raise Redirected(exchange.headers.get("location", "nowhere"))
    if not 200 <= status < 300:
        raise HTTPError(url, status, exchange.reason, Message(), BytesIO(exchange.body))
    return exchange.body
