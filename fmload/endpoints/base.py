"""The seam between protocols and measurement: what an endpoint does, and what it hands back. No clock here."""

from __future__ import annotations

from typing import Literal, Protocol

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, Exchange, Wire

# What answers are; text is made in tokens, one after the other.
Made = Literal["text", "vectors", "rankings", "images", "sound"]
ALL_MEDIA = frozenset({"images", "audio", "video"})  # kinds that prompts may hold, as `media` of a run file names them


class Endpoint(Protocol):
    """One protocol against one model. Built once a worker, before the load, from its part of the run file.

    `Endpoint.from_spec(spec)` takes an `EndpointSpec` and raises FmloadError for what it cannot use.
    `send` builds the request for the prompt and passes it through the wire: it blocks the calling greenlet
    until the response has ended and raises only for bugs. `read` is pure: whole exchange to chunks and usage;
    it never raises on bytes from outside. `carries_token` says whether a token has come in a partial body.

    An endpoint whose requests have inputs to embed or to rank has `expects(prompt)` as well: what the answer to a
    prompt has to hold (None: this one generates text). One that cannot ask every prompt has `check(prompt)`.
    """

    name: str
    streamed: bool

    def addresses(self) -> list[Address]: ...

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange: ...

    def read(self, exchange: Exchange) -> Reading: ...

    def carries_token(self, body: bytes) -> bool: ...
