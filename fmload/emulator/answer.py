"""One answer on its way out: tokens to events to writes, with the shape, the fault and the truth of each."""

from __future__ import annotations

import gzip
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from fmload.emulator import http, media, planes
from fmload.emulator.dialect import Usage
from fmload.emulator.engine import SECOND_NS, Job
from fmload.emulator.faults import Fault
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.shape import Shape
from fmload.emulator.truth import Truth

_GARBAGE = random.Random(0).randbytes(200)
_HELD_BACK = 1 << 30
_AFTER_TOKEN = ("error", "cut", "truncate", "stall", "garbage")


class Line(Protocol):
    """The connection under an answer, and the clock beside it. `headers` go on every answer."""

    headers: Mapping[str, str]

    def send(self, data: bytes) -> None: ...

    def at(self, due_ns: int, call: Callable[[], None]) -> None: ...

    def finished(self, answer: EmulatedAnswer, keep_alive: bool, reset: bool = False) -> None: ...


class EmulatedAnswer:
    """The response to one request. The engine calls `token` for every token; everything else follows."""

    def __init__(self, line: Line, plane: Plane, opened: Opened, job: Job, truth: Truth, shape: Shape,
                 fault: Fault | None, text: Callable[[int], str]) -> None:
        self.plane, self.ask, self.job, self.truth, self.over = plane, opened.ask, job, truth, False
        self._line, self._dialect, self._text = line, opened.dialect, text
        self._fault, self._kind = fault, fault.kind if fault else None
        self._after = fault.after if fault and fault.kind in _AFTER_TOKEN else -1
        if self._kind == "buffer":
            shape = replace(shape, coalesce=_HELD_BACK, headers="with_first_token", role="with_first_token")
        self._shape = shape
        self._lag_ns = round(shape.delay_s * SECOND_NS)
        if fault and fault.kind == "slow_headers":
            self._lag_ns += round(fault.seconds * SECOND_NS)
        self._framing = http.BodyFraming(shape.framing == "chunked", self._kind == "gzip")
        self._frame = self._framing.frame
        self._total = job.output_tokens
        if fault and fault.kind == "filter":
            self._total, truth.right = min(self._total, max(1, fault.after)), "blocked"
        self._made = self._count = self._pending = 0
        self._echoed = job.input_tokens if self._kind == "echo" else 0
        self._texts: list[str] = []
        self._events: list[bytes] = []
        self._before = b""  # what goes out before the first token
        self._simple = self.ask.stream and shape.tokens_per_chunk == shape.coalesce == 1 and self.ask.images is None
        self._kinds = media.details(self.ask.media)
        self._textless = self.ask.inputs is not None or self.ask.images is not None

    # --- called by the server ---

    def begin(self, now_ns: int) -> None:
        """The request was taken: headers (and an early role) go out, if the shape sends them now."""
        if self._kind == "empty":
            self._at(now_ns, self._end_empty)
        elif self.ask.stream and (self._shape.headers == "at_once" or self._after == 0):
            self._at(now_ns, self._open)
            if self._after == 0:
                self._at(now_ns, self._play_fault)
            self._ping_later()

    def token(self, now_ns: int) -> None:
        """The engine made one more token."""
        if self._kind == "stall" and self._made == self._after and self._fault is not None:
            self._lag_ns += round(self._fault.seconds * SECOND_NS)
        self._made += 1
        if self._lag_ns:
            self._at(now_ns, self._token)
        elif not self.over:
            self._token()

    def said(self) -> str:
        """The words of the tokens made so far, thoughts left out."""
        return "".join(map(self._text, range(min(self._shape.reasoning_tokens, self._count), self._count)))

    def disconnected(self) -> None:
        """The client went away."""
        self._close("disconnected")

    def refuse(self, refusal: http.Refusal) -> None:
        """An HTTP error instead of tokens; in a stream that has begun, an error event."""
        if self.truth.headers_ns is None:
            self._reply(refusal.status, refusal.body, refusal.content_type, refusal.headers, refusal.outcome)
            return
        self._put(self._dialect.error(None, "the request waited too long in the queue", ""), 0)
        self._end(refusal.outcome, complete=False)

    def _ping_later(self) -> None:
        if self._shape.ping_s and self.plane.ping:
            self._line.at(time.monotonic_ns() + round(self._shape.ping_s * SECOND_NS), self._ping)

    def _ping(self) -> None:
        if self.over or self._count:
            return
        if self.truth.headers_ns is not None:
            self._put(self.plane.ping, 0)
        self._ping_later()

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
        if self._simple and index and not last:
            usage = self._usage(count) if self._dialect.usage_each else None
            self._put(self._dialect.token(self._text(index), index < self._shape.reasoning_tokens, None, usage), 1)
        elif self.ask.stream:
            self._gather(index, last)
        elif last:
            self._send_whole()
            return
        if self.over or not self.ask.stream:
            return
        if count == self._after and self._kind != "stall":
            self._play_fault()
        elif last:
            self._end(self._outcome())

    def _gather(self, index: int, last: bool) -> None:
        """The general way: tokens to chunks, chunks to events, events to writes, as the shape says."""
        shape, dialect, count = self._shape, self._dialect, index + 1
        struck = count == self._after and self._kind != "stall"
        if index == 0 and shape.role != "early":
            self._before = dialect.opening(self._usage(0))
        self._texts.append(self._first_text() if index == 0 else self._text(index))
        self._pending += 1 + (self._echoed if index == 0 else 0)
        if len(self._texts) >= shape.tokens_per_chunk or last or struck or count == shape.reasoning_tokens:
            finish = self._finish_reason() if last and not struck and dialect.finish_with_last else None
            usage = self._usage(count) if dialect.usage_each or finish else None
            self._events.append(dialect.token("".join(self._texts), index < shape.reasoning_tokens, finish, usage))
            self._texts.clear()
        if len(self._events) >= shape.coalesce or (self._events and (last or struck)):
            self._flush()

    def _flush(self) -> None:
        tokens, self._pending = self._pending, 0
        data, before, self._before = b"".join(self._events), self._before, b""
        self._events.clear()
        if self._textless and not data:  # a step of an image that shows nothing
            return
        if self.truth.headers_ns is None:
            self._open()
        self._put(data, tokens, self._frame(before))

    def _put(self, data: bytes, tokens: int, before: bytes = b"") -> None:
        framed = before + self._frame(data)
        if tokens:
            self.truth.token_counts.append(0 if self._textless else tokens)
            self.truth.token_ns.append(time.monotonic_ns())
        self._line.send(framed)

    def _first_text(self) -> str:
        return self.ask.prompt + self._text(0) if self._kind == "echo" else self._text(0)

    def _usage(self, count: int) -> Usage:
        factor = self._fault.factor if self._fault is not None and self._kind == "usage" else 1.0
        thoughts, now_ns = min(count, self._shape.reasoning_tokens), time.monotonic_ns()
        received_ns = self.truth.received_ns
        first_ns = self.truth.token_ns[0] if self.truth.token_ns else now_ns
        return Usage(round(self.job.input_tokens * factor), round((count + self._echoed) * factor),
                     self.job.cached_tokens, round(thoughts * factor),
                     (now_ns - received_ns) // 1_000_000, (first_ns - received_ns) // 1_000_000,
                     self._kinds)

    def _finish_reason(self) -> str:
        if self._kind == "filter":
            return "content_filter"
        limit = self.ask.max_tokens
        return "length" if limit is not None and self._total >= limit else "stop"

    def _outcome(self) -> str:
        """Of an answer that came to its end: well, unless something in it is no answer."""
        return "fault" if self._kind == "garbage" and 0 <= self._after <= self._count else "ok"

    # --- beginning and end ---

    def _open(self) -> None:
        headers = {"Content-Type": self._dialect.content_type, **self._common_headers(), **self._dialect.headers}
        if self._framing.chunked:
            headers["Transfer-Encoding"] = "chunked"
        early = self._frame(self._dialect.opening(self._usage(0))) if self._shape.role == "early" else b""
        self.truth.status = 200
        self.truth.headers_ns = time.monotonic_ns()
        self._line.send(http.head(200, headers) + early)

    def _common_headers(self) -> dict[str, str]:
        headers = {**self._line.headers, "X-Request-Id": self.truth.request_id}
        if self.plane.request_id_header is not None:
            headers[self.plane.request_id_header] = self.truth.request_id
        if self._shape.close_each or (self.ask.stream and not self._framing.chunked):
            headers["Connection"] = "close"
        if self._kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        return headers

    def _end_empty(self) -> None:
        if self.ask.stream:
            self._open()
            self._end("fault", complete=False)
        else:
            self._reply(200, b"", "application/json", {}, "fault")

    def _end(self, outcome: str, complete: bool = True) -> None:
        """Everything after the last token: finish reason, usage, end mark, end of the body."""
        data, dialect = b"", self._dialect
        if complete:
            finish = None if dialect.finish_with_last else self._finish_reason()
            data = self._frame(dialect.closing(finish, self._usage(self._count))) + self._frame(dialect.trailer())
        self._line.send(data + self._framing.end())
        self._close(outcome)
        self._line.finished(self, keep_alive=self._framing.chunked and not self._shape.close_each)

    def _reply(self, status: int, body: bytes, content_type: str, headers: Mapping[str, str], outcome: str) -> None:
        """A whole response with Content-Length."""
        everything = {"Content-Type": content_type, **self._common_headers(), **headers,
                      "Content-Length": str(len(body))}
        self.truth.status = status
        self.truth.headers_ns = time.monotonic_ns()
        self._line.send(http.head(status, everything) + body)
        self._close(outcome)
        self._line.finished(self, keep_alive=not self._shape.close_each)

    def _close(self, outcome: str) -> None:
        self.over = True
        self.truth.outcome = outcome
        self.truth.end_ns = time.monotonic_ns()
        self.truth.output_tokens = sum(self.truth.token_counts)

    # --- answers that are not streamed ---

    def _send_whole(self) -> None:
        thoughts = min(self._shape.reasoning_tokens, self._total)
        reasoning = "".join(map(self._text, range(thoughts)))
        text = "".join(map(self._text, range(thoughts, self._total)))
        text = self.ask.prompt + text if self._kind == "echo" else text
        whole = self._dialect.whole(text, reasoning, self._finish_reason(), self._usage(self._total))
        body = gzip.compress(whole.body) if self._kind == "gzip" else whole.body
        if self._fault is not None and self._kind in _AFTER_TOKEN and self._kind != "stall":
            self._spoil_whole(self._fault, body)
            return
        self.truth.token_ns.append(time.monotonic_ns())
        self.truth.token_counts.append(0 if self._textless else self._total + self._echoed)
        self._reply(200, body, whole.content_type, whole.headers, self._outcome())

    def _spoil_whole(self, fault: Fault, body: bytes) -> None:
        """A fault that strikes inside a stream, for an answer that is not one."""
        if fault.kind == "error":
            self.refuse(planes.refuse(self.plane, fault))
        elif fault.kind == "garbage":
            self._reply(200, _GARBAGE, "application/json", {}, "fault")
        else:
            self.truth.status, self.truth.headers_ns = 200, time.monotonic_ns()
            self._line.send(http.head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
                            + body[:len(body) // 2])
            self._break(reset=fault.kind == "cut" and fault.how == "rst")

    # --- faults inside a stream ---

    def _play_fault(self) -> None:
        fault = self._fault
        if fault is None:
            return
        if fault.kind == "truncate":
            self._end("fault", complete=False)
        elif fault.kind == "error":
            self._put(self._dialect.error(fault.aws, "emulated failure", fault.how), 0)
            self._end("fault", complete=False)
        elif fault.kind == "cut":
            if fault.mid:
                event = self._frame(self._dialect.token(self._text(self._count), False, None, self._usage(self._count)))
                self._line.send(event[:len(event) // 2])
            self._break(reset=fault.how == "rst")
        elif fault.kind == "garbage":
            self._send_garbage(fault)

    def _send_garbage(self, fault: Fault) -> None:
        if fault.how == "raw":
            self._line.send(_GARBAGE)
            self._break(reset=False)
            return
        self._put(_GARBAGE, 0)
        if self._count == self._total:
            self._end(self._outcome())

    def _break(self, reset: bool) -> None:
        self._close("fault")
        self._line.finished(self, keep_alive=False, reset=reset)
