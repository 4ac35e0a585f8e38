"""What a server says of itself is asked as the load will ask: through the proxy that the variables name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.launch.server import Unreached, answer_s, ask, try_answer
from tests.integration.wire.served import Scripted, Step, serving
from tests.integration.wire.test_networks import tls_server
from tests.load_rig import free_port

URL = "http://models.test/v1"  # a name that the proxy alone knows
VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def answer(body: bytes, status: bytes = b"200 OK", header: bytes = b"") -> list[Step]:
    return [b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), header, body)]


MODELS = answer(b'{"data": [{"id": "m", "max_model_len": 4096}]}')
NO_KEY = answer(b'{"error": {"message": "who are you?"}}', b"401 Unauthorized")


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(params=["http", "https"])
def asked(request: pytest.FixtureRequest, tmp_path: Path,
          monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Scripted, str]]:
    """A proxy that answers everything with a list of models, and the file of its certificate."""
    with tls_server(tmp_path, script=MODELS) as (under_tls, ca_file), serving(MODELS) as plain:
        proxy = plain if request.param == "http" else under_tls
        monkeypatch.setenv("HTTP_PROXY", f"{request.param}://me:pw@localhost:{proxy.port}")
        yield proxy, ca_file


def test_the_models_are_asked_for_through_the_proxy(asked: tuple[Scripted, str],
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, ca_file = asked
    monkeypatch.setenv("MY_KEY", "a key")
    served = ask(URL, "MY_KEY", ca_file=ca_file)
    assert (served.names(), served.context("m")) == (["m"], 4096)
    assert proxy.requests[0].startswith(b"GET http://models.test/v1/models HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6cHc=".lower() in proxy.requests[0].lower()
    assert b"authorization: bearer a key" in proxy.requests[0].lower()


def test_an_answer_is_tried_and_timed_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(MODELS) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://localhost:{proxy.port}")
        assert try_answer(URL, "m", None, 10) is not None and answer_s(URL, "m", None, None, 8, 2, 10) is not None
    assert [request.partition(b"\r\n")[0] for request in proxy.requests] == [
        b"POST http://models.test/v1/chat/completions HTTP/1.1"] * 2
    assert all(b'"model": "m"' in request for request in proxy.requests)


def test_what_the_server_refuses_is_told_as_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = answer(b"", b"301 Moved Permanently", b"Location: http://elsewhere.test/v1\r\n")
    with serving(NO_KEY, answer(b"", b"404 Not Found"), moved) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://localhost:{proxy.port}")
        with pytest.raises(FmloadError, match=r"wants an API key \(HTTP 401: who are you\?\)"):
            ask(URL)
        assert ask(URL).models == ()
        with pytest.raises(FmloadError, match=r"redirects to http://elsewhere\.test/v1, and redirects are"):
            ask(URL)


def test_a_server_that_is_silent_behind_the_proxy_is_told_of_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving([5.0, "close"]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://localhost:{proxy.port}")
        with pytest.raises(Unreached, match=r"models\.test does not answer within 0\.2 s"):
            ask(URL, limit_s=0.2)
        assert try_answer(URL, "m", None, 0.2) is None


def test_neither_key_nor_password_is_quoted_in_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    echo = b"no: the-key-of-mine, dGhlLWtleS1vZi1taW5l, a-password"
    with serving(answer(echo, b"401 Unauthorized"), answer(echo, b"503 Busy"), answer(echo, b"400 Bad")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:a-password@localhost:{proxy.port}")
        monkeypatch.setenv("MINE", "the-key-of-mine")
        for contact in (lambda: ask(URL, "MINE"), lambda: ask(URL, "MINE"), lambda: try_answer(URL, "m", "MINE", 10)):
            with pytest.raises(FmloadError, match="no: ") as told:
                contact()
            assert not any(secret in str(told.value) for secret in ("-key-of", "a-password", "dGhlLWtleS1v"))


def test_an_answer_that_breaks_off_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    half: list[Step] = [b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": []}', "close"]
    with serving(half, half) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://localhost:{proxy.port}")
        for contact in (lambda: ask(URL), lambda: try_answer(URL, "m", None, 10)):
            with pytest.raises(Unreached, match="in the middle of its answer"):
                contact()


def test_a_proxy_that_is_not_there_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:a-password@localhost:{(port := free_port())}")
    with pytest.raises(Unreached, match=f"the proxy http://localhost:{port}: Connection refused") as told:
        ask(URL)
    assert "a-password" not in str(told.value)
