"""Proxies under TLS and SOCKS 5 proxies, with real ones (squid, microsocks): as a direct connection, and told apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fmload.config import parse
from fmload.emulator.tls import make_certificate
from fmload.launch.proxy_probe import proxy_times
from fmload.wire.exchange import Address, Exchange, Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.wire.url import Way, split_url
from tests.integration.wire.real_proxies import HELPER, WITH_PASSWORD, microsocks, squid
from tests.integration.wire.served import Scripted, serving
from tests.integration.wire.test_networks import ANSWER, POST, RUN_FILE, tls_server
from tests.load_rig import free_port

PIECES = 8
STREAM: list[bytes | float | str] = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                                     *[part for n in range(PIECES) for part in (0.02, b"2\r\n%02d\r\n" % n)],
                                     b"0\r\n\r\n"]

pytestmark = pytest.mark.usefixtures("reader")


class World:
    """A plain server and one under TLS, each asked through one proxy. `ca_file` is for proxy and server together."""

    def __init__(self, proxy: str, plain: Scripted, tls: Scripted, ca_file: Path) -> None:
        self.proxy, self.plain, self.tls, self.ca_file = proxy, plain, tls, ca_file

    def urls(self) -> list[tuple[str, Scripted]]:
        return [(f"http://localhost:{self.plain.port}/v1", self.plain),
                (f"https://localhost:{self.tls.port}/v1", self.tls)]

    def address(self, url: str, proxy: str = "", ca_file: str | None = "") -> Address:
        return split_url(url, Way(str(self.ca_file) if ca_file == "" else ca_file, proxy=proxy or self.proxy))[0]


def ask(wire: Http1Wire, address: Address) -> Exchange:
    return wire.exchange(address, POST, lambda body: True)


@contextmanager
def world(kind: str, folder: Path, script: Any = None, login: bool = False) -> Iterator[World]:
    (folder / "proxy").mkdir()
    certificate = make_certificate(folder / "proxy", ["localhost"])
    who = "me:pw@" if login else ""
    with ExitStack() as stack:
        if kind == "https":
            port = stack.enter_context(squid(*([WITH_PASSWORD, HELPER] if login else []), certificate=certificate))
        else:
            port = stack.enter_context(microsocks(("me", "pw") if login else None))
        plain = stack.enter_context(serving(script or [ANSWER]))
        tls, ca_file = stack.enter_context(tls_server(folder, script=script or [ANSWER]))
        both = folder / "both.pem"
        both.write_text(Path(ca_file).read_text() + certificate.read_text())
        yield World(f"{kind}://{who}localhost:{port}", plain, tls, both)


@pytest.mark.parametrize("kind", ["https", "socks5", "socks5h"])
def test_every_piece_of_a_stream_is_stamped_by_the_kernel_as_it_comes(kind: str, tmp_path: Path) -> None:
    with world(kind, tmp_path, STREAM) as here:
        for url, server in here.urls():
            wire = Http1Wire(Timeouts(connect_s=10))
            for turn in range(2):
                exchange = ask(wire, here.address(url))
                assert (exchange.status, exchange.failure) == (200, None), url
                assert exchange.body == b"".join(b"%02d" % n for n in range(PIECES))
                assert all(mark.kernel for mark in exchange.marks)
                spread_ns = exchange.marks[-1].ns - exchange.marks[0].ns
                # As they come, not all at once; a busy proxy passes some on together.
                assert len(exchange.marks) > 1 and spread_ns > 0.02e9 * PIECES / 2
                assert exchange.reused is (turn == 1)
            wire.close()
            assert len(server.requests) == 2 and b"proxy-" not in server.requests[0].lower()


@pytest.mark.parametrize("kind", ["https", "socks5h"])
def test_a_large_request_goes_out_whole(kind: str, tmp_path: Path) -> None:
    with world(kind, tmp_path) as here:
        for url, server in here.urls():
            large = POST.__class__("POST", "/v1/x", {}, bytes(range(256)) * 8000)
            exchange = Http1Wire(Timeouts(connect_s=10)).exchange(here.address(url), large, lambda body: True)
            assert (exchange.status, exchange.failure) == (200, None)
            assert server.requests[0].endswith(large.body)


def test_the_certificate_of_a_proxy_is_always_verified(tmp_path: Path) -> None:
    with world("https", tmp_path) as here:
        for url, server in here.urls():
            for ca_file, verify in ((None, True), (str(tmp_path / "ca.pem"), True), (None, False)):
                address = split_url(url, Way(ca_file, verify, proxy=here.proxy))[0]
                refused = ask(Http1Wire(), address).failure
                assert refused is not None and refused.outcome == "tls"
                assert "the proxy https://localhost" in refused.message
            assert server.connections == 0
        wrong_name = here.proxy.replace("localhost", "127.0.0.1")
        refused = ask(Http1Wire(), here.address(here.urls()[0][0], wrong_name)).failure
        assert refused is not None and refused.outcome == "tls"


def test_a_server_behind_a_proxy_under_tls_is_verified_as_well(tmp_path: Path) -> None:
    with world("https", tmp_path) as here:
        url = here.urls()[1][0]
        refused = ask(Http1Wire(), here.address(url, ca_file=str(tmp_path / "proxy" / "ca.pem"))).failure
        assert refused is not None and refused.outcome == "tls" and "the proxy" not in refused.message


@pytest.mark.parametrize("kind", ["https", "socks5", "socks5h"])
def test_a_proxy_is_told_its_password_and_the_server_is_not(kind: str, tmp_path: Path) -> None:
    with world(kind, tmp_path, login=True) as here:
        for url, server in here.urls():
            let_in = ask(Http1Wire(), here.address(url))
            assert (let_in.status, let_in.failure) == (200, None)
            assert b"proxy-auth" not in server.requests[-1].lower() and b"bWU6cHc" not in server.requests[-1]
            for who in ("me:wrong@", ""):
                kept_out = ask(Http1Wire(), here.address(url, here.proxy.replace("me:pw@", who)))
                words = str(kept_out.failure)
                assert kept_out.status == 407 or "HTTP 407" in words or "the proxy socks5" in words
                assert "wrong" not in words
            assert len(server.requests) == 1


@pytest.mark.parametrize("kind", ["https", "socks5", "socks5h"])
def test_what_is_not_there_behind_a_proxy_is_told(kind: str, tmp_path: Path) -> None:
    with world(kind, tmp_path) as here:
        for scheme in ("http", "https"):
            gone = ask(Http1Wire(), here.address(f"{scheme}://localhost:{free_port()}/v1"))
            assert gone.failure is not None or gone.status == 503
        no_proxy = ask(Http1Wire(), here.address(here.urls()[0][0], f"{kind}://localhost:{free_port()}"))
        assert no_proxy.failure is not None and no_proxy.failure.outcome == "connect"
        assert f"the proxy {kind}://localhost" in no_proxy.failure.message
        other = ask(Http1Wire(Timeouts(connect_s=1)), here.address(here.urls()[1][0], f"{kind}://localhost:{here.plain.port}"))
        assert other.failure is not None and "the proxy" in other.failure.message


@pytest.mark.parametrize("kind", ["https", "socks5h"])
def test_what_such_a_proxy_takes_is_measured_before_the_load(kind: str, tmp_path: Path) -> None:
    with world(kind, tmp_path) as here:
        for (url, server), is_tunnelled in zip(here.urls(), (kind != "https", True), strict=True):
            text = RUN_FILE.format(url=url, proxy=here.proxy).replace("model: m", f"model: m, ca_file: {here.ca_file}")
            found = proxy_times(parse(text, "t.yml", Path("/")))["a"]
            assert found["connect_s"] > 0 and found["proxy"] == here.proxy
            assert (found["tunnel_s"] is not None, found["answer_s"] is not None) == (is_tunnelled, not is_tunnelled)
            assert server.requests == []
