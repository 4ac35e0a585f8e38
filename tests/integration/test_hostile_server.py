"""A hostile server on raw sockets: right answers of every protocol, spoilt on their way; what is recorded beside what
the server knows that it sent."""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import gevent
import pytest

from fmload.emulator.tls import make_certificate, server_context
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.wire.eventstream import frames
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests import aws_frames
from tests.further_forms import FURTHER, Form, Shape, text
from tests.protocols import INPUT, PROTOCOLS, TOKENS, answered

pytestmark = pytest.mark.usefixtures("aws_credentials")
FORMS: Mapping[str, Form] = {
    **{name: Form(one.protocol, "events", text, one.keys, counts="body" if "counts" in one.has else None)
       for name, one in PROTOCOLS.items()}, **FURTHER}
WORDS_OF_ERROR = b'{"error":{"message":"no more memory"}}'
CUT, RESET = b"(cut)", b"(reset)"  # the connection ends here, by its end or by a reset
_COUNTS = re.compile(
    rb'"(prompt_tokens|completion_tokens|total_tokens|input_tokens|output_tokens|promptTokenCount|candidatesTokenCount|'
    rb'totalTokenCount|prompt_eval_count|eval_count|generated_tokens|input_length|tokens_evaluated|tokens_predicted|'
    rb'predicted_n|prompt_n|inputTokens|outputTokens|totalTokens|inputTokenCount|outputTokenCount|inputTextTokenCount|'
    rb'totalOutputTextTokenCount|tokenCount|prompt_token_count|generation_token_count|search_units)":\s*(\d+)')
_REASONS = re.compile(
    rb'"(finish_reason|finishReason|stop_reason|done_reason|stop_type|stopReason|completionReason)":\s*"[^"]+"')
Parts = list[bytes]
Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Sent:
    """A right answer: its body, its type, how it stands there, and further headers of the server."""

    body: bytes
    kind: str
    shape: Shape
    headers: Mapping[str, str] = field(default_factory=dict)

    def head(self, kind: str | None = None, status: int = 200, **more: object) -> bytes:
        named = {"content-type": kind or self.kind, **self.headers,
                 **{name.replace("_", "-"): value for name, value in more.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode()

    def chunked(self, *parts: bytes, kind: str | None = None, **more: object) -> bytes:
        """A response with these parts of a body, or with the right body in one."""
        return self.head(kind, transfer_encoding="chunked", **more) + b"".join(
            b"%x\r\n%b\r\n" % (len(part), part) for part in parts or (self.body,) if part) + b"0\r\n\r\n"

    def half(self) -> bytes:
        """The head, and half of the body."""
        head = self.head(transfer_encoding="chunked")
        return head + half(self.chunked()[len(head):])

    def whole(self, body: bytes, kind: str = "application/json", status: int = 200, **more: object) -> bytes:
        return self.head(kind, status, content_length=len(body), **more) + body

    def changed(self, change: Change) -> bytes:
        """The response with every message of the body changed."""
        return self.chunked(b"".join(_reframed(self.body, change)) if self.shape == "frames" else change(self.body))

    def parts(self) -> tuple[Parts, bytes]:
        """The events of the body, and what ends each."""
        if self.shape == "frames":
            return list(_reframed(self.body, lambda same: same)), b""
        end = next(one for one in (b"\r\n\r\n", b"\n\n", b"\n") if one in self.body)
        return [event + end for event in self.body.split(end) if event.strip()], end

    def with_error(self) -> bytes:
        """Broken off with an error, in the form's own way to tell one."""
        if self.shape == "sound":
            return self.chunked(half(self.body), WORDS_OF_ERROR)
        some, end = self.parts()
        error = {b"": aws_frames.exception("modelStreamErrorException", {"message": "no more memory"}),
                 b"\n": WORDS_OF_ERROR + b"\n"}.get(end, b"data: " + WORDS_OF_ERROR + end)
        return self.chunked(b"".join([*some[:3 if len(some) > 3 else 1], error]))

    def with_comments(self) -> bytes:
        some, end = self.parts()
        return self.chunked(b"".join((b": keep-alive\n\n" if end != b"\n" else b"\n") + event for event in some))


def _reframed(body: bytes, change: Change) -> Iterator[bytes]:
    """AWS's frames, with what stands in each of them changed."""
    for frame in frames(body):
        headers, payload = {str(name): str(value) for name, value in frame.headers.items()}, frame.payload
        if headers[":event-type"] == "chunk":
            inner = change(base64.b64decode(json.loads(payload)["bytes"]))
            payload = json.dumps({"bytes": base64.b64encode(inner).decode()}).encode()
        else:
            payload = change(payload)
        yield aws_frames.frame(headers, payload)


def each_byte(data: bytes) -> Parts:
    return [data[place:place + 1] for place in range(len(data))]


def counts(changed: Change) -> Callable[[Sent], Parts]:
    return lambda sent: [sent.changed(lambda body: _COUNTS.sub(
        lambda found: b'"%b":%b' % (found[1], changed(found[2])), body))]


def half(data: bytes) -> bytes:
    return data[:len(data) // 2]


ALL: frozenset[Shape] = frozenset(("events", "document", "text", "sound", "frames"))
STREAMS: frozenset[Shape] = frozenset(("events", "frames"))


@dataclass(frozen=True)
class Way:
    """What is sent in place of a right answer, and the outcome that it is: one of several, or by the shape."""

    outcome: str
    parts: Callable[[Sent], Parts]
    of: frozenset[Shape] = ALL
    by_shape: Mapping[str, str] = field(default_factory=dict)

    def right(self, shape: Shape) -> list[str]:
        return self.by_shape.get(shape, self.outcome).split("|")


WAYS: dict[str, Way] = {
    "as it is": Way("ok", lambda sent: [sent.chunked()]),
    "a byte a write": Way("ok", lambda sent: each_byte(sent.chunked())),
    "a byte a chunk": Way("ok", lambda sent: [sent.chunked(*each_byte(sent.body))]),
    "gzip": Way("ok", lambda sent: [sent.chunked(*each_byte(gzip.compress(sent.body)), content_encoding="gzip")]),
    "as plain text": Way("ok", lambda sent: [sent.chunked(kind="text/plain")], by_shape={"sound": "decode"}),
    "as a page": Way("ok", lambda sent: [sent.chunked(kind="text/html")], by_shape={"sound": "decode"}),
    "until the connection ends": Way("ok", lambda sent: [sent.head(connection="close") + sent.body, CUT]),
    "two answers to one request": Way("ok", lambda sent: [sent.whole(sent.body, sent.kind) + sent.whole(b"{}")]),
    "comments between events": Way("ok", lambda sent: [sent.with_comments()], frozenset({"events"})),
    "counts of 0": Way("ok", counts(lambda _: b"0")),
    "counts beyond reason": Way("ok", counts(lambda _: b"99999999999999999999")),
    "counts below 0": Way("ok", counts(lambda count: b"-" + count)),
    "counts of null": Way("ok", counts(lambda _: b"null")),
    "counts as texts": Way("ok", counts(lambda count: b'"%b"' % count)),
    "counts as floats": Way("ok", counts(lambda count: count + b".0")),
    "a reason of its own": Way("ok", lambda sent: [sent.changed(lambda body: _REASONS.sub(rb'"\1":"because"', body))]),
    "cut": Way("truncated", lambda sent: [sent.half(), CUT]),
    "reset": Way("truncated", lambda sent: [sent.half(), RESET]),
    "gzip without its end": Way("truncated|decode", lambda sent: [
        sent.chunked(gzip.compress(sent.body)[:-20], content_encoding="gzip")]),
    "an error in it": Way("stream_error", lambda sent: [sent.with_error()], STREAMS | {"sound"}),
    "an error alone": Way("stream_error", lambda sent: [sent.whole(WORDS_OF_ERROR)]),
    "a page": Way("decode", lambda sent: [sent.whole(b"<html>sign in</html>", "text/html")]),
    "nothing": Way("empty", lambda sent: [sent.whole(b"", sent.kind)], ALL - {"text"},  # of no speech that is right
                   {"document": "empty|decode"}),
    "too much at once": Way("throttled", lambda sent: [sent.whole(b"{}", status=429, retry_after=7)]),
    "a page of an error": Way("http_5xx", lambda sent: [sent.whole(b"<h1>broken</h1>", "text/html", 500)]),
}
FALSE_COUNTS = ("counts of 0", "counts beyond reason", "counts below 0", "counts of null")
CASES = [(name, way) for name, form in FORMS.items() for way in WAYS if form.shape in WAYS[way].of]


@lru_cache
def right_answer(name: str) -> Sent:
    form = FORMS[name]
    exchange = answered(form.endpoint(), form.prompt, tokens=form.tokens).exchange
    headers = {name: value for name, value in exchange.headers.items() if name.startswith("x-")}
    return Sent(exchange.body, exchange.headers["content-type"], form.shape, headers)


class Hostile:
    """The server: the request's id is the place of form and way in CASES."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._socket, self._context = socket.create_server(("127.0.0.1", 0), backlog=64), context
        self.requests = 0
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            with self._context.wrap_socket(sock, server_side=True) if self._context else sock as line:
                while asked := _request(line):
                    self.requests += 1
                    name, way = CASES[int(asked["x-request-id"])]
                    if not _send(line, WAYS[way].parts(right_answer(name))):
                        return
        except OSError:
            return

    def close(self) -> None:
        self._socket.close()


def _request(line: socket.socket) -> dict[str, str]:
    """The headers of the next request, its body thrown away; none at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := line.recv(65536)):
            return {}
        data += more
    lines, _, rest = data.partition(b"\r\n\r\n")
    headers = {name.lower(): value for name, _, value in (
        one.partition(": ") for one in lines.decode().split("\r\n")[1:])}
    while len(rest) < int(headers["content-length"]):
        rest += line.recv(65536)
    return headers


def _send(line: socket.socket, parts: Parts) -> bool:
    """Whether the connection goes on."""
    for part in parts:
        if part == RESET:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if part in (CUT, RESET):
            return False
        line.sendall(part)
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[Hostile]:
    made = Hostile()
    yield made
    made.close()


WIRE = Http1Wire(Timeouts(total_s=60))


@lru_cache
def endpoint_of(name: str, url: str, ca_file: str | None = None) -> Any:
    form = FORMS[name]
    base = url + ("/v1" if form.protocol in ("openai", "responses") and "api_version" not in form.keys else "")
    trusted = {} if ca_file is None else {"ca_file": ca_file}
    return form.endpoint(url=base, **trusted)


def asked(name: str, way: str, url: str, ca_file: str | None = None) -> tuple[Record, Reading]:
    form, endpoint, place = FORMS[name], endpoint_of(name, url, ca_file), str(CASES.index((name, way)))
    return measure(endpoint, form.prompt, WIRE, endpoint.addresses()[0], request_id=place, worker="w", stage=0,
                   scheduled_ns=0, max_output_tokens=TOKENS)


def require_right(name: str, way: str, record: Record, reading: Reading) -> None:
    """What is recorded is what the server sent."""
    form = FORMS[name]
    assert record.outcome in WAYS[way].right(form.shape), record.error
    if record.outcome != "ok":
        assert record.error
        return
    form.right(record, reading)
    told = {INPUT} if form.counts == "headers" or (form.counts == "body" and way not in FALSE_COUNTS) else {None}
    assert record.input_tokens in told | ({None} if way == "counts beyond reason" else set())  # which contradict others


@pytest.mark.parametrize(("name", "way"), CASES)
def test_what_is_recorded_of_a_spoilt_answer_is_what_was_sent(name: str, way: str, server: Hostile) -> None:
    before = server.requests
    require_right(name, way, *asked(name, way, server.url))
    assert server.requests == before + 1  # whatever came: nothing is asked for twice


def test_it_is_so_for_32_at_once_on_shared_connections(server: Hostile) -> None:
    some = [(name, way) for name, way in CASES if WAYS[way].right(FORMS[name].shape) == ["ok"]]
    pool = gevent.pool.Pool(32)
    for (name, way), found in zip(some, pool.map(lambda one: asked(*one, server.url), some), strict=True):
        require_right(name, way, *found)


def test_a_tls_connection_that_is_cut_inside_an_answer_is_truncated(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, ["127.0.0.1"])
    server = Hostile(server_context(certificate))
    try:
        for name in FORMS:
            for way in ("as it is", "cut", "reset"):
                require_right(name, way, *asked(name, way, server.url, str(certificate)))
    finally:
        server.close()
