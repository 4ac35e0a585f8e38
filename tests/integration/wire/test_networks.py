"""The networks that people have, with real programs: a proxy (squid), certificates (openssl), Unix sockets, IPv6."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from fmload.base.errors import FmloadError
from fmload.config import RunFile, parse
from fmload.emulator.tls import make_certificate, server_context
from fmload.launch.proxy_probe import proxy_times
from fmload.model.prompt import Prompt
from fmload.wire import opening
from fmload.wire.exchange import Address, Exchange, HttpRequest, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.url import Way, split_url
from tests.integration.wire.real_proxies import HELPER, WITH_PASSWORD, squid
from tests.integration.wire.served import Scripted, Step, serving
from tests.load_rig import free_port
from tests.spoken import spoken

RUN_FILE = """name: t
endpoints: [{{name: a, protocol: openai, url: "{url}", model: m, proxy: "{proxy}"}}]
prompts: [{{name: p, source: synthetic, input_tokens: 5}}]
load: {{concurrency: [1]}}
"""
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
POST = HttpRequest("POST", "/v1/x", {"X-A": "1"}, b"{}")


def exchanged(address: Address) -> Exchange:
    return Http1Wire(Timeouts(connect_s=10)).exchange(address, POST, lambda body: True)


def through(port: int, url: str, user: str = "", **way: str) -> Address:
    return split_url(url, Way(proxy=f"http://{user}127.0.0.1:{port}", **way))[0]  # type: ignore[arg-type]


@contextmanager
def tls_server(folder: Path, trusted: Path | None = None,
               script: Sequence[Step] = (ANSWER,)) -> Iterator[tuple[Scripted, str]]:
    """An HTTPS server with a certificate for localhost; `trusted`: of clients that show this certificate alone."""
    certificate = make_certificate(folder, ["localhost"])
    context = server_context(certificate)
    if trusted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(trusted)
    server = Scripted([script], context)
    try:
        yield server, str(certificate)
    finally:
        server.close()


def test_a_request_through_a_proxy_is_stamped_as_a_direct_one(tmp_path: Path) -> None:
    with squid() as port, serving([ANSWER]) as server:
        exchange = exchanged(through(port, f"http://127.0.0.1:{server.port}/v1"))
        assert (exchange.status, exchange.body, exchange.failure) == (200, b"hello", None)
        assert all(mark.kernel for mark in exchange.marks[-1:])
        assert b"via:" in server.requests[0].lower()  # it did come through it
        assert server.requests[0].startswith(b"POST /v1/x ")


def test_tls_goes_through_a_tunnel_of_the_proxy_and_is_verified(tmp_path: Path) -> None:
    with squid() as port, tls_server(tmp_path) as (server, ca_file):
        url = f"https://localhost:{server.port}/v1"
        exchange = exchanged(through(port, url, ca_file=ca_file))
        assert (exchange.status, exchange.body, exchange.failure) == (200, b"hello", None)
        assert b"via" not in server.requests[0].lower() and b"proxy" not in server.requests[0].lower()
        untrusted = exchanged(through(port, url))
        assert untrusted.failure is not None and untrusted.failure.outcome == "tls"


def test_a_proxy_gets_its_password_and_the_server_does_not(tmp_path: Path) -> None:
    with squid(WITH_PASSWORD, HELPER) as port, serving([ANSWER]) as plain, tls_server(tmp_path) as (tls, ca_file):
        for url, server in ((f"http://127.0.0.1:{plain.port}/", plain), (f"https://localhost:{tls.port}/", tls)):
            let_in = exchanged(through(port, url, "me:pw@", ca_file=ca_file))
            assert (let_in.status, let_in.failure) == (200, None)
            assert b"proxy-authorization" not in server.requests[-1].lower()
            kept_out = exchanged(through(port, url, "me:wrong@", ca_file=ca_file))
            assert kept_out.status == 407 or "HTTP 407" in str(kept_out.failure)


def asked_through(port: int, url: str, user: str = "") -> RunFile:
    return parse(RUN_FILE.format(url=url, proxy=f"http://{user}127.0.0.1:{port}"), "t.yml", Path("/"))


def test_what_a_proxy_takes_for_itself_is_measured_before_the_load_and_the_server_sees_nothing_of_it(
        tmp_path: Path) -> None:
    with squid(WITH_PASSWORD, HELPER) as port, serving([ANSWER]) as plain, tls_server(tmp_path) as (tls, _):
        found = proxy_times(asked_through(port, f"http://127.0.0.1:{plain.port}/v1", "me:pw@"))["a"]
        assert found["proxy"] == f"http://(masked)@127.0.0.1:{port}"
        assert found["connect_s"] > 0 and found["answer_s"] > 0 and found["tunnel_s"] is None
        assert plain.requests == []
        found = proxy_times(asked_through(port, f"https://localhost:{tls.port}/v1", "me:pw@"))["a"]
        assert found["connect_s"] > 0 and found["tunnel_s"] > 0 and found["answer_s"] is None
        assert tls.requests == []
        refused = proxy_times(asked_through(port, f"https://localhost:{tls.port}/v1", "me:wrong@"))["a"]
        assert refused["connect_s"] and refused["tunnel_s"] is None


def test_a_proxy_that_is_not_there_has_no_times() -> None:
    found = proxy_times(asked_through(free_port(), "http://127.0.0.1:9/v1"))["a"]
    assert (found["connect_s"], found["answer_s"]) == (None, None)


@pytest.mark.parametrize("proxy", ["refuses", "garbage", "closes", "absent"])
def test_a_proxy_that_does_not_do_its_work_is_one_failed_request(proxy: str) -> None:
    said = {"refuses": b"HTTP/1.1 403 Forbidden\r\n\r\n", "garbage": b"\0\1\2\r\n\r\n", "closes": b""}.get(proxy, b"")
    port = free_port()
    if proxy == "absent":
        failed = exchanged(through(port, "https://localhost:9/"))
    else:
        with socket.create_server(("127.0.0.1", port)) as listener:
            threading.Thread(target=_say, args=(listener, said), daemon=True).start()
            failed = exchanged(through(port, "https://localhost:9/"))
    assert failed.failure is not None and failed.failure.outcome == "connect"
    assert "proxy" in failed.failure.message or proxy == "absent"


def _say(listener: socket.socket, said: bytes) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.recv(4096)
        sock.sendall(said)


def test_a_client_certificate_is_shown_where_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    own = make_certificate(tmp_path / "client", ["client.test"])
    with tls_server(tmp_path, own) as (server, ca_file):
        endpoint = spoken("openai", f"https://localhost:{server.port}/v1", ca_file=ca_file,
                          client_certificate=str(own), client_key=str(own.with_name("key.pem")))
        exchange = endpoint.send(Prompt("p", "s", text="hello"), "r", Http1Wire(), endpoint.addresses()[0])
        assert (exchange.status, exchange.failure) == (200, None)
        without = exchanged(split_url(f"https://localhost:{server.port}/v1", Way(ca_file=ca_file))[0])
        assert without.failure is not None
    with pytest.raises(FmloadError, match="client's certificate"):
        spoken("openai", "https://localhost:1/v1", client_certificate=str(tmp_path / "absent.pem"))


def test_a_unix_socket_is_an_address(tmp_path: Path) -> None:
    path = tmp_path / "Server.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=_say, args=(listener, ANSWER), daemon=True).start()
        address = split_url(f"http+unix://{str(path).replace('/', '%2F')}/v1")[0]
        exchange = exchanged(address)
    assert (exchange.status, exchange.body, exchange.failure) == (200, b"hello", None)
    assert exchange.connected_ns is not None and exchange.marks and str(address).startswith("http+unix://%2F")
    assert exchanged(address).failure is not None  # nobody listens any more


def test_ipv6_is_an_address() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this host has no IPv6")
    with listener:
        threading.Thread(target=_say, args=(listener, ANSWER), daemon=True).start()
        address = split_url(f"http://[::1]:{listener.getsockname()[1]}/v1")[0]
        exchange = exchanged(address)
    assert (exchange.status, exchange.failure) == (200, None) and exchange.address.startswith("http://[::1]:")


def test_a_name_with_several_addresses_is_tried_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([ANSWER]) as server, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        here = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
        closed = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port()))
        silent = (socket.AF_INET, socket.SOCK_STREAM, 6, "", full.getsockname())
        held = [socket.socket() for _ in range(4)]
        for sock in held:  # its queue is full: a connection is neither taken nor refused
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        for found in ([closed, here], [silent, here], [closed, silent, here]):
            monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_, found=found, **__: found)
            exchange = Http1Wire(Timeouts(connect_s=4)).exchange(Address("several.test", server.port), POST,
                                                                 lambda body: True)
            assert (exchange.status, exchange.failure) == (200, None)
        monkeypatch.setattr(gevent.socket, "getaddrinfo", lambda *_, **__: [closed, closed])
        with pytest.raises(OSError):
            opening.opened(Address("several.test", 1), 1.0)
        for sock in held:
            sock.close()


def test_user_and_password_of_a_url_are_sent_and_no_other_header_loses_to_them() -> None:
    with serving([ANSWER]) as server:
        endpoint = spoken("openai", f"http://me:p%40ss@127.0.0.1:{server.port}/v1")
        endpoint.send(Prompt("p", "s", text="hello"), "r", Http1Wire(), endpoint.addresses()[0])
        header = next(line for line in server.requests[0].split(b"\r\n") if line.lower().startswith(b"authorization"))
        assert b64decode(header.split()[-1]) == b"me:p@ss"
        assert b"me:" not in server.requests[0] and "p%40ss" not in str(endpoint.addresses())
