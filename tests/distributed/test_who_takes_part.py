"""Who takes part in a run: workers that have its token; and what a run leaves of its secrets: nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from fmload.base.resources import resource
from fmload.protocol import admission
from tests.distributed.rogue import MAY_HEAR, Rogue
from tests.load_rig import emulator, fmload_run, free_port, locust, run_file, wait_until

LOAD = {"concurrency": [2], "ramp": "100ms", "warmup": "100ms", "window": "4s", "drain": "5s", "workers": 1}
KEY, TEAM = "zq7Kx9LmEcho2pQw8vNtR5yUe3", "team-pass-93817265"


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(admission.TOKEN_VARIABLE, raising=False)


def option_of(parent: int, name: str) -> str:
    """The value of an option of the master that a process has started."""
    for process in psutil.Process(parent).children(recursive=True):
        with suppress(psutil.Error):  # one that has just ended, as the fork server does
            words = process.cmdline()
            if "--master" in words and name in words:
                return words[words.index(name) + 1]
    return ""


def test_a_worker_without_the_token_gets_no_plan_and_no_users(tmp_path: Path) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD)
        with fmload_run(tmp_path, path) as run:
            wait_until(lambda: option_of(run.process.pid, "--master-bind-port"), 60, "the master")
            rogue = Rogue(option_of(run.process.pid, "--master-bind-port"))
            rogue.ask_in()
            rogue.forge("x", [])
            while not run.in_window():
                rogue.listen(0.1)
            rogue.listen(1.0)
            assert run.wait() == 0, run.output()
        assert rogue.kinds <= MAY_HEAR
        assert "fmload_challenge" in rogue.kinds and "fmload_refused" in rogue.kinds
        assert "does not have the token of this run (FMLOAD_RUN_TOKEN)" in (run.results.logs / "master.log").read_text()
        workers = json.loads(run.results.workers_json.read_text())
        assert rogue.name.decode() not in json.dumps(workers)
        assert [stage["users"] for stage in run.stages()] == [2]
        assert {record.outcome for record in run.records()} == {"ok"}


@pytest.mark.parametrize("token", ["", "another token of another run"])
def test_a_worker_without_the_token_ends_with_a_message(token: str, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    port = str(free_port())
    monkeypatch.setenv(admission.TOKEN_VARIABLE, admission.made_token())
    with emulator(tmp_path) as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD)
        with locust(tmp_path, "--headless", "--master", "--master-bind-port", port, "--expect-workers", "1",
                    "--fmload-config", str(path)):
            monkeypatch.setenv(admission.TOKEN_VARIABLE, token)
            done = subprocess.run(
                [sys.executable, "-m", "locust", "-f", str(resource("locustfiles", "openai.py")), "--worker",
                 "--master-host", "127.0.0.1", "--master-port", port], capture_output=True, text=True, timeout=60,
                cwd=tmp_path, check=False)
    assert done.returncode in (2, 4), done.stderr
    assert "FMLOAD_RUN_TOKEN" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [
    ["-m", "fmload", "run", "run.yml", "--remote-workers", "1", "--bind", "127.0.0.1:1", "--out", "out"],
    ["-m", "locust", "-f", str(resource("locustfiles", "openai.py")), "--headless", "--master", "--fmload-config",
     "run.yml"],
])
def test_without_a_token_no_port_is_opened_for_workers_of_other_hosts(command: list[str], tmp_path: Path) -> None:
    with emulator(tmp_path) as server:
        run_file(tmp_path, {"a": server.url}, LOAD).rename(tmp_path / "run.yml")
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, cwd=tmp_path,
                              check=False)
    assert done.returncode != 0
    assert "FMLOAD_RUN_TOKEN" in done.stderr and "openssl rand" in done.stderr and "Traceback" not in done.stderr


class Echo(BaseHTTPRequestHandler):
    """Says back what it was sent, in every place where a server can say something."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        sent = f"{self.headers['Authorization']} {self.headers['X-Team-Pass']} {self.path}"
        Echo.count += 1
        kind = Echo.count % 6
        if kind == 0:
            self._answer(400, json.dumps({"error": {"message": f"bad key {sent}"}}))
        elif kind == 1:
            self._answer(500, "x" * 480 + KEY)
        elif kind == 2:
            chunk = {"choices": [{"index": 0, "delta": {"content": f"hi {sent}"}, "finish_reason": f"stop {sent}"}],
                     "timings": {"echo": sent}}
            self._answer(200, f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")
        elif kind == 3:
            self._answer(302, "", {"Location": f"http://elsewhere/?key={KEY}"})
        elif kind == 4:
            self.wfile.write(f"HTTP/1.1 200 {KEY}\r\nContent-Length: {KEY}\r\n\r\n".encode())
            self.close_connection = True
        else:
            self._answer(200, f"data: {sent}\n\n")

    def _answer(self, status: int, body: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body)), "X-Echo": KEY}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def echoing() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def test_a_run_leaves_no_secret_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_TEST_VALUE", KEY)
    seen: list[str] = []
    with echoing() as port:
        path = tmp_path / "run.yml"
        path.write_text(json.dumps({
            "name": "echo", "keep_answers": True,
            "endpoints": [{"name": "e", "protocol": "openai", "url": f"http://127.0.0.1:{port}/v1?api-key={TEAM}",
                           "model": "m", "headers": {"Authorization": "Bearer ${ECHO_TEST_VALUE}", "X-Team-Pass": TEAM},
                           "parameters": {"extra": {"api_key": TEAM, "other": "${ECHO_TEST_VALUE}"}}}],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 5, "output_tokens": 5, "count": 50}],
            "load": {**LOAD, "workers": 1}}))
        out = tmp_path / "out"
        Echo.count = 1  # the first request of all is answered well
        process = subprocess.Popen([sys.executable, "-m", "fmload", "run", str(path), "--out", str(out)],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=tmp_path)
        while process.poll() is None:
            seen += _commands()
            time.sleep(0.2)
        assert process.stdout is not None
        seen.append(process.stdout.read().decode())
    assert (out / "report.html").exists(), seen[-1]
    files = [file for file in out.rglob("*") if file.is_file()]
    assert len(files) > 15
    for secret in (KEY, TEAM, KEY[:10], KEY[-10:]):
        assert [str(file) for file in files if secret.encode() in file.read_bytes()] == []
        assert [text for text in seen if secret in text] == []
    import pyarrow.parquet as pq

    rows = [row for file in out.rglob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert KEY[:10] not in str(rows) and TEAM not in str(rows)
    assert {"http_4xx", "http_5xx", "decode", "ok"} <= {row.get("outcome") for row in rows}


def _commands() -> list[str]:
    """The command lines of all processes, as anybody on the host can read them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_a_module_of_the_working_folder_is_not_run(tmp_path: Path) -> None:
    for name in ("http", "json", "locust"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\nraise SystemExit")
    fmload = Path(sys.executable).with_name("fmload")
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        path = run_file(tmp_path, {"a": server.url}, {**LOAD, "window": "1s"})
        done = subprocess.run([str(fmload), "run", str(path), "--out", "out"], capture_output=True, text=True,
                              timeout=120, cwd=tmp_path, check=False,
                              env={name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"})
    assert (tmp_path / "out" / "report.html").exists(), done.stderr
    assert not (tmp_path / "ran").exists()
