"""HTTP/1.1 for load: a request goes out, its greenlet sleeps until the whole response is in, every read is stamped."""

from __future__ import annotations

import logging
import re
import ssl
from collections import defaultdict
from collections.abc import Callable
from time import monotonic_ns
from typing import Literal
from weakref import WeakKeyDictionary

import gevent
from gevent import getcurrent
from gevent.pool import Pool

from fmload.base.descriptors import shortage
from fmload.base.version import __version__
from fmload.model.outcome import Failure
from fmload.wire.connection import AnyConnection, StaleConnection, connected
from fmload.wire.exchange import (
    Address,
    CarriesToken,
    Exchange,
    GivesUp,
    HttpRequest,
    ReaderChoice,
    Timeouts,
    bracketed,
)
from fmload.wire.flight import Flight
from fmload.wire.framing import MAX_BODY_BYTES
from fmload.wire.reader import connection_of, reader_of

logger = logging.getLogger(__name__)

_PRECONNECT_AT_ONCE = 32
# A kept-alive connection that ends so soon after the request, without a byte, was being closed already: a round trip.
_CLOSED_DOOR_NS = 500_000_000
_LINE_BREAK = re.compile(r"[\r\n\0]")
_DEFAULT_HEADERS = {"accept-encoding": "identity", "user-agent": f"fmload/{__version__}"}


def encode_request(address: Address, request: HttpRequest) -> bytes:
    """The request's bytes. Host, Content-Length, Accept-Encoding and User-Agent are added when absent.

    Raises ValueError on a line break in the target or a header, which would be a second header.
    """
    given = {name.lower() for name in request.headers}
    through = None if address.is_tunnelled else address.proxy
    target = request.target if through is None else f"http://{_authority(address)}{request.target}"
    lines = [f"{request.method} {target} HTTP/1.1"]
    if "host" not in given:
        lines.append(f"host: {_authority(address)}")
    if address.authorization is not None and "authorization" not in given:
        lines.append(f"authorization: {address.authorization}")
    if through is not None and through.login is not None:
        lines.append(f"proxy-authorization: {through.login.basic()}")
    lines += [f"{name}: {value}" for name, value in _DEFAULT_HEADERS.items() if name not in given]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if "content-length" not in given and (request.body or request.method in ("POST", "PUT", "PATCH")):
        lines.append(f"content-length: {len(request.body)}")
    if _LINE_BREAK.search("".join(lines)):
        raise ValueError("a line break in the target or a header of a request")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


def _authority(address: Address) -> str:
    host = bracketed(address.host)
    return host if address.port == (443 if address.tls else 80) else f"{host}:{address.port}"


class Http1Wire:
    """The wire of one worker: a pool of kept-alive connections a address, shared by its users.

    `kernel_stamps` False stamps in user space, for comparison. `reader` is who receives; the attribute says which it
    came to. Raises FmloadError for the native one where it is not installed.
    """

    def __init__(self, timeouts: Timeouts | None = None, *, kernel_stamps: bool = True,
                 max_body_bytes: int = MAX_BODY_BYTES, reader: ReaderChoice = "auto") -> None:
        self.reader = reader_of(reader)
        self._connection = connection_of(self.reader)
        self.timeouts = timeouts or Timeouts()
        self._kernel_stamps = kernel_stamps
        self._max_body_bytes = max_body_bytes
        self._idle: defaultdict[Address, list[AnyConnection]] = defaultdict(list)
        self._flights: dict[Flight, object] = {}  # and the greenlet that waits for it
        self._partials: WeakKeyDictionary[object, Exchange] = WeakKeyDictionary()

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken,
                 gives_up: GivesUp | None = None) -> Exchange:
        """Send the request and return its whole response; blocks the calling greenlet alone.

        An idle connection is used where there is one. Else one is made, `connected_ns` is set, and `send_ns` is
        the instant before connecting, so that the request pays for it. A kept-alive connection that the server
        was closing when the request went out is replaced by a new one, and only the second sending counts.
        """
        payload, method = encode_request(address, request), request.method
        del request  # its body would be kept a second time for as long as the answer takes

        def new_flight(again: bool = False) -> Flight:
            return Flight(Exchange(str(address), again=again), method, carries_token, self.timeouts,
                          self._max_body_bytes, gives_up)

        flight = self._fly(address, payload, new_flight(), self._send)
        if flight.met_closed_door(_CLOSED_DOOR_NS):
            flight = self._fly(address, payload, new_flight(again=True), self._send_anew)
        return flight.exchange

    def _fly(self, address: Address, payload: bytes, flight: Flight,
             send: Callable[[Address, bytes, Flight], AnyConnection | None]) -> Flight:
        """One sending and its response; the exchange is filled in however it ends."""
        self._flights[flight] = getcurrent()
        connection = None
        try:
            connection = send(address, payload, flight)
            if connection is not None:
                flight.wait()
        except BaseException:
            flight.fail(Failure("cancelled", "the user was stopped before the response had ended"))
            self._partials[getcurrent()] = flight.exchange
            raise
        finally:
            self._flights.pop(flight, None)
            if connection is not None:
                self._give_back(address, connection, flight)
            flight.finish()
        return flight

    def partial(self) -> Exchange | None:
        """What the calling greenlet had received when it was killed inside `exchange`; once, else None."""
        return self._partials.pop(getcurrent(), None)

    def pause(self, seconds: float) -> None:
        """Let the calling greenlet wait."""
        gevent.sleep(seconds)

    def under_way(self) -> list[tuple[object, Flight]]:
        """The responses that have not ended, each with the greenlet that waits for it."""
        return [(waiting, flight) for flight, waiting in self._flights.items() if not flight.ended]

    def interrupt(self, outcome: Literal["cancelled", "censored"], why: str) -> int:
        """End every exchange under way with this outcome; returns how many. Their greenlets go on normally."""
        flights = list(self._flights)
        for flight in flights:
            flight.fail(Failure(outcome, why))
        return len(flights)

    def preconnect(self, address: Address, n: int) -> int:
        """Open connections until `n` are idle; returns how many are. Those that cannot be opened are left to the
        requests, whose outcome will say why."""
        idle = self._idle[address]
        for connection in [connection for connection in idle if not connection.usable()]:
            idle.remove(connection)
            connection.close()
        Pool(_PRECONNECT_AT_ONCE).map(lambda _: self._open_idle(address), range(n - len(idle)))
        return len(idle)

    def close(self) -> None:
        """Close the idle connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def _open_idle(self, address: Address) -> None:
        try:
            with gevent.Timeout(self.timeouts.connect_s):
                self._keep(address, self._opened(address))
        except (OSError, gevent.Timeout) as error:
            logger.debug("cannot open a connection to %s ahead: %s", address, error)

    def _opened(self, address: Address) -> AnyConnection:
        sock, tls = connected(address, self.timeouts.connect_s)
        try:
            return self._connection(sock, tls, self._kernel_stamps)
        except BaseException:
            sock.close()
            raise

    def _keep(self, address: Address, connection: AnyConnection) -> None:
        idle = self._idle[address]
        connection.on_idle_end = idle.remove
        idle.append(connection)

    def _take_idle(self, address: Address) -> AnyConnection | None:
        idle = self._idle[address]
        while idle:
            connection = idle.pop()
            if connection.usable():
                return connection
            connection.close()
        return None

    def _give_back(self, address: Address, connection: AnyConnection, flight: Flight) -> None:
        if connection.release() and flight.reusable:
            self._keep(address, connection)
        else:
            connection.close()

    def _send(self, address: Address, payload: bytes, flight: Flight) -> AnyConnection | None:
        """The connection on which the request has gone out; None with the flight failed."""
        while connection := self._take_idle(address):
            try:
                flight.exchange.send_ns = connection.send(payload, flight)
            except StaleConnection:
                connection.close()
                continue
            flight.exchange.reused = True
            return connection
        return self._send_anew(address, payload, flight)

    def _send_anew(self, address: Address, payload: bytes, flight: Flight) -> AnyConnection | None:
        exchange = flight.exchange
        exchange.send_ns = monotonic_ns()
        connection = self._connect(address, flight)
        if connection is None:
            return None
        if flight.ended:  # interrupted while connecting
            connection.close()
            return None
        exchange.connected_ns = monotonic_ns()
        try:
            connection.send(payload, flight)
        except StaleConnection as error:
            connection.close()
            flight.fail(Failure("connect", f"{address} closed the connection at once: {error}"))
            return None
        return connection

    def _connect(self, address: Address, flight: Flight) -> AnyConnection | None:
        limit_s = self.timeouts.connect_s
        timeout = gevent.Timeout.start_new(limit_s)
        try:
            return self._opened(address)
        except gevent.Timeout as expired:
            if expired is not timeout:
                raise
            through = f" through the proxy {address.proxy}" if address.proxy is not None else ""
            flight.fail(Failure("timeout_connect", f"no connection to {address}{through} within {limit_s:g} s"))
        except ssl.SSLError as error:
            flight.fail(Failure("tls", f"TLS with {address}: {getattr(error, 'verify_message', '') or error}"))
        except OSError as error:
            short = shortage(error)
            flight.fail(Failure("client", f"out of {short}: no connection to {address}") if short else
                        Failure("connect", f"cannot connect to {address}: {error.strerror or error}"))
        finally:
            timeout.close()
        return None
