"""The page "How many instances for a million users": its files are sound, and its commands run as they are typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from engines import measured

from fmload.cli.main import main

PAGE = (Path(__file__).parents[4] / "docs" / "capacity.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def typed(command: str) -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith(f"fmload {command}")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    run_file, demand = blocks("yaml")
    (tmp_path / "one-replica.yml").write_text(run_file)
    (tmp_path / "day.yml").write_text(demand)
    measured(tmp_path / "results" / "one-replica", rates=(0.5, 3, 12), window_s=30)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_run_file_of_the_page_is_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "one-replica.yml"]) == 0
    assert any("one-replica.yml" in line for line in typed("run"))


@pytest.mark.parametrize("line", typed("capacity"))
def test_a_command_of_the_page_plans(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)[1:]
    short = ["--seeds", "1", "--requests", "200", "--simulate", "2"]
    limit = [] if "--objective" in words else ["--objective", "ttft_p95=2s"]
    assert main([*words, *short, *limit]) == 0, capsys.readouterr().err
    assert "replicas" in capsys.readouterr().out
    assert (folder / "results" / "one-replica" / "capacity.html").stat().st_size > 10_000


def test_the_page_tells_every_key_and_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    from fmload.config.model import key_names
    from fmload_analysis.capacity.demand_file import DemandFile

    for key in key_names(DemandFile):
        assert f"`{key}`" in PAGE, key
    for option in ("--routing", "--autoscale", "--lose", "--mtbf", "--restart", "--detect", "--per-token", "--seeds",
                   "--requests", "--simulate", "--objective", "--out"):
        assert option in PAGE, option
