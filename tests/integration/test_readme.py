"""The README's commands do what it says. `make test` and `make quickstart` themselves run in .ci/run."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.load_rig import emulator, wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = [line.split(" #")[0].strip() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
            for line in block.splitlines() if line.strip()]
STRANGER = "http://10.0.0.5:8080/v1"


def _command(start: str) -> list[str]:
    """The README's command that starts so, with this environment's programs."""
    found, = [line for line in COMMANDS if line.startswith(start)]
    programs = Path(sys.executable).parent
    return [str(programs / Path(word).name) if word.startswith(".venv/bin/") else word for word in shlex.split(found)]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    for command in ("make quickstart", "make test"):
        assert command in COMMANDS
        subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True, timeout=60)


def test_one_line_measures_an_endpoint_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "emulator").mkdir()
    with emulator(tmp_path / "emulator", "--profile", "steady", "--ttft", "20ms", "--gap", "5ms") as server:
        line = [f"{server.url}/v1" if word == STRANGER else word for word in _command(".venv/bin/fmload run")]
        done = subprocess.run([*line, "--concurrency", "2", "--duration", "3s", "--output-tokens", "20"], cwd=tmp_path,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "report.md", "summary.csv", "audit.json"):
        assert (tmp_path / "results" / "latest" / name).stat().st_size > 0
    assert "report.html" in done.stdout


def test_plain_locust_serves_its_page_with_the_tokens_tab(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(ROOT / word) if word.startswith("locustfiles/") else word for word in _command(".venv/bin/locust")]
    process = subprocess.Popen([*command, "--web-port", str(port)], cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        pages: list[str] = []
        wait_until(lambda: _fetch(f"http://127.0.0.1:{port}/", pages), 60, "Locust's page")
        assert "Tokens" in pages[0]
        listening = {found.laddr.ip for found in psutil.Process(process.pid).net_connections("tcp")
                     if found.status == psutil.CONN_LISTEN and found.laddr.port == port}
        assert listening == {"127.0.0.1"}, "the web UI is to listen on loopback unless asked otherwise"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _fetch(url: str, pages: list[str]) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            pages.append(answer.read().decode())
        return True
    except OSError:
        time.sleep(0.2)
        return False


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((docs/[^)#]+|[\w./-]+\.png)\)", README))))
def test_every_page_and_picture_that_is_named_is_there(target: str) -> None:
    assert (ROOT / target).exists()


def test_every_command_that_is_named_is_one() -> None:
    from fmload.plugins import COMMANDS as KNOWN

    named = re.search(r"`fmload (run [^`]*)`", README)
    assert named is not None
    assert {word.strip() for word in named[1].split("|")} == set(KNOWN)
