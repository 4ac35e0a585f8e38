"""The page for a fresh account, command by command, in an emulated account that allows what its policy says alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fmload.base.resources import resource
from fmload.config.loading import load, shipped
from tests import forking

if TYPE_CHECKING:
    from conftest import EmulatedAws

PAGE = resource("docs", "first-measurement.md")
TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def fmload(folder: Path, *arguments: str) -> str:
    """What a command says; the test fails when the command does."""
    done = forking.run(arguments, folder, timeout_s=200)
    assert done.returncode == 0, f"fmload {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_recipe_that_the_page_names_ships() -> None:
    named = re.findall(r"fmload init --from ([\w.-]+)", PAGE.read_text())
    assert {"qwen3-32b-ml.g6e.12xlarge", "bedrock-two-models"} <= set(named) - {"RECIPE"} <= set(shipped())


def test_every_command_of_the_page_is_one() -> None:
    from fmload.cli.deploy import _ACTIONS
    actions = {line.split()[0] for line in _ACTIONS.strip().splitlines()}
    assert set(re.findall(r"fmload deploy (\w+)", PAGE.read_text())) <= actions


@pytest.mark.parametrize("recipe", ["qwen3-32b-ml.g6e.12xlarge", "gpt-oss-20b-g6e.2xlarge"])
def test_a_fresh_account_with_the_printed_policy_gets_through_check_and_plan(
        aws: EmulatedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recipe: str) -> None:
    fmload(tmp_path, "init", "--from", recipe, "--out", "my-run.yml")
    policy = json.loads(fmload(tmp_path, "deploy", "policy", "my-run.yml"))
    aws.client("iam").create_role(RoleName=f"serve-{tmp_path.name}", AssumeRolePolicyDocument=json.dumps(TRUST))
    monkeypatch.setenv("FMLOAD_SAGEMAKER_ROLE", f"arn:aws:iam::123456789012:role/serve-{tmp_path.name}")
    aws.post("/fmload/policy", **policy)
    try:
        checked = fmload(tmp_path, "deploy", "check", "my-run.yml")
        planned = fmload(tmp_path, "deploy", "plan", "my-run.yml")
        swept = fmload(tmp_path, "deploy", "sweep", "--region", "us-east-1")
    finally:
        aws.delete("/fmload/scenario")
    assert " 0 missing, 0 unknown" in checked, checked
    assert load(tmp_path / "my-run.yml").endpoints[0].name in planned and "USD/h" in planned
    assert "nothing to delete" in swept


def test_up_status_down_and_sweep_of_the_page_work_with_the_printed_policy(
        aws: EmulatedAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fmload(tmp_path, "init", "--from", "qwen3-32b-ml.g6e.12xlarge", "--out", "my-run.yml")
    policy = json.loads(fmload(tmp_path, "deploy", "policy", "my-run.yml"))
    monkeypatch.setenv("FMLOAD_SAGEMAKER_ROLE", "arn:aws:iam::123456789012:role/fmload-serve")
    aws.post("/fmload/policy", **policy)
    try:
        assert fmload(tmp_path, "deploy", "up", "my-run.yml", "--yes").startswith("ml.g6e.12xlarge-vllm: fmload-")
        assert "5 up, 13.12 USD/h" in fmload(tmp_path, "deploy", "status", "my-run.yml")
        fmload(tmp_path, "deploy", "down", "my-run.yml")
        assert "nothing to delete" in fmload(tmp_path, "deploy", "sweep", "--region", "us-east-1", "--yes")
    finally:
        aws.delete("/fmload/scenario")
