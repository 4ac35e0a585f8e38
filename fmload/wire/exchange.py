"""What goes out and what comes back: the values that the wire, the endpoints and `measure` share."""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import quote

from fmload.model.outcome import Failure

# Who receives: the extension's thread, watchers of the hub in Python, or the first where it is installed.
ReaderChoice = Literal["auto", "native", "python"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits of one request, in seconds. `idle_s` is between two reads once the first token has come."""

    connect_s: float = 10.0
    first_token_s: float = 120.0
    idle_s: float = 60.0
    total_s: float = 600.0


MAX_SOCKS_LOGIN_BYTES = 255  # of a user, or of a password


@dataclass(frozen=True, slots=True)
class Login:
    """A user and a password."""

    user: str
    password: str = field(default="", repr=False)

    def basic(self) -> str:
        """As the value of an Authorization header (RFC 7617)."""
        return f"Basic {b64encode(f'{self.user}:{self.password}'.encode()).decode()}"

    def fits_socks(self) -> bool:
        """Whether a SOCKS proxy can be told it (RFC 1929)."""
        return all(1 <= len(word.encode()) <= MAX_SOCKS_LOGIN_BYTES for word in (self.user, self.password))


ProxyKind = Literal["http", "https", "socks5", "socks5h"]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy on the way to an address; `login` is for the proxy alone.

    `https` is an HTTP proxy that is spoken to under TLS, its certificate verified against `ca_file` (None: the system's
    trust store). `socks5` is told addresses (RFC 1928), `socks5h` the names of hosts, which it resolves itself.
    """

    host: str
    port: int
    kind: ProxyKind = "http"
    login: Login | None = None
    ca_file: str | None = None

    @property
    def address(self) -> Address:
        """Where the proxy itself is."""
        return Address(self.host, self.port, self.kind == "https", self.ca_file)

    @property
    def tunnels_all(self) -> bool:
        """Whether it makes a tunnel for plain HTTP, too: it is never told a request."""
        return self.kind in ("socks5", "socks5h")

    def __str__(self) -> str:
        return f"{self.kind}://{bracketed(self.host)}:{self.port}"


def bracketed(host: str) -> str:
    """A host as URLs have it: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect. `ca_file` None means the system's trust store; `verify` False is for tests only.

    `authorization` is sent to this address with every request that has none of its own. `certificate` is the client's
    own, a PEM file, `certificate_key` its key where that is in another file. `socket_path` is that of a Unix socket,
    in the place of host and port.
    """

    host: str
    port: int
    tls: bool = False
    ca_file: str | None = None
    verify: bool = True
    authorization: str | None = field(default=None, repr=False)
    certificate: str | None = None
    certificate_key: str | None = None
    socket_path: str | None = None
    proxy: Proxy | None = None

    @property
    def is_tunnelled(self) -> bool:
        """Whether its proxy makes a tunnel, and sees no request; False without a proxy."""
        return self.proxy is not None and (self.tls or self.proxy.tunnels_all)

    @property
    def first_hop(self) -> tuple[str, int] | str:
        """Where the socket is connected to: a host and port, the proxy's where there is one, or a path."""
        if self.socket_path is not None:
            return self.socket_path
        return (self.host, self.port) if self.proxy is None else (self.proxy.host, self.proxy.port)

    def __str__(self) -> str:
        if self.socket_path is not None:
            return f"http+unix://{quote(self.socket_path, safe='')}"
        return f"{'https' if self.tls else 'http'}://{bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request: `target` is path and query; Host and Content-Length are added by the wire when absent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


class ReadMark(NamedTuple):
    """One read from the socket: the decoded body was `end` bytes long once it was in.

    `ns` is the arrival on the monotonic clock (kernel stamp where `kernel`, else user space); `lag_ns` the
    user-space stamp minus the kernel stamp. Several events ending in one mark share its instant.
    """

    end: int
    ns: int
    lag_ns: int
    kernel: bool


@dataclass(slots=True)
class Exchange:
    """One request and its whole response, as the wire saw it. Nothing is parsed beyond HTTP framing.

    `body` is free of transfer coding and content coding; `marks` map its offsets to instants, ascending.
    `complete` is False when the response ended before its framing said so. `failure` is None when HTTP
    itself went well (whatever the status). `notes`: what an endpoint that needs several exchanges saw on the way.
    """

    address: str
    send_ns: int | None = None
    connected_ns: int | None = None
    headers_ns: int | None = None
    end_ns: int | None = None
    status: int | None = None
    reason: str = ""
    headers: dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    marks: list[ReadMark] = field(default_factory=list)
    complete: bool = False
    reused: bool = False
    again: bool = False  # the second sending: the first was closed without a byte, with its kept-alive connection
    failure: Failure | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def mark_at(self, end: int) -> ReadMark:
        """The read that completed the first `end` bytes of the body. Raises IndexError beyond the last mark."""
        return self.marks[bisect_left(self.marks, end, key=lambda mark: mark.end)]

    def came_ns(self, end: int) -> int:
        """When the first `end` bytes of the body had come; the instant of the last read for what lies beyond it."""
        return self.mark_at(min(end, self.marks[-1].end)).ns


# Tells, from the decoded body so far, whether a token has come; asked only when the first-token limit is reached.
CarriesToken = Callable[[bytes], bool]
# Tells after a read whether the client gives up now: from the bytes received so far, and what decodes the body.
GivesUp = Callable[[int, Callable[[], bytes]], bool]


class Wire(Protocol):
    """Sends one request and keeps what comes back; `fmload.wire.http1` is the real one.

    Errors are data: they come back as `Exchange.failure`. A greenlet that is killed inside `exchange` finds
    what it had in `partial()`, once, so that its record can be kept. `pause` is the wait between two exchanges of one
    request, for as many seconds.
    """

    @property
    def timeouts(self) -> Timeouts: ...

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange: ...

    def partial(self) -> Exchange | None: ...

    def pause(self, seconds: float) -> None: ...
