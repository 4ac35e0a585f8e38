"""A protocol of the server: which paths are its own, how its requests are read, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fmload.emulator.dialect import Ask, Dialect
from fmload.emulator.http import Refusal, Request
from fmload.emulator.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """A request that was understood."""

    ask: Ask
    dialect: Dialect


class Refuse(Protocol):
    """Writes an error in the protocol's own shape. `code`: its name there; None: that of the status."""

    def __call__(self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
                 outcome: str = "rejected") -> Refusal: ...


@dataclass(frozen=True, slots=True)
class Plane:
    """One protocol, as `fmload.plugins.PLANES` names it.

    `serves` tells a POST path of its own. `open` reads a request, by its number; it raises Refusal, or Unfit (any
    ValueError, TypeError, KeyError or AttributeError, too), which `refuse` makes a 400 of. `key` gives the API key that
    a request came with; None where the protocol has none that `--api-key` could be. `ping` is sent before the first
    token where the shape asks for it. `request_id_header` goes with every answer.
    """

    name: str
    serves: Callable[[str], bool]
    open: Callable[[Request, int, Settings], Opened]
    refuse: Refuse
    key: Callable[[Request], str | None] | None = None
    ping: bytes = b""
    request_id_header: str | None = None


def bearer_key(request: Request) -> str | None:
    """The key of an `Authorization: Bearer` header."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme.lower() == "bearer" else None


def key_in(*headers: str) -> Callable[[Request], str | None]:
    """The key in the first of these headers that came, or a bearer token."""
    return lambda request: next((request.headers[name] for name in headers if name in request.headers),
                                bearer_key(request))
