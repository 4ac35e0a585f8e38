"""The seam between protocols and measurement: what an endpoint does, and what it hands back. No clock here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from fmload.model.prompt import Prompt
from fmload.model.record import TokensSource
from fmload.wire.exchange import Address, Exchange, Failure, Wire

Channel = Literal["answer", "reasoning", "tool"]


class Chunk(NamedTuple):
    """One token-bearing piece of the answer. `end` is the offset in the body at which it was complete.

    `tokens` is 1 unless the server says better. `text` is kept only until the record is made.
    """

    end: int
    tokens: int = 1
    channel: Channel = "answer"
    text: str = ""


@dataclass(slots=True)
class Reading:
    """What the bytes said. Counts are None where the server was silent. `detail` is the server's own account."""

    chunks: list[Chunk] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    tokens_source: TokensSource | None = None
    finish_reason: str | None = None
    failure: Failure | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Endpoint(Protocol):
    """One protocol against one model. Built once a worker, before the load, from its part of the run file.

    `Endpoint.from_spec(spec)` takes an `EndpointSpec` and raises FmloadError for what it cannot use.
    `send` builds the request for the prompt and passes it through the wire: it blocks the calling greenlet
    until the response has ended and raises only for bugs. `read` is pure: whole exchange to chunks and usage;
    it never raises on bytes from outside. `carries_token` says whether a token has come in a partial body.
    """

    name: str
    streamed: bool

    def addresses(self) -> list[Address]: ...

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange: ...

    def read(self, exchange: Exchange) -> Reading: ...

    def carries_token(self, body: bytes) -> bool: ...
