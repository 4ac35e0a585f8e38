"""Copies behind the instance's own balancer: a real nginx, the watch as the instance runs it, and copies that die."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fmload_deploy.ec2 import user_data
from fmload_deploy.ec2.user_data import Copy
from fmload_deploy.local.target import free_port

NGINX = os.environ.get("NGINX_BINARY") or shutil.which("nginx") or ""
needs_nginx = pytest.mark.skipif(not NGINX, reason="nginx is not installed (apt-get install nginx-light)")
WATCH = Path(user_data.__file__).parents[1] / "templates" / "instance_watch.py"
SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"])); self.do_GET()
    def log_message(self, *_): pass
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
# A docker that knows the copies by pid files, and forwards the balancer's reload to the real nginx.
DOCKER = """#!/bin/bash
cd "$(dirname "$0")" || exit 1
name="${@: -1}"
case "$1" in
  inspect) [ -f "$name.pid" ] || exit 1
    if kill -0 "$(cat "$name.pid")" 2>/dev/null; then echo "true 0 false"; else echo "false 137 true"; fi ;;
  exec) kill -HUP "$(cat nginx.pid)" ;;
  logs) if [ "$name" = fmload-balancer ]; then cat nginx.out; else echo "the last words of $name"; fi ;;
esac
"""


def until(true: Callable[[], Any], limit_s: float = 60.0) -> Any:
    end = time.monotonic() + limit_s
    while not (value := true()):
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)
    return value


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Instance:
    """What runs on an instance: copies, balancer, watch."""

    def __init__(self, folder: Path, copies: int) -> None:
        self.folder, self.processes = folder, list[subprocess.Popen[bytes]]()
        self.port, self.status_port = free_port(), free_port()
        self.copies = [Copy(index, free_port(), ()) for index in range(copies)]
        (folder / "docker").write_text(DOCKER)
        (folder / "docker").chmod(0o755)
        temporary = "".join(f"  {kind}_temp_path {folder}/{kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = user_data._render("nginx.conf.j2", copies=self.copies, port=self.port).replace(
            "http {\n", "http {\n" + temporary)
        (folder / "nginx.conf").write_text(
            f"pid {folder}/nginx.pid;\ndaemon off;\nerror_log {folder}/error.log;\n" + text)

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}
        with (self.folder / "nginx.out").open("ab") as output:
            self.processes.append(subprocess.Popen(command, env=environment, stdout=output, cwd=self.folder))
        return self.processes[-1]

    def start_copy(self, index: int) -> subprocess.Popen[bytes]:
        copy = self.start(sys.executable, "-c", SERVER, str(self.copies[index].port))
        (self.folder / f"fmload-{index}.pid").write_text(str(copy.pid))
        until(lambda: listens(self.copies[index].port))
        return copy

    def start_balancer(self) -> None:
        self.start(NGINX, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))
        until((self.folder / "nginx.pid").exists)

    def start_watch(self) -> None:
        (self.folder / "console").write_text("the start script's last words")
        config = {"copies": [{"index": copy.index, "port": copy.port} for copy in self.copies], "health": "/health",
                  "status_port": self.status_port, "nginx": str(self.folder / "nginx.conf"), "bind": "127.0.0.1",
                  "state": str(self.folder / "failed"), "console": str(self.folder / "console")}
        (self.folder / "watch.json").write_text(json.dumps(config))
        self.start(sys.executable, str(WATCH), str(self.folder / "watch.json"))
        until(self.status)

    def status(self) -> dict[str, Any]:
        try:
            told: dict[str, Any] = json.loads(self.get("/status"))
        except OSError:
            return {}
        return told

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def ask(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1", b"{}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    made = Instance(tmp_path, 8)
    try:
        yield made
    finally:
        made.stop()


@needs_nginx
def test_seven_of_eight_copies_answer_everything_when_one_is_dead(instance: Instance) -> None:
    for index in range(7):
        instance.start_copy(index)
    instance.start_balancer()
    until(lambda: instance.ask() == 200)
    assert [instance.ask() for _ in range(100)] == [200] * 100


@needs_nginx
def test_a_copy_that_dies_is_taken_out_told_and_put_in_again(instance: Instance) -> None:
    copies = [instance.start_copy(index) for index in range(8)]
    instance.start_balancer()
    instance.start_watch()
    until(lambda: instance.status()["state"] == "serving")
    copies[3].kill()
    copies[3].wait()
    until(lambda: instance.status()["copies"][3]["state"] == "dead")
    told = instance.status()
    assert told["state"] == "failed"
    assert told["reason"] == "copy 3: its container exited with 137, killed for want of memory"
    assert f"127.0.0.1:{instance.copies[3].port} max_fails=1 fail_timeout=5s down;" in (
        instance.folder / "nginx.conf").read_text()
    assert [instance.ask() for _ in range(50)] == [200] * 50
    instance.start_copy(3)
    until(lambda: instance.status()["state"] == "serving")
    assert " down;" not in (instance.folder / "nginx.conf").read_text()


@needs_nginx
def test_what_a_dying_copy_swallowed_is_counted(instance: Instance) -> None:
    """A copy that closes connections without an answer takes requests with it: they fail, once, and are counted."""
    breaking = "import socket,sys\ns=socket.create_server(('127.0.0.1',int(sys.argv[1])))\n" \
               "while True:\n c,_=s.accept(); c.recv(65536); c.close()\n"
    for index in range(7):
        instance.start_copy(index)
    broken = instance.start(sys.executable, "-c", breaking, str(instance.copies[7].port))
    (instance.folder / "fmload-7.pid").write_text(str(broken.pid))
    instance.start_balancer()
    instance.start_watch()
    until(lambda: instance.ask() == 200)
    codes = [instance.ask() for _ in range(60)]
    until(lambda: instance.status()["swallowed"])
    assert codes.count(502) < 10  # a rest of five seconds after each failure
    told = until(lambda: {int(copy): count for copy, count in instance.status()["swallowed"].items()
                          if count >= codes.count(502)})
    assert set(told) == {7}


def test_an_instance_tells_why_its_start_failed_and_hands_over_its_logs(instance: Instance) -> None:
    instance.start_copy(0)
    instance.start_watch()
    assert instance.status()["state"] == "starting"
    (instance.folder / "failed").write_text("line 60 of the start script, exit status 1: docker pull x\n")
    until(lambda: instance.status()["state"] == "failed")
    assert instance.status()["reason"] == "line 60 of the start script, exit status 1: docker pull x"
    assert instance.get("/console") == "the start script's last words"
    assert instance.get("/log/0") == "the last words of fmload-0\n"
    until(lambda: "fmload: FAILED line 60" in (instance.folder / "nginx.out").read_text())


def test_a_container_that_exits_is_told(instance: Instance) -> None:
    copy = instance.start_copy(0)
    instance.start_watch()
    os.kill(copy.pid, signal.SIGKILL)
    copy.wait()
    until(lambda: instance.status()["state"] == "failed")
    assert "copy 0: its container exited with 137" in instance.status()["reason"]
