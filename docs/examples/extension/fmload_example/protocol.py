"""A protocol: the prompt as plain text to the server, an answer of one line a token."""

from __future__ import annotations

from typing import Any

from fmload.config.model import NoOptions
from fmload.model.outcome import Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Chunk, Reading
from fmload.wire.exchange import Address, Exchange, HttpRequest, Wire
from fmload.wire.url import split_url


class Lines:
    """`protocol: lines`. One POST a prompt; every line of the answer is a token."""

    NEEDS_URL = True
    Options = NoOptions

    def __init__(self, name: str, url: str) -> None:
        self.name, self.streamed = name, True
        self._address, self._path, _ = split_url(url)

    @classmethod
    def from_spec(cls, spec: Any) -> Lines:
        return cls(spec.name, spec.url)

    def addresses(self) -> list[Address]:
        return [self._address]

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        request = HttpRequest("POST", self._path, {"Content-Type": "text/plain"}, prompt.as_text().encode())
        return wire.exchange(address, request, self.carries_token)

    def read(self, exchange: Exchange) -> Reading:
        if exchange.status != 200:
            return Reading(failure=exchange.failure or Failure("http_5xx", f"status {exchange.status}"))
        ends = [at + 1 for at, byte in enumerate(exchange.body) if byte == ord("\n")]
        return Reading([Chunk(end) for end in ends], output_tokens=len(ends), tokens_source="server",
                       finish_reason="stop", failure=exchange.failure)

    def carries_token(self, body: bytes) -> bool:
        return b"\n" in body
