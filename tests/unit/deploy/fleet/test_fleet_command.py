"""`fmload fleet`: what it refuses before anything is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.cli.main import main


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def a_run(**endpoint: Any) -> str:
    Path("run.yml").write_text(yaml.safe_dump({
        "name": "x", "endpoints": [{"name": "a", "protocol": "openai", "model": "m", **endpoint}],
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 5}],
        "load": {"concurrency": [1], "window": "1s"}}))
    return "run.yml"


def refusal(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["fleet", *words]) == 2
    assert not Path("results").exists()
    return capsys.readouterr().err


def test_what_a_run_file_deploys_is_not_for_a_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "up", a_run(deploy={"target": "local", "emulator": "steady"}))
    assert "endpoint 'a' has deploy" in told and "fmload deploy up CONFIG first" in told


def test_secrets_that_are_written_out_do_not_travel(capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "up", a_run(url="http://h/v1", headers={"Authorization": "Bearer sk-written-out"}))
    assert "headers.Authorization" in told and "sk-written-out" not in told


def test_a_variable_that_is_not_set_is_told_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "UNSET_KEY" in refusal(capsys, "up", a_run(url="http://h/v1", api_key_env="UNSET_KEY"))


def test_options_of_another_target_are_told_with_those_of_this_one(capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "up", a_run(url="http://h/v1"), "--target", "ec2", "--image", "x")
    assert "--image: not of --target ec2" in told and "--instance-type" in told


def test_an_option_that_is_missing_or_wrong_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--image" in refusal(capsys, "plan", a_run(url="http://h/v1"), "--target", "kubernetes")
    assert "--purchase" in refusal(capsys, "plan", a_run(url="http://h/v1"), "--target", "ec2", "--purchase", "free")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "x" * 61, "naïve", "a b", "_", "a\n"])
def test_a_name_is_a_folder_and_nothing_else(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert "is no name of a fleet" in refusal(capsys, "status", name)


def test_a_fleet_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for action in ("status", "results", "down"):
        assert "there is no fleet 'absent'" in refusal(capsys, action, "absent")
    assert "no fleet is up" in refusal(capsys, "down")


def test_a_price_that_is_not_known_cannot_be_limited(capsys: pytest.CaptureFixture[str]) -> None:
    told = refusal(capsys, "up", a_run(url="http://h/v1"), "--target", "kubernetes", "--image", "x", "--max-cost", "5")
    assert "the price of the hosts is unknown" in told and "--hourly" in told


def test_a_name_that_reads_as_an_option_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no name of a fleet" in refusal(capsys, "plan", a_run(url="http://h/v1"), "--name=-x")


def test_a_name_that_is_taken_is_told_before_a_results_folder_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/fleets/x").mkdir(parents=True)
    assert main(["fleet", "up", a_run(url="http://h/v1"), "--out", "back"]) == 2
    assert "is being made by another command" in capsys.readouterr().err
    assert not Path("back").exists()
