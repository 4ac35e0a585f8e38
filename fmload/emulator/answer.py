"""One answer on its way out: tokens to events to writes, with the shape, the fault and the truth of each."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from fmload.emulator import http
from fmload.emulator.dialect import Ask, Dialect, Plane, Usage
from fmload.emulator.engine import Job
from fmload.emulator.faults import Fault
from fmload.emulator.shape import Shape
from fmload.emulator.truth import Truth

SECOND_NS = 1_000_000_000
_GARBAGE = random.Random(0).randbytes(200)
_HELD_BACK = 1 << 30


class Line(Protocol):
    """The connection under an answer, and the clock beside it."""

    def send(self, data: bytes) -> None: ...

    def at(self, due_ns: int, call: Callable[[], None]) -> None: ...

    def finished(self, answer: Answer, keep_alive: bool, reset: bool = False) -> None: ...


class Answer:
    """The response to one request. The engine calls `token` for every token; everything else follows."""

    def __init__(self, line: Line, plane: Plane, ask: Ask, dialect: Dialect, job: Job, truth: Truth, shape: Shape,
                 fault: Fault | None, text: Callable[[int], str]) -> None:
        self.plane, self.ask, self.job, self.truth, self.over = plane, ask, job, truth, False
        self._line, self._dialect, self._text = line, dialect, text
        self._kind = fault.kind if fault else None
        self._fault = fault
        self._after = fault.after if fault and fault.kind in _AFTER_TOKEN else -1
        if self._kind == "buffer":
            shape = replace(shape, coalesce=_HELD_BACK, headers="with_first_token")
        self._shape = shape
        self._lag_ns = round(shape.delay_s * SECOND_NS)
        if fault and fault.kind == "slow_headers":
            self._lag_ns += round(fault.seconds * SECOND_NS)
        self._chunked = shape.framing == "chunked"
        self._gzip = zlib.compressobj(wbits=31) if self._kind == "gzip" else None
        self._total = job.output_tokens
        self._made = self._count = self._pending = self._echoed = 0
        self._texts: list[str] = []
        self._events: list[bytes] = []
        self._simple = shape.tokens_per_chunk == shape.coalesce == 1 and self._gzip is None

    # --- called by the server ---

    def begin(self, now_ns: int) -> None:
        """The request was taken: headers (and an early role) go out, if the shape sends them now."""
        if self._kind == "empty":
            self._at(now_ns, self._end_empty)
        elif self.ask.stream and (self._shape.headers == "at_once" or self._after == 0):
            self._at(now_ns, self._open)
            if self._after == 0 and self._kind != "stall":
                self._at(now_ns, self._play_fault)

    def token(self, now_ns: int) -> None:
        """The engine made one more token."""
        if self._kind == "stall" and self._made == self._after and self._fault is not None:
            self._lag_ns += round(self._fault.seconds * SECOND_NS)
        self._made += 1
        self._at(now_ns, self._token)

    def disconnected(self) -> None:
        """The client went away."""
        self._close("disconnected")

    def refuse(self, refusal: http.Refusal) -> None:
        """An HTTP error instead of tokens; inside a stream that has begun, an error event."""
        self.truth.status = self.truth.status or refusal.status
        if self.truth.headers_ns is not None:
            self._put(self._dialect.error("overloaded_error", "the request waited too long"), 0)
            self._end(refusal.outcome)
            return
        self.truth.headers_ns = time.monotonic_ns()
        self._line.send(_plain_response(refusal, self._shape.close_each))
        self._close(refusal.outcome)
        self._line.finished(self, keep_alive=not self._shape.close_each)

    # --- tokens ---

    def _at(self, now_ns: int, call: Callable[[], None]) -> None:
        if self._lag_ns:
            self._line.at(now_ns + self._lag_ns, lambda: None if self.over else call())
        elif not self.over:
            call()

    def _token(self) -> None:
        index = self._count
        self._count = count = index + 1
        last = count == self._total
        if self._simple and self.ask.stream and not last and index and index != self._shape.reasoning_tokens - 1:
            text = self._text(index)
            event = self._dialect.token(text, self._usage(count), index < self._shape.reasoning_tokens, None)
            self._put(event, 1)
        elif self.ask.stream:
            self._gather(index, last)
        elif last:
            self._send_whole()
            return
        if count == self._after:
            self._play_fault()
        elif last and self.ask.stream:
            self._end("ok" if self._fault is None else "fault")

    def _gather(self, index: int, last: bool) -> None:
        """The general way: tokens to chunks, chunks to events, events to writes, as the shape says."""
        shape, count = self._shape, index + 1
        struck = count == self._after
        self._texts.append(self._first_text() if index == 0 else self._text(index))
        self._pending += 1 + (self._echoed if index == 0 else 0)
        boundary = count == shape.reasoning_tokens
        if len(self._texts) >= shape.tokens_per_chunk or last or struck or boundary:
            finish = "length" if last and not struck and shape.finish == "with_last_token" else None
            finish = finish and self._finish_reason()
            self._events.append(self._dialect.token("".join(self._texts), self._usage(count),
                                                    index < shape.reasoning_tokens, finish))
            self._texts.clear()
        if len(self._events) >= shape.coalesce or (self._events and (last or struck)):
            self._flush()

    def _flush(self) -> None:
        tokens, self._pending = self._pending, 0
        data = b"".join(self._events)
        self._events.clear()
        opening = b""
        if self.truth.headers_ns is None:
            self._open()
        if not self.truth.token_ns and self._shape.role == "with_first_token":
            opening = self._frame(self._dialect.opening())
        self._put(data, tokens, opening)

    def _put(self, data: bytes, tokens: int, before: bytes = b"") -> None:
        framed = before + self._frame(data)
        if tokens:
            self.truth.token_ns.append(time.monotonic_ns())
            self.truth.token_counts.append(tokens)
        self._line.send(framed)

    def _frame(self, data: bytes) -> bytes:
        if self._gzip is not None and data:
            data = self._gzip.compress(data) + self._gzip.flush(zlib.Z_SYNC_FLUSH)
        return (b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data) if data else b""

    def _first_text(self) -> str:
        if self._kind != "echo":
            return self._text(0)
        self._echoed = self.job.input_tokens
        return self.ask.prompt + self._text(0)

    def _usage(self, count: int) -> Usage:
        factor = self._fault.factor if self._kind == "usage" and self._fault else 1.0
        thoughts = min(count, self._shape.reasoning_tokens)
        return Usage(round(self.job.input_tokens * factor), round((count + self._echoed) * factor),
                     self.job.cached_tokens, round(thoughts * factor))

    def _finish_reason(self) -> str:
        limit = self.ask.max_tokens
        return "length" if limit is not None and self._total >= limit else "stop"

    # --- beginning and end ---

    def _open(self) -> None:
        headers = {"Content-Type": self._dialect.content_type, "X-Request-Id": self.truth.request_id,
                   **self._dialect.headers, **_framing_headers(self._chunked, self._shape.close_each)}
        if self._gzip is not None:
            headers["Content-Encoding"] = "gzip"
        self.truth.status = 200
        early = self._frame(self._dialect.opening()) if self._shape.role == "early" else b""
        head = http.head(200, headers) + early
        self.truth.headers_ns = time.monotonic_ns()
        self._line.send(head)

    def _end_empty(self) -> None:
        self._open()
        self._end("fault", complete=False)

    def _end(self, outcome: str, complete: bool = True) -> None:
        """Everything after the last token: finish reason, usage, end mark, end of the body."""
        data = b""
        if complete:
            usage = self._usage(self._count)
            finish = None if self._shape.finish == "with_last_token" else self._finish_reason()
            data = self._frame(self._dialect.closing(finish, usage)) + self._frame(self._dialect.trailer())
        if self._gzip is not None and (tail := self._gzip.flush()):
            self._gzip = None
            data += self._frame(tail)
        self._line.send(data + http.LAST_CHUNK if self._chunked else data)
        self._close(outcome)
        self._line.finished(self, keep_alive=self._chunked and not self._shape.close_each)

    def _send_whole(self) -> None:
        thoughts = self._shape.reasoning_tokens
        reasoning = "".join(map(self._text, range(min(thoughts, self._total))))
        text = self._first_text() + "".join(map(self._text, range(1, self._total)))
        text = text if not thoughts else "".join(map(self._text, range(thoughts, self._total)))
        body = self._dialect.whole(text, reasoning, self._finish_reason(), self._usage(self._total))
        headers = {"X-Request-Id": self.truth.request_id}
        if self._gzip is not None:
            headers["Content-Encoding"], body = "gzip", self._gzip.compress(body) + self._gzip.flush()
        self.truth.status = 200
        response = _plain_response(http.Refusal(200, body, headers), self._shape.close_each)
        self.truth.headers_ns = time.monotonic_ns()
        self.truth.token_ns.append(self.truth.headers_ns)
        self.truth.token_counts.append(self._total + self._echoed)
        self._line.send(response)
        self._close("ok" if self._fault is None else "fault")
        self._line.finished(self, keep_alive=not self._shape.close_each)

    def _close(self, outcome: str) -> None:
        self.over = True
        self.truth.outcome = outcome
        self.truth.end_ns = time.monotonic_ns()
        self.truth.output_tokens = sum(self.truth.token_counts)

    # --- faults inside a stream ---

    def _play_fault(self) -> None:
        fault = self._fault
        if fault is None or fault.kind == "stall":
            return
        if fault.kind == "truncate":
            self._end("fault", complete=False)
        elif fault.kind == "error":
            self._put(self._dialect.error(fault.aws or "internal_error", "emulated failure"), 0)
            self._end("fault", complete=False)
        elif fault.kind == "cut":
            self._cut(fault)
        elif fault.kind == "garbage":
            self._garbage(fault)

    def _cut(self, fault: Fault) -> None:
        if fault.mid:
            event = self._frame(self._dialect.token(self._text(self._count), self._usage(self._count), False, None))
            self._line.send(event[:len(event) // 2])
        self._close("fault")
        self._line.finished(self, keep_alive=False, reset=fault.how == "rst")

    def _garbage(self, fault: Fault) -> None:
        if fault.how != "raw":
            self._put(_GARBAGE, 0)
            if self._count == self._total:
                self._end("fault")
            return
        self._line.send(_GARBAGE)
        self._close("fault")
        self._line.finished(self, keep_alive=False)


_AFTER_TOKEN = ("error", "cut", "truncate", "stall", "garbage")


def _framing_headers(chunked: bool, close_each: bool) -> dict[str, str]:
    headers = {"Transfer-Encoding": "chunked"} if chunked else {}
    return headers | ({"Connection": "close"} if close_each or not chunked else {})


def _plain_response(refusal: http.Refusal, close: bool) -> bytes:
    """A whole response with Content-Length."""
    headers = {"Content-Type": refusal.content_type, **refusal.headers, "Content-Length": str(len(refusal.body))}
    if close:
        headers["Connection"] = "close"
    return http.head(refusal.status, headers) + refusal.body
