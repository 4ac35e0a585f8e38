"""Trials on machines that they take over from one another: what they are charged, and when they are stopped."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from fmload.base.errors import EXIT_INTERRUPTED, FmloadError
from fmload.config.loading import parse
from fmload.config.schema import RunFile
from fmload.launch import trials
from fmload.launch.trials import Trials
from fmload.model.stack import Figure, Found, Trial
from fmload.stacks.candidates import stacks_of

RUN = """\
name: s
endpoints:
  - {name: c, protocol: openai, url: "http://127.0.0.1:9/v1", price: {hourly: 1},
     vary: {parameters.temperature: [0, 1]}}
prompts: [{name: p, source: synthetic, input_tokens: 20, output_tokens: 20, count: 10}]
load: {concurrency: [1], window: 10s}
"""


@dataclass
class Stood:
    machine: str
    reused: bool
    took_s: float
    run: RunFile | None = None
    error: FmloadError | None = None


class Machines:
    """One machine, whose bill is what the test says."""

    def __init__(self, error: FmloadError | None = None, slow: bool = False) -> None:
        self.usd: float | None = 0.0
        self.error, self.slow, self.log = error, slow, list[str]()
        self.stopped = threading.Event()

    def key_of(self, run: RunFile) -> str | None:
        return "one"

    def stand_up(self, run: RunFile, folder: Path) -> Stood:
        if self.slow:
            assert self.stopped.wait(30)
            return Stood("00", False, 1.0, error=FmloadError("interrupted", exit_code=EXIT_INTERRUPTED))
        return Stood("00", bool(self.log), 1.0, None if self.error else run, self.error)

    def hand_back(self, name: str) -> None:
        self.log.append(f"back {name}")

    def interrupt(self, name: str | None = None) -> None:
        self.stopped.set()

    def spent_usd(self, name: str | None = None) -> float | None:
        return self.usd

    def end(self) -> None:
        self.log.append("end")


class Process:
    """A run that ends at once, or when it is told to."""

    def __init__(self, lasts: bool = False) -> None:
        self._told = threading.Event()
        self.returncode = 0
        if not lasts:
            self._told.set()

    def poll(self) -> int | None:
        return self.returncode if self._told.is_set() else None

    def wait(self, limit_s: float | None = None) -> int:
        assert self._told.wait(30)
        return self.returncode

    def send_signal(self, number: int) -> None:
        self.returncode = 130
        self._told.set()


def bench(folder: Path, machines: Machines, process: Process, monkeypatch: pytest.MonkeyPatch,
          found: Found | None = None) -> Trials:
    monkeypatch.setattr(trials, "_started", lambda run, folder, log, resume: process)
    monkeypatch.setattr(trials, "POLL_S", 0.001)
    run = parse(RUN, "run.yml", folder)
    return Trials(folder, run, stacks_of(run), lambda _: found, machines=machines)


def test_a_trial_is_charged_what_its_machine_cost_since_the_trial_before(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines()
    rig = bench(tmp_path, machines, Process(), monkeypatch, Found("measured", Figure(1, 1, 1), usd=0.01))
    charged = []
    for number, bill in enumerate((0.5, 0.8)):
        rig.begin(Trial(number, f"c-{number}", 1.0, f"trials/{number}"), 5.0)
        machines.usd = bill
        charged.append(rig.wait())
    assert [one.usd for one in charged] == [pytest.approx(0.5), pytest.approx(0.3)]
    assert [one.facts["reused"] for one in charged] == [False, True] and machines.log == ["back 00"] * 2


def test_a_later_process_charges_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines()
    rig = bench(tmp_path, machines, Process(), monkeypatch, Found("measured", Figure(1, 1, 1)))
    rig.settled([Trial(0, "c-0", 1.0, "t", "measured", facts={"machine": "00", "machine_usd": 0.5})])
    machines.usd = 0.7
    rig.begin(Trial(1, "c-1", 1.0, "trials/1"), 5.0)
    assert rig.wait().usd == pytest.approx(0.2)


def test_a_trial_whose_machine_costs_too_much_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines()
    rig = bench(tmp_path, machines, Process(lasts=True), monkeypatch)
    machines.usd = 2.0
    rig.begin(Trial(0, "c-0", 1.0, "trials/0"), 1.0)
    ended = rig.wait()
    assert ended.status == "failed" and "max_cost" in ended.reason and ended.usd == pytest.approx(2.0)


def test_a_machine_that_costs_too_much_before_it_serves_is_given_up(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(slow=True)
    rig = bench(tmp_path, machines, Process(), monkeypatch)
    machines.usd = 2.0
    rig.begin(Trial(0, "c-0", 1.0, "trials/0"), 1.0)
    ended = rig.wait()
    assert ended.status == "failed" and "max_cost" in ended.reason


def test_an_interrupted_start_is_no_failed_candidate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(error=FmloadError("x: interrupted", exit_code=EXIT_INTERRUPTED))
    rig = bench(tmp_path, machines, Process(), monkeypatch)
    rig.begin(Trial(0, "c-0", 1.0, "trials/0"), None)
    with pytest.raises(KeyboardInterrupt):
        rig.wait()
    rig.end()
    assert machines.log[-1] == "end"


def test_a_candidate_that_is_not_served_has_the_errors_first_line_and_its_last_words(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines(error=FmloadError("ec2: it failed\n    loading\n    CUDA out of memory"))
    rig = bench(tmp_path, machines, Process(), monkeypatch)
    rig.begin(Trial(0, "c-0", 1.0, "trials/0"), None)
    ended = rig.wait()
    assert (ended.status, ended.reason, ended.words) == ("failed", "ec2: it failed", "loading\nCUDA out of memory")
