"""`fmload run` from beginning to end on an emulated account that misbehaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from fmload.base.resources import resource
from fmload_deploy.ledger import NAME, Ledger
from tests import forking
from tests.load_rig import wait_until


def run(folder: Path, recipe: str, rules: list[dict[str, Any]], *sets: str) -> subprocess.CompletedProcess[str]:
    """`fmload run` of a recipe that ships, emulated, with a scenario and a short load: answers of 0.4 s each, long
    enough that the client is not what is measured."""
    (folder / "scenario.yml").write_text(yaml.safe_dump(rules))
    keys = ["load.concurrency=[4]", "load.window=8s", "load.warmup=1s", "load.ramp=0s", "load.workers=1",
            "prompts=[{name: chat, source: synthetic, input_tokens: 200, output_tokens: 10}]",
            "endpoints[0].deploy.emulator=steady", f"endpoints[0].deploy.scenario={folder / 'scenario.yml'}", *sets]
    options = [part for key in keys for part in ("--set", key)]
    return forking.run(["run", str(resource("configs", recipe)), "--out", str(folder / "r"), "--yes", *options], folder,
                       timeout_s=280)


def assert_measured(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    """Measured and reported. The audit may say that this machine was too busy to measure it (4), and nothing else."""
    assert done.returncode in (0, 3, 4), done.stderr
    audited = json.loads((folder / "r" / "audit.json").read_text())["stages"]
    failed = [stage for stage in audited if stage["audit"] == "FAIL"]
    assert bool(failed) == (done.returncode == 4) and all(stage["client_bound"] for stage in failed), failed
    assert (folder / "r" / "report.md").exists()


def statuses(folder: Path) -> set[str]:
    return {stage["status"] for stage in json.loads((folder / "r" / "stages.json").read_text())["stages"]}


def test_sagemaker_with_throttles_and_lag_measures_reports_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "qwen3-32b-ml.g6e.12xlarge.yml",
               [{"call": "DescribeEndpoint", "throttle": 6}, {"call": "CreateModel", "lag": 2}])
    assert_measured(tmp_path, done)
    assert statuses(tmp_path) == {"done"}
    assert not any(entry.up for entry in Ledger.open(tmp_path / "r" / NAME).entries())


def test_ec2_with_a_full_zone_measures_in_another(tmp_path: Path) -> None:
    done = run(tmp_path, "gpt-oss-20b-g6e.2xlarge.yml",
               [{"call": "RunInstances", "zone": "us-east-1a", "code": "InsufficientInstanceCapacity"}])
    assert_measured(tmp_path, done)
    assert "has no room" in done.stderr and statuses(tmp_path) == {"done"}
    assert not any(entry.up for entry in Ledger.open(tmp_path / "r" / NAME).entries())


@pytest.mark.parametrize("recipe", ["qwen3-32b-ml.g6e.12xlarge.yml"])
def test_a_denied_delete_after_a_good_measurement_costs_no_report(tmp_path: Path, recipe: str) -> None:
    done = run(tmp_path, recipe, [{"call": "DeleteEndpoint", "deny": True}])
    assert done.returncode == 2
    assert (tmp_path / "r" / "report.md").exists() and statuses(tmp_path) == {"done"}
    assert "still there" in done.stderr and f"fmload deploy down {tmp_path / 'r' / NAME}" in done.stderr
    assert done.stdout.index("report: ") >= 0


def test_a_closed_terminal_takes_down_what_was_deployed(tmp_path: Path) -> None:
    """SIGHUP, as when ssh drops, to the whole process group while the load is on: as Ctrl-C."""
    command = [sys.executable, "-m", "fmload", "run", str(resource("configs", "qwen3-32b-ml.g6e.12xlarge.yml")),
               "--out", str(tmp_path / "r"), "--yes", "--set", "endpoints[0].deploy.emulator=steady", "--set",
               "load.concurrency=[2]", "--set", "load.workers=1", "--set", "load.ramp=0s"]
    with (tmp_path / "said").open("wb") as said, subprocess.Popen(
            command, cwd=tmp_path, stdout=said, stderr=said, stdin=subprocess.DEVNULL,
            start_new_session=True) as process:
        try:
            live = tmp_path / "r" / "logs" / "live.json"
            wait_until(lambda: live.exists() and '"warm-up"' in live.read_text(), 120, "the load")
            os.killpg(process.pid, signal.SIGHUP)
            code = process.wait(120)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    entries = Ledger.open(tmp_path / "r" / NAME).entries()
    told = (tmp_path / "said").read_text()
    assert code not in (0, -signal.SIGHUP) and not any(entry.up for entry in entries), told
    assert {"sagemaker-endpoint", "schedule-group", "iam-role"} <= {entry.resource.kind for entry in entries}
    assert not [one for one in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(one.info["cmdline"] or ())]
