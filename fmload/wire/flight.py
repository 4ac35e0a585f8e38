"""One response under way: its bytes, the instants of its reads, its deadlines, and the greenlet that waits for it."""

from __future__ import annotations

import logging
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import repeat
from time import monotonic_ns
from typing import Any

from gevent.hub import Waiter, get_hub

from fmload.base.offload import beside_the_loop
from fmload.model.outcome import Failure
from fmload.wire.clock import NO_STAMP
from fmload.wire.content_coding import Plain, decode_content
from fmload.wire.exchange import CarriesToken, Exchange, GivesUp, ReadMark, Timeouts
from fmload.wire.framing import FramingError, ResponseParser

logger = logging.getLogger(__name__)

MOST_LOOKED_AT_BYTES = 64 * 1024  # of an answer without a token: to look further would keep the loop
_SECOND_NS = 1_000_000_000
_mark: Callable[[Any], ReadMark] = partial(tuple.__new__, ReadMark)  # Mark._make in C: once a token


class Flight:
    """The receiver of a connection for one exchange; fills the exchange in when it is over."""

    def __init__(self, exchange: Exchange, method: str, carries_token: CarriesToken, timeouts: Timeouts,
                 max_body_bytes: int, gives_up: GivesUp | None = None) -> None:
        self.exchange = exchange
        self._gives_up = gives_up
        self._parser = ResponseParser(method, max_body_bytes)
        self.max_body_bytes = max_body_bytes
        self.head_only = method == "HEAD"
        self.each_read = gives_up is not None
        self.pull: Callable[[], None] = _nothing  # fetches the reads that were kept elsewhere, if any were
        self._carries_token = carries_token
        self._token_has_come = False
        self._timeouts = timeouts
        self.ended = False
        self._lost = False
        # One entry a read: bytes received by then, arrival, lag. Marks are made of them at the end.
        self._ends, self._instants, self._lags = array("q"), array("q"), array("q")
        self._first_token: int | None = None  # the read that brought it, as far as somebody has looked
        self._looked = 0
        self._loop = get_hub().loop
        self._waiter = Waiter()
        self._timer: Any = None

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request, as far as this response goes."""
        return self.exchange.failure is None and self._parser.reusable

    def met_closed_door(self, limit_ns: int) -> bool:
        """Whether a kept-alive connection was closed under the request: it ended at once and without a byte."""
        exchange = self.exchange
        return (self._lost and exchange.reused and not self._ends
                and (exchange.end_ns or 0) - self._sent_ns < limit_ns)

    def received(self, data: bytes, ns: int, lag_ns: int) -> None:
        """The next bytes, from the hub's callback. The hot path: once a token."""
        parser = self._parser
        if self.ended:  # bytes beyond the message: the connection cannot be used again
            parser.keep(data)
            return
        self._instants.append(ns)
        self._lags.append(lag_ns)
        self._ends.append(parser.received + len(data))
        try:
            ended = parser.feed(data)
        except FramingError as error:
            self.fail(Failure("decode", str(error)))
            return
        if ended:
            self._end(ns)
        elif self._gives_up is not None:
            self._ask(self._gives_up)

    def kept(self, data: bytes, ends: bytes, instants: bytes, lags: bytes) -> None:
        """Several reads at once, looked at by nobody yet: the bytes by the end of each, instants and lags as int64."""
        self._parser.keep(data)
        if not self.ended:
            self._ends.frombytes(ends)
            self._instants.frombytes(instants)
            self._lags.frombytes(lags)

    def look(self) -> bool:
        """Look at everything that was kept; whether the response has ended, well or not."""
        try:
            if not self.ended and self._parser.settle():
                self._end(self._last_ns)
        except FramingError as error:
            self.fail(Failure("decode", str(error)))
        return self.ended

    @property
    def looked_through(self) -> bool:
        """Whether `token_reads` has nothing to read through: the first token is known, or nothing new has come."""
        if self._first_token is not None:
            return True
        self.pull()
        return len(self._ends) == self._looked

    def token_reads(self) -> array[int]:
        """The instants of the reads that have come, from that of the first token on; empty before it.

        For a screen: what is told here was stamped before, and costs a read nothing.
        """
        if not self.looked_through:
            self._look_for_a_token()
        elif self._first_token is not None:
            self.pull()
        return self._instants[self._first_token:] if self._first_token is not None else array("q")

    def _look_for_a_token(self) -> None:
        """Which of the reads since the last look brought the first token: those of an answer's beginning, no others."""
        looked, self._looked = self._looked, len(self._ends)
        if self._parser.received > MOST_LOOKED_AT_BYTES:
            return
        try:
            self._parser.settle()
            body, ends, _ = self._body()
            self._first_token = self._place_of_token(body, ends, looked)
        except Exception:  # the request's own reading tells of it
            return

    def _place_of_token(self, body: bytes, ends: Sequence[int], place: int) -> int | None:
        """The first read, from `place` on, by which a token has come. Mostly the very first: little is read for it."""
        def has_come(place: int) -> bool:
            return ends[place] > 0 and self._carries_token(body[:ends[place]])

        step, last = 1, len(ends) - 1
        while not has_come(ahead := min(place + step - 1, last)):
            if ahead == last:
                return None
            place, step = ahead + 1, 2 * step
        return bisect_left(range(ahead), True, lo=place, key=has_come)

    def _ask(self, gives_up: GivesUp) -> None:
        try:
            if gives_up(self._parser.received, self._body_now):
                self.fail(Failure("cancelled", "given up by the client"))
        except Exception as error:
            self.fail(_unreadable(error))

    def lost(self, reason: str | None) -> None:
        """The peer has closed, or reset the connection for `reason`."""
        if self.ended:
            return
        self._lost = True
        try:
            self._parser.eof()
        except FramingError as error:
            self.fail(Failure("decode", str(error)))
            return
        if self._parser.head is None:
            what = reason or "the server closed the connection"
            self.fail(Failure("connect", f"{what} before it answered"))
            return
        self._end(monotonic_ns())

    def fail(self, failure: Failure) -> None:
        """End it now for this reason, unless it has ended already."""
        if not self.ended:
            self.pull()
        if not self.ended:
            self.exchange.failure = failure
            self._end(monotonic_ns())

    def _end(self, ns: int) -> None:
        self.ended = True
        self.exchange.end_ns = ns
        # Not at once: the other connections that are ready are read first.
        self._loop.run_callback(self._waiter.switch, None)

    def wait(self) -> None:
        """Block the calling greenlet until the response has ended or a deadline has passed."""
        if not self.ended:
            self._arm(monotonic_ns())
        self._waiter.get()

    def _arm(self, now_ns: int) -> None:
        """Set the one timer to the first deadline. Reads do not touch it: it looks at them when it fires."""
        sent_ns, idle_ns = self._sent_ns, _ns(self._timeouts.idle_s)
        quiet_until_ns = self._last_ns + idle_ns
        due_ns = [sent_ns + _ns(self._timeouts.total_s),
                  quiet_until_ns if quiet_until_ns > now_ns else now_ns + idle_ns]
        if not self._token_has_come:
            due_ns.append(sent_ns + _ns(self._timeouts.first_token_s))
        self._disarm()
        self._timer = self._loop.timer(max(0, min(due_ns) - now_ns) / _SECOND_NS)
        self._timer.start(self._check)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    @property
    def _sent_ns(self) -> int:
        return self.exchange.send_ns or 0

    @property
    def _last_ns(self) -> int:
        return self._instants[-1] if self._instants else self._sent_ns

    def _check(self) -> None:
        now_ns = monotonic_ns()
        self.pull()
        if self.look():
            return
        try:
            failure = self._overdue(now_ns)
        except Exception as error:
            failure = _unreadable(error)
        if failure is None:
            self._arm(now_ns)
        else:
            self.fail(failure)

    def _overdue(self, now_ns: int) -> Failure | None:
        limits = self._timeouts
        if now_ns - self._sent_ns >= _ns(limits.total_s):
            return Failure("timeout_total", f"the response had not ended within {limits.total_s:g} s")
        late = now_ns - self._sent_ns >= _ns(limits.first_token_s)
        silent = now_ns - self._last_ns >= _ns(limits.idle_s)
        if (late or silent) and not self._token_has_come:
            self._token_has_come = self._carries_token(self._body()[0])
        if late and not self._token_has_come:
            return Failure("timeout_first_token", f"no token within {limits.first_token_s:g} s")
        if silent and self._token_has_come:
            return Failure("timeout_idle", f"nothing came for {limits.idle_s:g} s after the last read")
        return None

    def _body_now(self) -> bytes:
        self._parser.settle()
        return self._body()[0]

    def _body(self) -> Plain:
        head = self._parser.head
        body, ends = self._parser.body(self._ends)
        encoding = head.headers.get("content-encoding", "").strip().lower() if head is not None else ""
        return decode_content(encoding, body, ends, self.max_body_bytes)

    def finish(self) -> None:
        """Put what came into the exchange; to be called once, by the greenlet, after the end."""
        self._disarm()
        beside_the_loop(self._parser.received, self._fill_in)

    def _fill_in(self) -> None:
        exchange, head = self.exchange, self._parser.head
        if head is not None:
            exchange.status, exchange.reason, exchange.headers = head.status, head.reason, head.headers
            read = bisect_left(self._ends, self._parser.head_end)
            exchange.headers_ns = self._instants[read] if read < len(self._ends) else None
        ends = [0] * len(self._ends)
        try:
            self._parser.settle()
            exchange.body, ends, ended = self._body()
            if self._parser.complete and not ended:
                exchange.failure = exchange.failure or Failure("truncated", "the compressed body ended early")
        except FramingError as error:
            exchange.failure = exchange.failure or Failure("decode", str(error))
        exchange.complete = self._parser.complete
        lags: Iterable[int] = self._lags
        kernel: Iterable[bool] = repeat(True, len(ends))
        if NO_STAMP in self._lags:
            kernel = [lag_ns != NO_STAMP for lag_ns in self._lags]
            lags = [max(lag_ns, 0) for lag_ns in self._lags]
        exchange.marks = list(map(_mark, zip(ends, self._instants, lags, kernel, strict=True)))


def _nothing() -> None:
    """Every read was told as it came."""


def _unreadable(error: Exception) -> Failure:
    """Of an answer that cannot be read while it comes. Nothing may be raised into the hub: the request would wait."""
    if not isinstance(error, FramingError):
        logger.error("a part of an answer cannot be read", exc_info=error)
    return Failure("decode", str(error) if isinstance(error, FramingError) else
                   f"the answer cannot be read ({type(error).__name__})")


def _ns(seconds: float) -> int:
    return int(seconds * _SECOND_NS)
