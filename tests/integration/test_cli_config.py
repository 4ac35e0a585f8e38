"""The commands around the run file, as people call them: init, validate, prompts."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from fmload import config
from fmload.base.resources import resource
from fmload.cli import main as cli
from fmload.prompts import read
from tests import forking

LIMIT_S = 120


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


class Call(Protocol):
    def __call__(self, *arguments: str, **environment: str) -> Done: ...


@pytest.fixture
def fmload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`fmload …` in the folder of the test, with nobody at the terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def call(*arguments: str, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        code = cli.main(arguments)
        return Done(code, *capsys.readouterr())

    return call


def in_a_process(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forking.run(arguments, cwd, {**os.environ, "XDG_CACHE_HOME": str(cwd / "cache")}, LIMIT_S)


class _Models(BaseHTTPRequestHandler):
    """A server that lists its models to those who have the key."""

    def do_GET(self) -> None:
        known = self.path == "/v1/models" and self.headers.get("Authorization") in (None, "Bearer right")
        body = json.dumps({"data": [{"id": "org/Model-8B"}, {"id": "other"}]} if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Models)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["", "/v1", "/v1/"])
def test_init_finds_the_model_and_writes_a_file_that_validates(
        fmload: Call, tmp_path: Path, url: str, path: str) -> None:
    done = fmload("init", "--url", url + path, "--out", "my.yml", "--concurrency", "1,3")
    assert done.returncode == 0, done.stderr
    assert "fmload run my.yml" in done.stdout
    run_file = config.load(tmp_path / "my.yml")
    assert (run_file.endpoints[0].model, run_file.load.concurrency) == ("org/Model-8B", [1, 3])
    assert run_file.name == "Model-8B"
    checked = fmload("validate", "my.yml")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "my.yml: OK" in checked.stdout
    assert "2 stages in 2 steps" in checked.stdout


def test_init_sends_the_key_of_the_variable_and_does_not_write_it(fmload: Call, tmp_path: Path, url: str) -> None:
    done = fmload("init", url, "--api-key-env", "MY_KEY", MY_KEY="right")
    assert done.returncode == 0, done.stderr
    assert "right" not in (tmp_path / "run.yml").read_text() + done.stdout
    refused = fmload("init", "--url", url, "--api-key-env", "MY_KEY", "--force", MY_KEY="wrong")
    assert refused.returncode == 4
    assert "refuses the key in MY_KEY (HTTP 401" in refused.stderr
    assert "wrong" not in refused.stderr


@pytest.mark.parametrize(("arguments", "said"), [
    ((), "nothing to measure is named"),
    (("--url", "http://127.0.0.1:1/v1"), "nothing answers at 127.0.0.1:1: connection refused"),
    (("--protocol", "bedrock"), "nothing to measure is named"),
    (("--url", "http://h/v1", "--model", "m", "--concurrency", "few"), "--concurrency few"),
    (("--url", "http://h/v1", "--model", "m", "--window", "soon"), "--duration soon: not a duration"),
    (("--url", "h:8000/v1", "--model", "m"), "'h:8000/v1' has no scheme"),
    (("--url", "http://h/v1", "--model", "m", "--out", "nowhere/run.yml"), "nowhere/run.yml: No such file"),
])
def test_init_without_enough_says_what_to_give(
        fmload: Call, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = fmload("init", *arguments)
    assert done.returncode in (2, 4)
    assert said in done.stderr
    assert "hint:" in done.stderr
    assert not (tmp_path / "run.yml").exists()


def test_init_copies_a_run_file_that_ships_and_deploy_takes_it_by_name(fmload: Call, tmp_path: Path) -> None:
    done = fmload("init", "--from", "gpt-oss-20b-g6e.2xlarge", "--out", "my.yml")
    assert done.returncode == 0 and "fmload deploy check my.yml" in done.stdout, done.stderr
    assert (tmp_path / "my.yml").read_bytes() == resource("configs", "gpt-oss-20b-g6e.2xlarge.yml").read_bytes()
    by_name, by_path = (fmload("deploy", "check", "--offline", name) for name in ("gpt-oss-20b-g6e.2xlarge", "my.yml"))
    assert by_name.returncode == 0 and by_name.stdout == by_path.stdout
    wrong = fmload("init", "--from", "gpt-oss-20b", "--out", "other.yml")
    assert wrong.returncode == 2 and "gpt-oss-20b-g6e.2xlarge" in wrong.stderr


def test_init_keeps_a_file_that_is_there(fmload: Call, tmp_path: Path) -> None:
    (tmp_path / "run.yml").write_text("mine")
    done = fmload("init", "--url", "http://h/v1", "--model", "m")
    assert (done.returncode, (tmp_path / "run.yml").read_text()) == (2, "mine")


@pytest.mark.parametrize(("arguments", "expected"), [
    (("--protocol", "bedrock", "--model", "us.amazon.nova-lite-v1:0", "--region", "us-east-1"),
     {"protocol": "bedrock", "model": "us.amazon.nova-lite-v1:0", "region": "us-east-1"}),
    (("--protocol", "sagemaker", "--endpoint-name", "my-endpoint"),
     {"protocol": "sagemaker", "endpoint_name": "my-endpoint"}),
    (("--url", "http://h/v1", "--model", "yes: no #", "--instance-type", "inf2.xlarge"),
     {"model": "yes: no #", "price": {"instance_type": "inf2.xlarge", "count": 1}}),
])
def test_init_writes_what_each_protocol_needs(
        fmload: Call, tmp_path: Path, arguments: tuple[str, ...], expected: object) -> None:
    done = fmload("init", *arguments)
    assert done.returncode == 0, done.stderr
    written = yaml.safe_load((tmp_path / "run.yml").read_text())["endpoints"][0]
    assert isinstance(expected, dict)
    assert {key: written[key] for key in expected} == expected


def test_init_asks_at_a_terminal(tmp_path: Path, url: str) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"openai\n{url}/v1\n\n2,4\n\n".encode())
    done = subprocess.run([sys.executable, "-m", "fmload", "init"], stdin=theirs, capture_output=True, text=True,
                          cwd=tmp_path, timeout=LIMIT_S, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    assert "base URL" in done.stdout
    run_file = config.load(tmp_path / "run.yml")
    assert (run_file.endpoints[0].model, run_file.load.concurrency) == ("org/Model-8B", [2, 4])


def test_validate_lists_all_problems_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("name: x\nendpoints: []\nprompts: 3\nload: {concurrencey: [1]}\n")
    done = in_a_process("validate", "x.yml", "--set", "seed=high", cwd=tmp_path)
    assert done.returncode == 2
    for problem in ("x.yml:2: endpoints: needs at least 1 entry", "x.yml:3: prompts: must be a list",
                    "x.yml:4: load.concurrencey: unknown key 'concurrencey'; did you mean 'concurrency'?",
                    "--set seed=high: seed: must be a whole number, not 'high'"):
        assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_validate_shows_the_plan_and_warns_of_a_missing_key(fmload: Call, tmp_path: Path) -> None:
    done = fmload("validate", str(resource("configs", "openai-endpoint.yml")),
                  "--set", "endpoints[mine].api_key_env=NO_SUCH_KEY")
    assert done.returncode == 0, done.stderr
    for words in ("16 users", "synthetic", "5 stages in 5 steps", "about 6 m 15 s in all", "OK",
                  "warning: endpoint 'mine': api_key_env: NO_SUCH_KEY is not set in the environment"):
        assert words in done.stdout


@pytest.mark.parametrize("name", ["quickstart", "configs/quickstart.yml"])
def test_run_files_that_ship_go_by_their_names_from_any_folder(fmload: Call, name: str) -> None:
    assert fmload("validate", name).returncode == 0
    assert "no such run file; did you mean" in fmload("validate", name.replace("quickstart", "quickstrat")).stderr


def test_validate_finds_files_that_are_not_there(fmload: Call, tmp_path: Path) -> None:
    assert fmload("init", "--url", "http://h/v1", "--model", "m").returncode == 0
    prompts = "prompts=[{name: q, source: jsonl, files: [lost/*.jsonl]}]"
    done = fmload("validate", "run.yml", "--set", prompts)
    assert done.returncode == 2
    assert f"{tmp_path}/lost/*.jsonl: no such file" in done.stderr


def test_the_schema_is_printed_for_editors(fmload: Call, tmp_path: Path) -> None:
    done = fmload("validate", "--json-schema")
    assert json.loads(done.stdout)["title"] == "fmload run file"


def test_prompts_writes_the_sets_and_shows_their_lengths(fmload: Call, tmp_path: Path) -> None:
    assert fmload("init", "--url", "http://h/v1", "--model", "m").returncode == 0
    done = in_a_process("prompts", "run.yml", "--set", "prompts[0].count=40", "--out", "sets", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    prompts = read(tmp_path / "sets" / "synthetic_550.jsonl")
    assert len(prompts) == 40
    mean = sum(prompt.input_tokens or 0 for prompt in prompts) / 40
    assert f"input tokens: mean {mean:.1f}" in done.stdout
    assert "output tokens asked for: mean 150.0, 150 to 150" in done.stdout
