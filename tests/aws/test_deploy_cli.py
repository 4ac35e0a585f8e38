"""`fmload deploy` and `fmload run` as users call them, against the emulated AWS."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from fmload.base.resources import resource
from fmload_deploy.ledger import NAME, Ledger
from tests import forking

if TYPE_CHECKING:
    from conftest import EmulatedAws

CONFIG = {
    "name": "cli", "region": "us-east-1",
    "endpoints": [{"name": "g6e", "protocol": "sagemaker", "model": "Qwen/Qwen3-32B", "deploy": {
        "target": "sagemaker", "instance_type": "ml.g6e.12xlarge", "container": "vllm",
        "role": "arn:aws:iam::123456789012:role/serve"}}],
    "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 10, "output_tokens": 10}],
    "load": {"concurrency": [1]}}


def fmload(*arguments: str, cwd: Path, timeout_s: float = 200) -> subprocess.CompletedProcess[str]:
    return forking.run(arguments, cwd, timeout_s=timeout_s)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.yml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def test_plan_has_no_effect(aws: EmulatedAws, folder: Path) -> None:
    before = len(aws.calls())
    done = fmload("deploy", "plan", "run.yml", cwd=folder)
    assert "13.12 USD/h  sagemaker-endpoint" in done.stdout
    assert len(aws.calls()) == before
    assert [path.name for path in folder.iterdir()] == ["run.yml"]


def test_up_status_down_by_the_run_file_alone(aws: EmulatedAws, folder: Path) -> None:
    assert fmload("deploy", "up", "run.yml", cwd=folder).returncode == 2  # nobody agreed
    made = fmload("deploy", "up", "run.yml", "--yes", cwd=folder)
    assert made.returncode == 0 and made.stdout.startswith("g6e: fmload-g6e-"), made.stderr
    again = fmload("deploy", "up", "run.yml", "--yes", cwd=folder)
    assert again.stdout == made.stdout
    status = fmload("deploy", "status", "run.yml", cwd=folder).stdout
    assert re.search(r"5 up, 13.12 USD/h, so far 0\.\d\d USD", status), status
    assert re.search(r"; ends itself in 1[12] h", status), status  # twelve hours, less what has gone by
    name = made.stdout.splitlines()[0].partition(": ")[2]
    aws.client("sagemaker").delete_endpoint(EndpointName=name)  # behind the ledger's back
    aws.client("sagemaker").get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1})
    assert "4 up, 0 USD/h" in fmload("deploy", "status", "run.yml", cwd=folder).stdout
    [ledger] = folder.glob(f"results/cli-*/{NAME}")
    assert len(aws.tagged(Ledger.open(ledger).run_id)) == 2
    assert fmload("deploy", "down", "run.yml", cwd=folder).returncode == 0
    assert aws.tagged(Ledger.open(ledger).run_id) == []
    assert "0 up" in fmload("deploy", "status", str(ledger.parent), cwd=folder).stdout


def test_down_by_the_run_id_alone_needs_no_file(aws: EmulatedAws, folder: Path) -> None:
    fmload("deploy", "up", "run.yml", "--yes", "--out", "here", cwd=folder)
    run_id = Ledger.open(folder / "here" / NAME).run_id
    assert len(aws.tagged(run_id)) == 3
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    done = fmload("deploy", "down", "--run", run_id, "--region", "us-east-1", "--yes", cwd=elsewhere)
    assert done.returncode == 0 and run_id in done.stdout, done.stderr
    assert aws.tagged(run_id) == []
    assert "nothing to delete with the tag" in fmload("deploy", "sweep", "--run", run_id, cwd=elsewhere).stdout


def test_sweep_deletes_nothing_without_a_word_and_nothing_live_without_its_name(aws: EmulatedAws, folder: Path) -> None:
    fmload("deploy", "up", "run.yml", "--yes", "--out", "here", cwd=folder)
    run_id = Ledger.open(folder / "here" / NAME).run_id
    kept = fmload("deploy", "sweep", "--yes", cwd=folder)
    assert f"{run_id}: of " in kept.stdout and "live: its lease lasts" in kept.stdout, kept.stderr
    assert fmload("deploy", "sweep", "--run", run_id, cwd=folder).returncode == 2  # nobody agreed
    assert len(aws.tagged(run_id)) == 3
    fmload("deploy", "sweep", "--run", run_id, "--yes", cwd=folder)
    assert aws.tagged(run_id) == []


def test_the_emulated_sagemaker_run_file_deploys_sweeps_reports_and_takes_down(tmp_path: Path) -> None:
    config = resource("configs", "sagemaker-deploy-emulated.yml")
    done = fmload("run", str(config), "--out", str(tmp_path / "r"), "--set", "load.concurrency=[2]", "--set",
                  "load.window=5s", "--set", "load.warmup=1s", cwd=tmp_path, timeout_s=280)
    assert done.returncode in (0, 3, 4), done.stderr  # 4: a busy machine's audit
    entries = Ledger.open(tmp_path / "r" / NAME).entries()
    assert {entry.resource.kind for entry in entries} == {
        "process", "iam-role", "schedule-group", "sagemaker-model", "sagemaker-endpoint-config", "sagemaker-endpoint"}
    assert not any(entry.up for entry in entries)
    assert (tmp_path / "r" / "report.md").exists()
    stages = json.loads((tmp_path / "r" / "stages.json").read_text())["stages"]
    assert [stage["status"] for stage in stages] == ["done"]
