"""boto3 over our wire: botocore builds and signs the request, the wire sends it and stamps what comes back.

botocore's `before-send` event hands over the signed request. `_carry` passes it through the wire, which blocks the
greenlet until the response has ended, and unwinds botocore with the exchange: parsing the response is the endpoint's
business (`read`), which must see every byte with its stamp, and must not fail on bytes that botocore cannot parse.
botocore's own connection pool is never used, so its size does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fmload.model.outcome import Failure
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest, Wire
from fmload.wire.url import Way, split_url


@dataclass(frozen=True, slots=True)
class _Call:
    wire: Wire
    where: Address | Way
    carries_token: CarriesToken
    headers: Mapping[str, str]


class _Carried(Exception):
    """Takes the exchange out through botocore."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__("carried by the wire")
        self.exchange = exchange


# Greenlets have a context each, so that one client serves all of them.
_call: ContextVar[_Call] = ContextVar("fmload_botocore_call")


def attach(client: Any) -> None:
    """Let every request of this boto3 client travel by `exchange`. Its retries must be switched off."""
    client.meta.events.register("before-send", _carry, unique_id="fmload-wire")


def exchange(operation: Callable[..., Any], arguments: Mapping[str, Any], wire: Wire, where: Address | Way,
             carries_token: CarriesToken, headers: Mapping[str, str]) -> Exchange:
    """The exchange of one operation of an attached client. `headers` are added after signing. `where`: the address, or
    the way to the one that botocore chooses.

    When botocore fails before anything is sent (credentials that cannot be had or refreshed), the exchange holds
    nothing but a `connect` failure with botocore's message.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    token = _call.set(_Call(wire, where, carries_token, headers))
    try:
        operation(**arguments)
    except _Carried as carried:
        return carried.exchange
    except (BotoCoreError, ClientError) as error:
        return Exchange(str(where) if isinstance(where, Address) else "",
                        failure=Failure("connect", f"no request was sent: {error}"))
    finally:
        _call.reset(token)
    raise RuntimeError("botocore sent the request itself: the client is not attached to the wire")


def _carry(request: Any, **_event: Any) -> None:
    call = _call.get()
    address = call.where if isinstance(call.where, Address) else split_url(request.url, call.where)[0]
    raise _Carried(call.wire.exchange(address, _http_request(request, call.headers), call.carries_token))


def _http_request(request: Any, added: Mapping[str, str]) -> HttpRequest:
    url = urlsplit(request.url)
    signed = {name: value.decode("latin-1") if isinstance(value, bytes) else value
              for name, value in request.headers.items()}
    body = request.body or b""
    return HttpRequest(
        method=request.method,
        target=f"{url.path or '/'}?{url.query}" if url.query else url.path or "/",
        headers={"Host": url.netloc, **signed, **added},  # the signature covers this Host, wherever it is sent
        body=_bytes_of(body))


def _bytes_of(body: Any) -> bytes:
    """botocore makes a file of what goes into S3."""
    read: Callable[[], bytes] | None = getattr(body, "read", None)
    if read is not None:
        return read()
    return body.encode() if isinstance(body, str) else bytes(body)
