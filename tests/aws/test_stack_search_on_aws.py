"""A search over SageMaker and EC2 candidates on emulated accounts, seen to its end: what does not start, finds no
capacity or runs out of memory is a row with its reason; nothing stays; machines are taken over."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from fmload.model.stack import StackSearch
from fmload.results import search_file
from fmload_deploy.ledger import NAME, Ledger
from tests.forking import Forked, start

pytestmark = pytest.mark.timeout(1200)  # whole searches
LIMIT_S = 900.0
ROLE = "arn:aws:iam::123456789012:role/serve"
RUN = f"""\
name: aws-stacks
seed: 1
region: us-east-1
endpoints:
  - name: ec2
    protocol: openai
    model: m
    deploy: {{target: ec2, instance_type: g5.xlarge, container: vllm, emulator: steady, scenario: SCENARIO}}
    price: {{hourly: 1.0}}
    vary:
      deploy.max_sequences: [8, 512, 16]
  - name: sm
    protocol: sagemaker
    model: m
    deploy: {{target: sagemaker, instance_type: ml.g5.xlarge, container: vllm, role: "{ROLE}", emulator: steady,
             scenario: SCENARIO}}
    price: {{hourly: 1.4}}
    vary:
      deploy.max_sequences: [8, 512]
  - name: full
    protocol: openai
    model: m
    deploy: {{target: ec2, instance_type: g5.2xlarge, container: vllm, emulator: steady, scenario: FULL}}
    price: {{hourly: 1.2}}
prompts: [{{name: p, source: synthetic, input_tokens: 20, output_tokens: 20, count: 100}}]
load: {{concurrency: [2], ramp: 0, warmup: 500ms, window: 3s, drain: 5s, trial: false}}
max_cost: 1
stacks: {{strategy: grid, at_once: AT_ONCE}}
"""
OUT_OF_MEMORY = """\
- {call: SendCommand, holds: "--max-num-seqs 512", fails: "exit status 1",
   log: ["loading weights", "torch.OutOfMemoryError: CUDA out of memory"]}
- {call: UpdateEndpoint, holds: '"512"', fails: "did not pass the ping health check",
   log: ["torch.OutOfMemoryError: CUDA out of memory"]}
"""
NO_ROOM = "- {call: RunInstances, code: InsufficientInstanceCapacity, message: no room, times: 1000}\n"


def started(folder: Path, *more: str, at_once: int = 1) -> Forked:
    (folder / "oom.yml").write_text(OUT_OF_MEMORY)
    (folder / "full.yml").write_text(NO_ROOM)
    (folder / "run.yml").write_text(RUN.replace("SCENARIO", str(folder / "oom.yml")).replace(
        "FULL", str(folder / "full.yml")).replace("AT_ONCE", str(at_once)))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return start("fmload", ["run", str(folder / "run.yml"), "--out", str(folder / "out"), "--yes", *more],
                 folder / "said.log", environment=clean)


def ended(folder: Path, process: Forked) -> StackSearch:
    assert process.wait(LIMIT_S) == 0, (folder / "said.log").read_text()
    return search_file.read(folder / "out")


def nothing_stands(out: Path) -> bool:
    ledgers = [*out.glob(f"machines/*/{NAME}"), *out.glob(f"trials/*/{NAME}")]
    assert ledgers
    marks = [Ledger.open(path).run_id for path in ledgers]
    alive = [process for process in psutil.process_iter() if any(mark in mark_of(process) for mark in marks)]
    return not alive and not any(entry.up for path in ledgers for entry in Ledger.open(path).entries())


def mark_of(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else process.environ().get("FMLOAD_RESOURCE", "")
    except (psutil.Error, OSError):
        return ""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole search."""
    folder = tmp_path_factory.mktemp("aws-search")
    ended(folder, started(folder))
    return folder / "out"


def test_every_candidate_is_measured_or_a_row_with_its_reason(done: Path) -> None:
    by_name = {one.candidate: one for one in search_file.read(done).trials}
    assert {name: one.status for name, one in by_name.items()} == {
        "ec2-0": "measured", "ec2-1": "failed", "ec2-2": "measured", "sm-0": "measured", "sm-1": "failed",
        "full": "failed"}, {name: one.reason for name, one in by_name.items()}
    assert "memory does not hold it" in by_name["ec2-1"].reason and "CUDA out of memory" in by_name["ec2-1"].words
    assert "memory does not hold it" in by_name["sm-1"].reason and "CUDA out of memory" in by_name["sm-1"].words
    assert "InsufficientInstanceCapacity" in by_name["full"].reason
    report = (done / "report.md").read_text()
    assert "Trials that failed" in report and "CUDA out of memory" in report and "InsufficientInstance" in report


def test_candidates_that_differ_in_flags_take_the_machine_over_and_the_report_says_what_that_saved(done: Path) -> None:
    trials = {one.candidate: one.facts for one in search_file.read(done).trials}
    assert [trials[name]["reused"] for name in ("ec2-0", "ec2-1", "ec2-2", "sm-0", "sm-1")] == [
        False, True, True, False, True]
    assert trials["ec2-0"]["machine"] == trials["ec2-2"]["machine"] != trials["sm-0"]["machine"]
    report = (done / "report.md").read_text()
    assert "## Machines" in report and "1 trial took over the machine of the trial before" in report


def test_the_search_stays_within_max_cost_and_nothing_is_left(done: Path) -> None:
    search = search_file.read(done)
    spent = search.idle_usd + sum(one.usd or 0.0 for one in search.trials)
    assert 0 < spent <= 1 and nothing_stands(done)


def test_killed_while_a_machine_stands_it_goes_on_to_the_same_answer(done: Path, tmp_path: Path) -> None:
    first = started(tmp_path)
    out, limit = tmp_path / "out", time.monotonic() + LIMIT_S
    while not (search_file.exists(out) and len(search_file.read(out).trials) == 3):
        assert time.monotonic() < limit and first.poll() is None, (tmp_path / "said.log").read_text()
        time.sleep(0.05)
    mine = psutil.Process(first.pid).children(recursive=True)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    _, alive = psutil.wait_procs(mine, timeout=60)
    assert not alive, "what a killed search had started ends by itself"
    search = ended(tmp_path, started(tmp_path, "--resume"))
    assert {(one.candidate, one.status) for one in search.trials} == {
        (one.candidate, one.status) for one in search_file.read(done).trials}
    assert nothing_stands(out)


def test_interrupted_it_takes_down_what_stands(tmp_path: Path) -> None:
    first = started(tmp_path)
    out, limit = tmp_path / "out", time.monotonic() + LIMIT_S
    while not list(out.glob("trials/000-*/stages.json")):
        assert time.monotonic() < limit and first.poll() is None, (tmp_path / "said.log").read_text()
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    assert first.wait(LIMIT_S) == 130, (tmp_path / "said.log").read_text()
    assert nothing_stands(out)


def test_trials_side_by_side_have_a_machine_each(tmp_path: Path) -> None:
    search = ended(tmp_path, started(tmp_path, at_once=2))
    by_name = {one.candidate: one.status for one in search.trials}
    assert by_name["ec2-0"] == by_name["sm-0"] == "measured" and by_name["full"] == "failed"
    lives = [[(entry.created_utc, entry.ended_utc) for entry in Ledger.open(path).lives()
              if entry.resource.kind in ("ec2-instance", "sagemaker-endpoint") and entry.event == "deleted"]
             for path in (tmp_path / "out").glob(f"machines/*/{NAME}")]
    every = [life for one in lives for life in one]
    assert len(every) > 1 and nothing_stands(tmp_path / "out")
    assert max(sum(begin <= at < (end or at) for begin, end in every) for at, _ in every) <= 2
    assert json.loads((tmp_path / "out" / "search.json").read_text())["ended"]
