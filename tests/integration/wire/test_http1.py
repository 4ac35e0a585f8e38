"""The wire against real sockets: framings, connections, deadlines, ends of every kind."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import time

import gevent
import pytest

from fmload.wire.exchange import Address, Exchange, HttpRequest, Timeouts
from fmload.wire.http1 import Http1Wire, encode_request
from tests.integration.wire.served import Step, serving, until

pytestmark = pytest.mark.usefixtures("reader")
POST = HttpRequest("POST", "/v1/x", {"X-A": "1"}, b"{}")
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


END = piece(b"")
OK: list[Step] = [HEAD + piece(b"one") + END]


def has_token(body: bytes) -> bool:
    return b"token" in body


def exchanged(script: list[Step], timeouts: Timeouts | None = None, request: HttpRequest = POST) -> Exchange:
    with serving(script) as server:
        return Http1Wire(timeouts).exchange(Address("127.0.0.1", server.port), request, has_token)


def failed(exchange: Exchange) -> str:
    assert exchange.failure is not None
    return exchange.failure.outcome


def test_every_read_is_stamped_by_the_kernel_and_maps_to_the_body() -> None:
    exchange = exchanged([HEAD, 0.05, piece(b"first"), 0.05, piece(b"second"), 0.05, END])
    assert (exchange.status, exchange.body, exchange.complete, exchange.failure) == (200, b"firstsecond", True, None)
    assert [mark.end for mark in exchange.marks] == [0, 5, 11, 11]
    assert all(mark.kernel and mark.lag_ns >= 0 for mark in exchange.marks)
    instants = [
        exchange.send_ns,
        exchange.connected_ns,
        exchange.headers_ns,
        exchange.mark_at(1).ns,
        exchange.mark_at(6).ns,
        exchange.end_ns,
    ]
    assert instants == sorted(instants)  # type: ignore[type-var]


def test_a_stamp_is_of_the_arrival_not_of_the_reading(reader: str) -> None:
    """The loop is blocked while the tokens come: what is read late was still stamped when it came. The native reader
    does not read late."""
    with serving([HEAD, 0.05, piece(b"a"), 0.3, piece(b"b") + END]) as server:
        wire = Http1Wire()
        request = gevent.spawn(wire.exchange, Address("127.0.0.1", server.port), POST, has_token)
        gevent.sleep(0.02)
        held_until = time.monotonic() + 0.2
        while time.monotonic() < held_until:  # the interpreter is held
            pass
        exchange = request.get(timeout=10)
    first = exchange.mark_at(1)
    assert first.kernel and first.ns - (exchange.send_ns or 0) < 150_000_000
    assert (first.lag_ns > 50_000_000) is (reader == "python")


def test_a_client_that_gives_up_after_a_read_keeps_what_came_and_closes() -> None:
    with serving([HEAD, 0.05, piece(b"first"), 0.05, piece(b"second"), 0.5, END]) as server:
        wire = Http1Wire()
        exchange = wire.exchange(Address("127.0.0.1", server.port), POST, has_token, lambda _, body: b"sec" in body())
        assert failed(exchange) == "cancelled"
        assert (exchange.body, exchange.complete) == (b"firstsecond", False)
        assert (exchange.end_ns or 0) - exchange.mark_at(11).ns < 200_000_000
        assert wire.preconnect(Address("127.0.0.1", server.port), 0) == 0  # no connection is kept


def test_without_kernel_stamps_user_space_says_so() -> None:
    with serving(OK) as server:
        exchange = Http1Wire(kernel_stamps=False).exchange(Address("127.0.0.1", server.port), POST, has_token)
    assert exchange.marks and not any(mark.kernel or mark.lag_ns for mark in exchange.marks)


def test_connections_are_kept_and_only_the_first_request_pays() -> None:
    with serving(OK) as server:
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        first, second = (wire.exchange(address, POST, has_token) for _ in range(2))
        assert (first.reused, second.reused, server.connections) == (False, True, 1)
        assert first.connected_ns is not None and first.send_ns is not None and first.connected_ns > first.send_ns
        assert second.connected_ns is None


def test_connections_opened_ahead_are_used() -> None:
    with serving(OK) as server:
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        assert wire.preconnect(address, 5) == 5 == wire.preconnect(address, 3)
        exchange = wire.exchange(address, POST, has_token)
        assert exchange.reused and exchange.connected_ns is None
        until(lambda: server.connections == 5)


def test_opening_ahead_where_nobody_listens_opens_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert Http1Wire().preconnect(Address("127.0.0.1", port), 3) == 0


def test_a_connection_that_died_while_idle_is_replaced_and_is_no_error() -> None:
    with serving([*OK, "close"]) as server:  # closes after every answer, without a word in its headers
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        for _ in range(50):
            exchange = wire.exchange(address, POST, has_token)
            assert exchange.failure is None and not exchange.reused and exchange.connected_ns is not None
            gevent.sleep(0)


def test_a_server_that_takes_the_request_and_closes_is_an_error_on_a_new_connection() -> None:
    with serving(OK, ["close"]) as server:
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        assert wire.exchange(address, POST, has_token).failure is None
        again = wire.exchange(address, POST, has_token)
        assert failed(again) == "connect" and again.again
        assert server.connections == 2


def test_an_answer_that_never_came_on_a_kept_connection_is_not_asked_for_again() -> None:
    with serving(OK, [0.7, "close"], OK) as server:
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        assert wire.exchange(address, POST, has_token).failure is None
        assert failed(wire.exchange(address, POST, has_token)) == "connect"
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and more",
    ],
)
def test_a_connection_that_cannot_be_kept_is_not(head: bytes) -> None:
    with serving([head]) as server:
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        exchanges = [wire.exchange(address, POST, has_token) for _ in range(2)]
        assert [(exchange.body, exchange.reused) for exchange in exchanges] == [(b"hi", False)] * 2


@pytest.mark.parametrize(
    ("script", "body", "complete"),
    [
        ([b"HTTP/1.1 200 OK\r\n\r\n", b"until", 0.02, b" close", "close"], b"until close", True),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "close"], b"half", False),
        ([HEAD + piece(b"half") + b"5\r\nth", "close"], b"halfth", False),
        ([HEAD + piece(b"half"), 0.05, "reset"], b"half", False),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", 0.02, *OK], b"one", True),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b"", True),
        (
            [
                b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
                % (len(gzip.compress(b"plain", mtime=0)), gzip.compress(b"plain", mtime=0))
            ],
            b"plain",
            True,
        ),
    ],
)
def test_ends_of_every_kind(script: list[Step], body: bytes, complete: bool) -> None:
    exchange = exchanged(script)
    assert (exchange.failure, exchange.body, exchange.complete) == (None, body, complete)


@pytest.mark.parametrize(
    ("script", "outcome", "words"),
    [
        (["close"], "connect", "before it answered"),
        (["reset"], "connect", "before it answered"),
        ([b"SSH-2.0-x\r\n"], "decode", "not an HTTP"),
        ([HEAD + b"zz\r\n"], "decode", "chunk size"),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx"], "decode", "not asked for"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000], "decode", "headers larger"),
    ],
)
def test_what_is_no_response_is_an_outcome(script: list[Step], outcome: str, words: str) -> None:
    exchange = exchanged(script)
    assert failed(exchange) == outcome and words in exchange.failure.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("script", "limits", "outcome"),
    [
        ([5.0], {"first_token_s": 0.1}, "timeout_first_token"),
        ([HEAD + piece(b"role"), 5.0], {"first_token_s": 0.1}, "timeout_first_token"),
        ([HEAD + piece(b"token"), 5.0], {"first_token_s": 0.1, "idle_s": 0.3}, "timeout_idle"),
        ([HEAD + piece(b"token"), 5.0], {"idle_s": 0.1}, "timeout_idle"),
        ([HEAD, *([piece(b"token"), 0.05] * 100)], {"total_s": 0.3}, "timeout_total"),
    ],
)
def test_deadlines(script: list[Step], limits: dict[str, float], outcome: str) -> None:
    assert failed(exchanged(script, Timeouts(**limits))) == outcome


def test_silence_before_the_first_token_is_not_idle() -> None:
    exchange = exchanged([HEAD + piece(b"role"), 0.4, piece(b"token") + END], Timeouts(idle_s=0.1, first_token_s=5))
    assert exchange.failure is None and exchange.body == b"roletoken"


def test_what_came_before_a_deadline_is_kept() -> None:
    exchange = exchanged([HEAD + piece(b"token"), 5.0], Timeouts(idle_s=0.1))
    assert exchange.body == b"token" and not exchange.complete and exchange.mark_at(5).kernel


def test_bytes_after_the_end_in_the_same_read_do_not_delay_the_end_for_ever() -> None:
    exchange = exchanged([HEAD, 0.05, piece(b"token") + END + b"junk", 5.0], Timeouts(idle_s=0.1))
    assert (exchange.failure, exchange.body, exchange.complete) == (None, b"token", True)


def test_connect_outcomes() -> None:
    wire = Http1Wire(Timeouts(connect_s=0.2))
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    refused = wire.exchange(Address("127.0.0.1", port), POST, has_token)
    assert failed(refused) == "connect" and "refused" in refused.failure.message  # type: ignore[union-attr]
    assert failed(wire.exchange(Address("no-such-host.invalid", 80), POST, has_token)) in (
        "connect",
        "timeout_connect",
    )
    with socket.create_server(
        ("127.0.0.1", 0), backlog=0
    ) as full:  # accepts nobody: the queue fills, then SYNs are dropped
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        stuck = wire.exchange(Address("127.0.0.1", full.getsockname()[1]), POST, has_token)
        for other in others:
            other.close()
    assert failed(stuck) == "timeout_connect"


def test_a_response_and_a_request_of_10_mb() -> None:
    big = b"x" * (10 * 1024 * 1024)
    with serving([HEAD + piece(big) + END]) as server:
        exchange = Http1Wire().exchange(
            Address("127.0.0.1", server.port), HttpRequest("POST", "/", {}, big), has_token
        )
        assert exchange.complete and exchange.body == big and len(server.requests[0]) > len(big)


def test_the_prompt_of_a_request_is_kept_once_while_its_answer_is_awaited() -> None:
    body = bytes(bytearray(b"a prompt"))
    ours = sys.getrefcount(body)
    with serving([HEAD + piece(b"one"), 1.0, END]) as server:
        wire, address = Http1Wire(), Address("127.0.0.1", server.port)
        asking = gevent.spawn(lambda: wire.exchange(address, HttpRequest("POST", "/", {}, body), has_token))
        until(lambda: bool(server.requests))
        assert sys.getrefcount(body) == ours and not asking.ready()
        assert asking.get().body == b"one"


def test_an_early_answer_to_a_request_that_is_still_being_written() -> None:
    early = HttpRequest("POST", "/", {"X-Answer-Early": "1"}, b"x" * (50 * 1024 * 1024))
    with serving([b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 0.5, "close"]) as server:
        wire = Http1Wire()
        exchange = wire.exchange(Address("127.0.0.1", server.port), early, has_token)
        assert exchange.status == 413 and exchange.failure is None
        assert not wire._idle[Address("127.0.0.1", server.port)]  # half a request is on it


def test_a_killed_greenlet_leaves_its_exchange_and_closes_its_connection() -> None:
    with serving([HEAD + piece(b"token"), 5.0]) as server:
        wire, left = Http1Wire(), []

        def user() -> None:
            try:
                wire.exchange(Address("127.0.0.1", server.port), POST, has_token)
            except gevent.GreenletExit:
                left.extend([wire.partial(), wire.partial()])
                raise

        request = gevent.spawn(user)
        until(lambda: len(server.requests) == 1)
        gevent.sleep(0.1)
        request.kill(timeout=5)
    assert left[0].body == b"token" and failed(left[0]) == "cancelled" and left[1] is None
    assert wire.partial() is None


def test_an_interrupt_ends_what_is_under_way_and_its_greenlets_go_on() -> None:
    with serving([HEAD + piece(b"token"), 5.0]) as server:
        wire = Http1Wire()
        requests = [gevent.spawn(wire.exchange, Address("127.0.0.1", server.port), POST, has_token) for _ in range(3)]
        until(lambda: len(server.requests) == 3)
        gevent.sleep(0.1)
        assert wire.interrupt("censored", "the drain limit has passed") == 3
        assert [failed(request.get(timeout=5)) for request in requests] == ["censored"] * 3


def test_the_request_has_what_http_needs_and_what_the_user_gave() -> None:
    data = encode_request(Address("h", 8080), HttpRequest("POST", "/p?q=1", {"Authorization": "Bearer x"}, b"{}"))
    head, _, body = data.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /p?q=1 HTTP/1.1" and body == b"{}"
    for line in (b"host: h:8080", b"accept-encoding: identity", b"content-length: 2", b"Authorization: Bearer x"):
        assert line in head.split(b"\r\n")
    assert b"host: [::1]\r\n" in encode_request(Address("::1", 443, tls=True), HttpRequest("GET", "/", {}))
    assert encode_request(Address("h", 80), HttpRequest("GET", "/", {"Host": "other"})).lower().count(b"host:") == 1


@pytest.mark.parametrize(
    "request_",
    [
        HttpRequest("GET", "/\r\nX: 1", {}),
        HttpRequest("GET", "/", {"A": "b\r\nX: 1"}),
        HttpRequest("GET", "/", {"A\n": "b"}),
    ],
)
def test_a_line_break_in_a_header_is_refused(request_: HttpRequest) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_request(Address("h", 80), request_)


def test_idle_connections_keep_no_process_alive() -> None:
    with serving(OK) as server:
        code = (
            f"import gevent\nfrom fmload.wire.http1 import Http1Wire\nfrom fmload.wire.exchange import Address\n"
            f"assert Http1Wire().preconnect(Address('127.0.0.1', {server.port}), 2) == 2\ngevent.get_hub().join()"
        )
        assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 0
