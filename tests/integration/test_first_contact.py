"""What a user is told who gives a wrong port, path, key or certificate: before any load, with the remedy."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fmload.base.errors import FmloadError
from fmload.launch.server import ask
from tests.load_rig import emulator, fmload_run, free_port

KEY = "a-key-that-this-server-does-not-know"


@contextmanager
def answering(status: int, words: str) -> Iterator[str]:
    """The address of a server that answers everything with one status and an error in OpenAI's form."""
    body = json.dumps({"error": {"message": words}}).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses by what is wrong with them."""
    folder = tmp_path_factory.mktemp("servers")
    with emulator(folder, "--tls") as tls, emulator(folder, name="plain") as plain, \
            answering(401, "Incorrect API key provided") as no_key, answering(403, "not for you") as forbidden, \
            answering(404, "Not Found") as path:
        yield {"untrusted": f"{tls.url}/v1", "no-tls": f"{no_key.replace('http:', 'https:')}/v1",
               "silent-tls": f"{plain.url.replace('http:', 'https:')}/v1",
               "tls-as-plain": f"{tls.url.replace('https:', 'http:')}/v1", "no-key": f"{no_key}/v1",
               "forbidden": f"{forbidden}/v1", "path": f"{path}/api"}


TOLD = {
    "untrusted": ("certificate", "ca_file"),
    "no-tls": ("TLS with", "begins with http://"),
    "tls-as-plain": ("", "begins with https://"),
    "no-key": ("HTTP 401: Incorrect API key provided", "api_key_env"),
    "forbidden": ("HTTP 403: not for you", "check the key (api_key_env) or the credentials"),
    "path": ("HTTP 404: Not Found", "check the endpoint's url, which ends in /v1"),
}


def said_by_a_run(folder: Path, urls: dict[str, str]) -> str:
    """All that a run on these endpoints says; it has no load."""
    path = folder / "run.yml"
    path.write_text(yaml.safe_dump({
        "name": "wrong", "endpoints": [{"name": name, "protocol": "openai", "model": "m", "url": url,
                                        "api_key_env": "FIRST_CONTACT_KEY"} for name, url in urls.items()],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 20, "output_tokens": 4, "count": 50}],
        "load": {"concurrency": [1], "ramp": 0, "warmup": 0, "window": "2s", "drain": "5s", "workers": 1}}))
    with fmload_run(folder, path) as run:
        assert run.wait() != 0
    assert KEY not in run.output() and "Traceback" not in run.output() and not run.records()
    return " ".join(run.output().split())


def test_all_that_is_wrong_with_the_endpoints_is_told_at_once_before_any_load(
        servers: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_CONTACT_KEY", KEY)
    said = said_by_a_run(tmp_path, {name: url for name, url in servers.items() if name in TOLD})
    for name, (words, remedy) in TOLD.items():
        told = said.partition(f"endpoint '{name}'")[2].partition("endpoint '")[0]
        assert words in told and remedy in told, (name, told)


def test_a_port_at_which_nothing_listens_is_told_before_the_prompts_are_made(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_CONTACT_KEY", KEY)
    port = free_port()
    said = said_by_a_run(tmp_path, {"refused": f"http://127.0.0.1:{port}/v1"})
    assert f"nothing answers at http://127.0.0.1:{port}: Connection refused" in said
    assert "start the server, or mend the endpoint's url" in said


@pytest.mark.parametrize(("name", "words", "remedy"), [
    ("untrusted", "certificate is not trusted", "--ca-file"),
    ("no-tls", "does not speak TLS", "is it plain HTTP? write http://"),
    ("tls-as-plain", "does not speak plain HTTP", "is it TLS? write https://"),
    ("silent-tls", "does not answer within 5 s", "Where it speaks plain HTTP, write http://"),
    ("no-key", "wants an API key (HTTP 401: Incorrect API key provided)", "--api-key-env"),
    ("forbidden", "wants an API key (HTTP 403: not for you)", "--api-key-env")])
def test_a_server_that_cannot_be_asked_for_its_model_is_told_with_the_remedy(
        servers: dict[str, str], name: str, words: str, remedy: str) -> None:
    with pytest.raises(FmloadError) as told:
        ask(servers[name])
    assert words in str(told.value) and remedy in (told.value.hint or "")


def test_a_key_that_the_server_refuses_is_named_by_its_variable_alone(
        servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_CONTACT_KEY", KEY)
    with pytest.raises(FmloadError, match="refuses the key in FIRST_CONTACT_KEY") as told:
        ask(servers["no-key"], "FIRST_CONTACT_KEY")
    assert KEY not in str(told.value)
