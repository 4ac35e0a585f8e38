"""Objects of S3 by the wire: what asynchronous endpoints are asked with, and answer in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmload.config.schema import EndpointSpec
from fmload.endpoints import aws
from fmload.endpoints.aws_errors import outcome_of
from fmload.model.outcome import Failure
from fmload.wire import botocore_transport
from fmload.wire.exchange import Exchange, Wire

_LOCATION = re.compile(r"s3://([^/]+)/(.+)", re.DOTALL)
_CODE, _MESSAGE = (re.compile(rf"<{name}>(.*?)</{name}>".encode(), re.DOTALL) for name in ("Code", "Message"))
_BUSY = ("SlowDown", "ServiceUnavailable")  # S3 is asked too often
_MOST_WORDS = 300


class S3Objects:
    """Writes and reads objects, each by one request that is not tried again. Places are `s3://bucket/key`."""

    def __init__(self, spec: EndpointSpec, url: str | None) -> None:
        """`url` replaces S3's own address. Raises FmloadError without a region or credentials."""
        self._client = aws.make_s3_client(spec, spec.options, url)
        self._way = aws.way_of(spec, spec.options)

    def put(self, wire: Wire, place: str, body: bytes, kind: str) -> Exchange:
        """Write an object of a type. Raises ValueError for what is no place in S3."""
        return self._exchange(self._client.put_object, wire, {**_place(place), "Body": body, "ContentType": kind})

    def get(self, wire: Wire, place: str) -> Exchange:
        """Read an object. Raises ValueError for what is no place in S3."""
        return self._exchange(self._client.get_object, wire, _place(place))

    def _exchange(self, operation: Any, wire: Wire, arguments: Mapping[str, Any]) -> Exchange:
        return botocore_transport.exchange(operation, arguments, wire, self._way, lambda _: False, {})


def _place(place: str) -> dict[str, str]:
    found = _LOCATION.fullmatch(place)
    if found is None:
        raise ValueError(f"{place[:100]!r} is no place in S3")
    return {"Bucket": found[1], "Key": found[2]}


def is_whole(exchange: Exchange) -> bool:
    """Whether an object has come, all of it."""
    return exchange.failure is None and exchange.status == 200 and exchange.complete


def refusal(exchange: Exchange, place: str) -> Failure | None:
    """Why S3 did not do it, with its code and words; None where it did."""
    if exchange.failure is not None:
        return Failure(exchange.failure.outcome, f"{place}: {exchange.failure.message}")
    if exchange.status is not None and exchange.status < 300:
        return None
    code, message = (_first(pattern, exchange.body) for pattern in (_CODE, _MESSAGE))
    words = ": ".join(filter(None, (code or f"HTTP {exchange.status}", message)))
    outcome = "throttled" if code in _BUSY else outcome_of(code, exchange.status or 0)
    return Failure(outcome, f"{place}: {words}"[:_MOST_WORDS])


def _first(pattern: re.Pattern[bytes], body: bytes) -> str:
    found = pattern.search(body)
    return found[1].decode("utf-8", "replace") if found else ""
