"""The commands of docs/fleets.md, as they are written there, against the emulated account."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from test_fleet_on_ec2 import Instances, left

from fmload.cli.main import main
from tests.load_rig import emulator, run_file

if TYPE_CHECKING:
    from conftest import EmulatedAws

PAGE = Path(__file__).parents[2] / "docs" / "fleets.md"
LOAD = {"concurrency": [3], "ramp": "0s", "warmup": "0s", "window": "3s", "workers": 1}


def commands() -> list[list[str]]:
    """The words after `fmload` of every command in the page's shell blocks."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("fmload ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


pytestmark = pytest.mark.timeout(600)  # several processes start one after the other


@pytest.fixture(autouse=True)
def _folder(aws: EmulatedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    aws.delete("/fmload/scenario")
    aws.post("/moto-api/reset")


def test_the_page_has_every_action() -> None:
    assert {words[1] for words in commands()} == {"plan", "run", "up", "status", "results", "down", "policy"}


def test_what_makes_nothing_and_what_stays_here_runs_as_it_is_written(
        aws: EmulatedAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        run_file(tmp_path, {"a": server.url}, LOAD)
        for words in commands():
            if words[1] in ("plan", "policy") or "local" in words:
                assert main(words) in (0, 4), capsys.readouterr().err  # 4: too few requests for the audit
    told = capsys.readouterr().out
    assert "3 × c7i.xlarge (4 vCPUs): a master and 10 workers" in told and "1.07 USD at most" in told
    assert '"ssm:PutParameter"' in told and "requests/s" in told
    assert left(aws) == []


def test_up_status_results_and_down_run_as_they_are_written(aws: EmulatedAws, tmp_path: Path) -> None:
    """With three workers in the place of ten, and `--yes`, as nobody is there."""
    instances = Instances(aws, tmp_path)
    with emulator(tmp_path, "--ttft", "20ms", "--gap", "5ms") as server:
        run_file(tmp_path, {"a": server.url}, LOAD)
        try:
            for words in commands():
                if words[1] in ("up", "status", "results", "down"):
                    assert ran([*words, "--yes"], instances) in (0, 4), Path("err.txt").read_text()
                    assert ("big" in Path("out.txt").read_text()) or words[1] == "results"
        finally:
            instances.end()
    assert left(aws) == []


def ran(words: list[str], instances: Instances) -> int:
    """The exit code of a command, while instances boot beside it."""
    words = [{"10": "3"}.get(word, word) for word in words]
    with Path("out.txt").open("wb") as out, Path("err.txt").open("wb") as err:
        command = subprocess.Popen([sys.executable, "-m", "fmload", *words], stdout=out, stderr=err)
        while command.poll() is None:
            instances.boot()
            time.sleep(0.2)
    return command.returncode
