"""TLS: verified by default, with the kernel's stamps, and refused in words that a person can act on."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.emulator.tls import make_certificate, server_context
from fmload.wire.exchange import Address, Exchange, HttpRequest, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.tls import client_context
from tests.integration.wire.served import Step, serving

pytestmark = pytest.mark.usefixtures("reader")
POST = HttpRequest("POST", "/v1/x", {}, b"{}")
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BIG = b"x" * (3 * 1024 * 1024)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"), ["127.0.0.1", "localhost"])


def no_token(body: bytes) -> bool:
    return False


def exchanged(certificate: Path, script: list[Step], **address: object) -> Exchange:
    with serving(script, tls=server_context(certificate)) as server:
        values = {"host": "127.0.0.1", "ca_file": str(certificate), **address}
        return Http1Wire(Timeouts(connect_s=5)).exchange(Address(port=server.port, tls=True, **values), POST, no_token)


def test_every_read_under_tls_is_stamped_by_the_kernel(certificate: Path) -> None:
    exchange = exchanged(certificate, [HEAD, 0.05, b"5\r\nfirst\r\n", 0.05, b"6\r\nsecond\r\n", 0.05, b"0\r\n\r\n"])
    assert (exchange.failure, exchange.body, exchange.complete) == (None, b"firstsecond", True)
    assert [mark.end for mark in exchange.marks] == [0, 5, 11, 11] and all(mark.kernel for mark in exchange.marks)
    assert exchange.mark_at(6).ns - exchange.mark_at(5).ns > 40_000_000


def test_connections_are_kept_under_tls(certificate: Path) -> None:
    with serving([HEAD + b"2\r\nhi\r\n0\r\n\r\n"], tls=server_context(certificate)) as server:
        wire, address = Http1Wire(), Address("localhost", server.port, tls=True, ca_file=str(certificate))
        assert wire.preconnect(address, 2) == 2
        exchanges = [wire.exchange(address, POST, no_token) for _ in range(5)]
        assert all(exchange.reused and exchange.body == b"hi" for exchange in exchanges)
        assert server.connections == 2


def test_a_large_body_both_ways(certificate: Path) -> None:
    script = [HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BIG), BIG)]
    with serving(script, tls=server_context(certificate)) as server:
        address = Address("127.0.0.1", server.port, tls=True, ca_file=str(certificate))
        exchange = Http1Wire().exchange(address, HttpRequest("POST", "/", {}, BIG), no_token)
        assert exchange.complete and exchange.body == BIG and server.requests[0].endswith(BIG)


def test_an_early_close_under_tls_is_not_complete(certificate: Path) -> None:
    exchange = exchanged(certificate, [HEAD + b"4\r\nhalf\r\n", "close"])
    assert (exchange.failure, exchange.body, exchange.complete) == (None, b"half", False)


def test_a_certificate_that_nobody_vouches_for_is_a_tls_failure(certificate: Path) -> None:
    failure = exchanged(certificate, [HEAD], ca_file=None).failure
    assert failure is not None and failure.outcome == "tls" and "self-signed certificate" in failure.message


def test_a_certificate_for_another_host_is_a_tls_failure(tmp_path: Path) -> None:
    failure = exchanged(make_certificate(tmp_path, ["elsewhere.example"]), [HEAD]).failure
    assert failure is not None and failure.outcome == "tls" and "not valid for '127.0.0.1'" in failure.message


def test_verification_can_be_switched_off(certificate: Path) -> None:
    exchange = exchanged(certificate, [HEAD + b"0\r\n\r\n"], ca_file=None, verify=False)
    assert exchange.failure is None and exchange.status == 200


def test_a_server_that_speaks_no_tls_is_a_tls_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        def answer() -> None:
            sock, _ = server.accept()
            sock.recv(10_000)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            sock.close()

        threading.Thread(target=answer, daemon=True).start()
        address = Address("127.0.0.1", server.getsockname()[1], tls=True)
        failure = Http1Wire().exchange(address, POST, no_token).failure
    assert failure is not None and failure.outcome == "tls"


def test_the_server_is_told_the_name(certificate: Path) -> None:
    names: list[str | None] = []
    context = server_context(certificate)
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    with serving([HEAD + b"0\r\n\r\n"], tls=context) as server:
        address = Address("localhost", server.port, tls=True, ca_file=str(certificate))
        assert Http1Wire().exchange(address, POST, no_token).failure is None
    assert names == ["localhost"]


def test_a_ca_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in (tmp_path / "ca.pem", tmp_path / "absent.pem"):
        with pytest.raises(FmloadError, match="CA file"):
            client_context(str(path), True)
    assert client_context(None, True).verify_mode == ssl.CERT_REQUIRED
