"""A hostile server on raw sockets: right answers of every protocol, spoilt on their way; what is recorded beside what
the server knows that it sent."""

from __future__ import annotations

import gzip
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from fmload.emulator.tls import make_certificate, server_context
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.protocols import INPUT, PROMPT, PROTOCOLS, TOKENS, WORDS, answered
from tests.spoken import spoken

TEXT = "".join(WORDS[:TOKENS])
WORDS_OF_ERROR = b'{"error":{"message":"no more memory"}}'
CUT, RESET = b"(cut)", b"(reset)"  # the connection ends here, by its end or by a reset
_COUNTS = re.compile(
    rb'"(prompt_tokens|completion_tokens|total_tokens|input_tokens|output_tokens|promptTokenCount|candidatesTokenCount|'
    rb'totalTokenCount|prompt_eval_count|eval_count|generated_tokens|input_length|tokens_evaluated|tokens_predicted|'
    rb'predicted_n|prompt_n)":\s*(\d+)')
_REASONS = re.compile(rb'"(finish_reason|finishReason|stop_reason|done_reason|stop_type)":\s*"[^"]+"')
Parts = list[bytes]


def head(kind: str = "text/event-stream", status: int = 200, **more: object) -> bytes:
    named = {"content-type": kind, **{name.replace("_", "-"): value for name, value in more.items()}}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} Status\r\n{lines}\r\n".encode()


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"


def stream(*parts: bytes, kind: str = "text/event-stream", **more: object) -> bytes:
    return head(kind, transfer_encoding="chunked", **more) + chunked(*parts)


def whole(body: bytes, kind: str = "application/json", status: int = 200) -> bytes:
    return head(kind, status, content_length=len(body)) + body


def each_byte(data: bytes) -> Parts:
    return [data[place:place + 1] for place in range(len(data))]


def events(body: bytes) -> tuple[Parts, bytes]:
    """The events of a body, and what ends each."""
    end = next(one for one in (b"\r\n\r\n", b"\n\n", b"\n") if one in body)
    return [event + end for event in body.split(end) if event.strip()], end


def with_counts(body: bytes, changed: Callable[[bytes], bytes]) -> bytes:
    return _COUNTS.sub(lambda found: b'"%b":%b' % (found[1], changed(found[2])), body)


def with_error(body: bytes) -> bytes:
    some, end = events(body)
    error = b"data: " + WORDS_OF_ERROR if end != b"\n" else WORDS_OF_ERROR
    return b"".join([*some[:3], error + end])


def with_comments(body: bytes) -> bytes:
    some, end = events(body)
    return b"".join((b": keep-alive\n\n" if end != b"\n" else b"\n") + event for event in some)


def half(data: bytes) -> bytes:
    return data[:len(data) // 2]


# What is sent in place of a right body, and the outcome that it is.
WAYS: dict[str, tuple[str, Callable[[bytes], Parts]]] = {
    "as it is": ("ok", lambda body: [stream(body)]),
    "a byte a write": ("ok", lambda body: each_byte(stream(body))),
    "a byte a chunk": ("ok", lambda body: [stream(*each_byte(body))]),
    "gzip": ("ok", lambda body: [stream(*each_byte(gzip.compress(body)), content_encoding="gzip")]),
    "as plain text": ("ok", lambda body: [stream(body, kind="text/plain")]),
    "as a page": ("ok", lambda body: [stream(body, kind="text/html")]),
    "until the connection ends": ("ok", lambda body: [head(connection="close") + body, CUT]),
    "two answers to one request": ("ok", lambda body: [whole(body, "text/event-stream") + whole(b"{}")]),
    "comments between events": ("ok", lambda body: [stream(with_comments(body))]),
    "counts of 0": ("ok", lambda body: [stream(with_counts(body, lambda _: b"0"))]),
    "counts beyond reason": ("ok", lambda body: [stream(with_counts(body, lambda _: b"99999999999999999999"))]),
    "counts below 0": ("ok", lambda body: [stream(with_counts(body, lambda count: b"-" + count))]),
    "counts of null": ("ok", lambda body: [stream(with_counts(body, lambda _: b"null"))]),
    "counts as texts": ("ok", lambda body: [stream(with_counts(body, lambda count: b'"%b"' % count))]),
    "counts as floats": ("ok", lambda body: [stream(with_counts(body, lambda count: count + b".0"))]),
    "a reason of its own": ("ok", lambda body: [stream(_REASONS.sub(rb'"\1":"because"', body))]),
    "cut": ("truncated", lambda body: [half(stream(body)), CUT]),
    "reset": ("truncated", lambda body: [half(stream(body)), RESET]),
    "gzip without its end": ("truncated|decode", lambda body: [
        stream(gzip.compress(body)[:-20], content_encoding="gzip")]),
    "an error in it": ("stream_error", lambda body: [stream(with_error(body))]),
    "an error alone": ("stream_error", lambda body: [whole(WORDS_OF_ERROR)]),
    "a page": ("decode", lambda body: [whole(b"<html>sign in</html>", "text/html")]),
    "nothing": ("empty", lambda body: [whole(b"", "text/event-stream")]),
    "too much at once": ("throttled", lambda body: [head("application/json", 429, retry_after=7, content_length=2)
                                                    + b"{}"]),
    "a page of an error": ("http_5xx", lambda body: [whole(b"<h1>broken</h1>", "text/html", 500)]),
}
FALSE_COUNTS = ("counts of 0", "counts beyond reason", "counts below 0", "counts of null")
BODIES = {name: answered(one.endpoint()).exchange.body for name, one in PROTOCOLS.items()}


class Hostile:
    """The server: the way and the protocol stand in the request's headers."""

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
                    if not _send(line, WAYS[asked["x-way"]][1](BODIES[asked["x-protocol"]])):
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
    text, _, rest = data.partition(b"\r\n\r\n")
    headers = {name.lower(): value for name, _, value in (
        one.partition(": ") for one in text.decode().split("\r\n")[1:])}
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


def asked(name: str, way: str, url: str, wire: Http1Wire = WIRE, **keys: object) -> tuple[Record, Reading]:
    one = PROTOCOLS[name]
    base = url + ("/v1" if one.protocol in ("openai", "responses") and "api_version" not in one.keys else "")
    endpoint = spoken(one.protocol, **{**one.keys, "url": base, "headers": {"X-Way": way, "X-Protocol": name}, **keys})
    return measure(endpoint, PROMPT, wire, endpoint.addresses()[0], request_id="r", worker="w", stage=0,
                   scheduled_ns=0, max_output_tokens=TOKENS)


def require_right(name: str, way: str, record: Record, reading: Reading) -> None:
    """What is recorded is what the server sent."""
    assert record.outcome in WAYS[way][0].split("|"), record.error
    if record.outcome != "ok":
        assert record.error
        return
    assert (reading.said("answer"), record.output_tokens, len(record.chunk_ns)) == (TEXT, TOKENS, TOKENS)
    told = "counts" in PROTOCOLS[name].has and way not in FALSE_COUNTS
    assert (record.input_tokens, record.tokens_source) == (INPUT, "server") if told else record.input_tokens is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_is_recorded_of_a_spoilt_answer_is_what_was_sent(name: str, way: str, server: Hostile) -> None:
    before = server.requests
    require_right(name, way, *asked(name, way, server.url))
    assert server.requests == before + 1  # whatever came: nothing is asked for twice


def test_it_is_so_for_32_at_once_on_shared_connections(server: Hostile) -> None:
    some = [(name, way) for way, (outcome, _) in WAYS.items() if outcome == "ok" for name in PROTOCOLS]
    pool = gevent.pool.Pool(32)
    for (name, way), found in zip(some, pool.map(lambda one: asked(*one, server.url), some), strict=True):
        require_right(name, way, *found)


def test_a_tls_connection_that_is_cut_inside_an_answer_is_truncated(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, ["127.0.0.1"])
    server = Hostile(server_context(certificate))
    try:
        for name in PROTOCOLS:
            for way in ("as it is", "cut", "reset"):
                require_right(name, way, *asked(name, way, server.url, ca_file=str(certificate)))
    finally:
        server.close()
