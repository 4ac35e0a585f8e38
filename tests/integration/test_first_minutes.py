"""The first minutes: `fmload run URL` as people type it, against servers that want a key, lack the model, are slow."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fmload.cli.main import main
from tests.load_rig import emulator, free_port

MODELS = {"data": [{"id": "qwen3-8b"}, {"id": "qwen3-32b", "max_model_len": 512}]}


@contextmanager
def served(status: int, body: bytes, wanted_key: str = "") -> Iterator[str]:
    """A server that says the same to everybody who has the key; its address."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told = self.headers.get("Authorization", "") == f"Bearer {wanted_key}" if wanted_key else True
            self.send_response(status if told else 401)
            self.end_headers()
            self.wfile.write(body if told else b'{"error": {"message": "Invalid API Key"}}')

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """What `fmload run …` says in an empty folder, and its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def run(*words: str) -> tuple[int, str]:
        code = main(["run", *words])
        out = capsys.readouterr()
        return code, out.out + out.err
    return run


def test_a_key_that_lacks_or_is_wrong_is_told_with_its_variable(
        typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(200, json.dumps(MODELS).encode(), "right") as url:
        code, told = typed(url)
        assert code == 4
        assert f"{url}/v1 wants an API key (HTTP 401: Invalid API Key)" in told
        assert "export OPENAI_API_KEY=" in told
        monkeypatch.setenv("OPENAI_API_KEY", "wrong-secret")
        code, told = typed(url)
        assert "refuses the key in OPENAI_API_KEY (HTTP 401: Invalid API Key)" in told
        assert "--api-key-env MY_KEY" in told
        assert "wrong-secret" not in told
        code, told = typed(url, "--api-key-env", "NO_SUCH")
        assert "the environment variable NO_SUCH is not set" in told


def test_a_model_that_is_not_served_or_too_short_is_told_with_what_there_is(typed: Typed) -> None:
    with served(200, json.dumps(MODELS).encode()) as url:
        code, told = typed(url, "--model", "qwen3-8")
        assert code == 4
        assert "serves no model 'qwen3-8'; did you mean 'qwen3-8b'?" in told
        assert "it serves qwen3-8b, qwen3-32b" in told
        _, told = typed(url, "--model", "qwen3-32b")
        assert "550 tokens of prompt and 150 of answer are more than the 512 that qwen3-32b takes" in told
        assert "--input-tokens N --output-tokens N with less" in told


def test_a_path_that_is_no_api_is_told(typed: Typed) -> None:
    with served(200, b"<html>hello</html>") as url:
        _, told = typed(f"{url}/docs")
        assert "answers, but not with a list of models: it says '<html>hello</html>'" in told
        assert "is this the base URL?" in told
    with served(404, b"not here") as url:
        _, told = typed(url)
        assert "does not say which models it serves" in told and "--model NAME" in told
    with served(200, json.dumps({"data": [{"id": f"m{k}"} for k in range(20)]}).encode()) as url:
        _, told = typed(f"{url}/v1/chat/completions")
        assert f"using {url}/v1 as the base URL" in told
        assert "serves 20 models; which one?" in told


def test_tls_where_there_is_none_is_told(typed: Typed) -> None:
    with served(200, b"{}") as url:
        _, told = typed(url.replace("http:", "https:"))
        assert f"is it plain HTTP? write {url}" in told


def test_nothing_there_is_told(typed: Typed) -> None:
    port = free_port()
    code, told = typed(f"http://127.0.0.1:{port}")
    assert code == 4
    assert f"nothing answers at 127.0.0.1:{port}: connection refused" in told
    assert "is the server up, and is this its port?" in told


def test_no_message_of_the_first_contact_is_a_traceback_or_leaves_a_folder(typed: Typed, tmp_path: Path) -> None:
    for status, body in ((500, b"oops"), (403, b""), (200, b"[]"), (200, b'{"data": 3}'), (503, b"{}")):
        with served(status, body) as url:
            code, told = typed(url)
            assert code in (2, 4)
            assert "error: " in told and "hint: " in told and "Traceback" not in told
    assert not (tmp_path / "results").exists()


def test_a_server_of_slow_answers_gives_its_numbers_by_a_few_requests(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "2s", "--gap", "10ms") as server:
        run = subprocess.run([sys.executable, "-m", "fmload", "run", f"{server.url}/v1", "--out", "out"], cwd=tmp_path,
                             capture_output=True, text=True, timeout=300, check=False)
        sent = len(server.requests())
    told = run.stdout + run.stderr
    assert run.returncode == 0, told
    assert "few requests, for numbers within a minute" in told
    assert "TTFT p50" in told and "1 user" in told
    assert 4 <= sent <= 20
    assert "exactly" in (tmp_path / "out" / "run.yml").read_text()
