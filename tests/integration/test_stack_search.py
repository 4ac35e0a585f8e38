"""A whole search over serving stacks, on the emulator: `fmload run` of a run file that varies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from fmload.base.errors import EXIT_INTERRUPTED
from fmload.results import search_file
from tests import forking
from tests.forking import Forked, start
from tests.load_rig import wait_until

RUN = """\
name: stacks
seed: 1
endpoints:
  - name: emu
    protocol: openai
    deploy: {target: local, emulator: steady, emulator_options: [--ttft, 20ms, --gap, "{gap}", "{more}"]}
    price: {hourly: 3.6}
    vary:
      gap: [20ms, 5ms]
      more: [[], [--nonsense]]
    exclude:
      - {gap: 20ms, more: [[--nonsense]]}
prompts: [{name: p, source: synthetic, input_tokens: 20, output_tokens: 20, count: 100}]
load: {concurrency: [2], ramp: 0, warmup: 500ms, window: 3s, drain: 5s, trial: false}
max_cost: 1
stacks: grid
"""
LIMIT_S = 240.0


def started(folder: Path, *more: str) -> Forked:
    (folder / "run.yml").write_text(RUN)
    return start("fmload", ["run", str(folder / "run.yml"), "--out", str(folder / "out"), *more], folder / "said.log")


def below(process: Forked) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that was killed in its second trial, and gone on with."""
    folder = tmp_path_factory.mktemp("search")
    first = started(folder)
    limit = time.monotonic() + LIMIT_S
    out = folder / "out"
    while not (search_file.exists(out) and len(search_file.read(out).trials) == 2):
        assert time.monotonic() < limit and first.poll() is None, (folder / "said.log").read_text()
        time.sleep(0.05)
    mine = below(first)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    _, alive = psutil.wait_procs(mine, timeout=60)
    assert not alive, "what a killed search had started ends by itself"
    again = started(folder, "--resume")
    assert again.wait(LIMIT_S) == 0, (folder / "said.log").read_text()
    return out


def test_every_candidate_is_a_trial_and_the_cheaper_one_wins(done: Path) -> None:
    search = search_file.read(done)
    assert [(one.candidate, one.status) for one in search.trials] == [
        ("emu-0", "measured"), ("emu-2", "measured"), ("emu-3", "failed")]
    slow, fast = (search.trials[place].figure for place in (0, 1))
    # 20 tokens a request in 20 ms + 19 gaps, two users: 2 × 20 ÷ (0.02 + 19 gaps) a second at 3.6 USD an hour
    for figure, gap_s in ((slow, 0.02), (fast, 0.005)):
        assert figure.value == pytest.approx(1e6 * 0.001 / (40 / (0.02 + 19 * gap_s)), rel=0.15)
    assert fast.high is not None and slow.low is not None and fast.high < slow.low


def test_a_candidate_that_does_not_start_is_a_row_with_its_last_words(done: Path) -> None:
    failed = search_file.read(done).trials[2]
    assert "ended while starting" in failed.reason and "unrecognized arguments: --nonsense" in failed.words
    report = (done / "report.md").read_text()
    assert "Trials that failed" in report and "unrecognized arguments: --nonsense" in report


def test_every_trial_is_an_ordinary_results_folder(done: Path) -> None:
    for trial in search_file.read(done).trials[:2]:
        assert (done / trial.folder / "report.html").exists() and (done / trial.folder / "summary.csv").exists()


def test_the_winner_is_a_run_file_that_is_valid(done: Path) -> None:
    text = (done / "winner.yml").read_text()
    assert "5ms" in text and "vary" not in text.replace("vary: {}", "")
    found = forking.run(["validate", str(done / "winner.yml")])
    assert found.returncode == 0, found.stderr
    assert "fmload emulate --profile steady --ttft 20ms --gap 5ms" in (done / "report.md").read_text()


def test_the_report_is_made_again_by_the_command(done: Path) -> None:
    (done / "report.html").unlink()
    found = forking.run(["report", str(done)])
    assert found.returncode == 0 and "emu-2" in found.stdout and "cheaper than the default" in found.stdout
    assert (done / "report.html").exists()


def test_nothing_is_left_running(done: Path) -> None:
    for trial in search_file.read(done).trials:
        ledger = done / trial.folder / "ledger.jsonl"
        assert ledger.read_text().count('"created"') == ledger.read_text().count('"deleted"')


def test_validate_shows_candidates_needs_and_the_most_that_the_search_takes() -> None:
    found = forking.run(["validate", "stacks-emulated"])
    assert found.returncode == 0, found.stderr
    assert "llama-3" in found.stdout and "llama-5" not in found.stdout and "(default)" in found.stdout
    assert "5 candidates, strategy halving: 10 trials at most" in found.stdout
    assert "max_cost stops it before 2 USD" in found.stdout


def test_a_candidate_that_does_not_fit_is_told_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "run.yml").write_text("""\
name: a
region: us-east-1
endpoints:
  - name: llama
    protocol: openai
    model: meta-llama/Llama-3.1-8B-Instruct
    deploy: {target: ec2, instance_type: g5.2xlarge, container: vllm, hf_token_secret: t}
    vary: {deploy.max_model_len: [8192, 131072]}
prompts: [{name: p, source: synthetic, input_tokens: 20, output_tokens: 20, count: 100}]
load: {find: {objective: {ttft_p90: 3s}}}
""")
    found = forking.run(["validate", str(tmp_path / "run.yml")], environment={**os.environ, "COLUMNS": "300"})
    assert found.returncode == 0, found.stderr
    fits, too_long = (line for line in found.stdout.splitlines() if line.strip().startswith("llama-"))
    assert "memory" not in fits and "memory: weights 15 GiB" in too_long and "131072 tokens" in too_long


def test_a_closed_terminal_ends_a_search_in_order(tmp_path: Path) -> None:
    process, out = started(tmp_path), tmp_path / "out"
    wait_until(lambda: search_file.exists(out) and search_file.read(out).trials, LIMIT_S, "the first trial")
    process.send_signal(signal.SIGHUP)
    assert process.wait(LIMIT_S) == EXIT_INTERRUPTED, (tmp_path / "said.log").read_text()
    assert (out / "report.html").exists()
