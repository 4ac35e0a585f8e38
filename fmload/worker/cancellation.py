"""Requests that are given up on purpose: a seeded share of them, after a time or once some tokens have come."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gevent

from fmload.config.schema import CancelSpec
from fmload.endpoints.base import Endpoint
from fmload.wire.exchange import Address, CarriesToken, Exchange, GivesUp, HttpRequest, Timeouts, Wire
from fmload.wire.http1 import Http1Wire

_LOOK_AGAIN = 0.05  # of the bytes so far, while it is not known how many a token takes
_LOOK_AFTER = 0.25  # of the bytes that the missing tokens take, by those that came: parsing it all each time is dear


class Cancellation:
    """Gives up a share of the requests; each is a record with the outcome `cancelled`, which is neither success nor
    failure, and its connection is closed."""

    def __init__(self, spec: CancelSpec | None, seed: str) -> None:
        self._spec = spec
        self._draw = random.Random(f"{seed}/cancel")

    @contextmanager
    def around(self, endpoint: Endpoint, wire: Http1Wire) -> Iterator[Wire]:
        """The calling greenlet's request is made inside, through the wire that comes back; it is given up if it is
        drawn and not answered by then."""
        spec = self._spec
        if spec is None or self._draw.random() >= spec.share:
            yield wire
            return
        end = None if spec.after_s is None else gevent.spawn_later(spec.after_s, gevent.getcurrent().kill, block=False)
        try:
            yield wire if spec.after_tokens is None else _Watched(wire, Enough(endpoint, spec.after_tokens))
        finally:
            if end is not None:
                end.kill(block=False)


class Enough:
    """Whether so many tokens have come, asked after every read of a response; the body is looked at when it may be."""

    def __init__(self, endpoint: Endpoint, tokens: int) -> None:
        self._endpoint = endpoint
        self._tokens = tokens
        self._look_at = 0.0
        self._first: tuple[int, int] | None = None  # bytes and tokens when there was a token

    def __call__(self, received: int, body: Callable[[], bytes]) -> bool:
        if received < self._look_at:
            return False
        reading = self._endpoint.read(Exchange("", status=200, body=body()))
        found = sum(chunk.tokens for chunk in reading.chunks)
        self._look_at = received * (1 + _LOOK_AGAIN)  # where no token comes, each look is dearer than the one before
        if found:
            self._first = self._first or (received, found)
            bytes_before, tokens_before = self._first
            if found > tokens_before:
                token_bytes = (received - bytes_before) / (found - tokens_before)
                self._look_at = received + _LOOK_AFTER * token_bytes * (self._tokens - found)
        return found >= self._tokens


@dataclass(frozen=True, slots=True)
class _Watched:
    """The wire, for one request that may be given up."""

    wire: Http1Wire
    gives_up: GivesUp

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        return self.wire.exchange(address, request, carries_token, self.gives_up)

    @property
    def timeouts(self) -> Timeouts:
        return self.wire.timeouts

    def partial(self) -> Exchange | None:
        return self.wire.partial()

    def pause(self, seconds: float) -> None:
        self.wire.pause(seconds)
