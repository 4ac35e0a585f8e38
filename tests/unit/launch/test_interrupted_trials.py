"""A Ctrl-C while the process of a trial, or of `fmload.run`, is started: in a fork Python drops its exception."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fmload import api
from fmload.config.loading import parse
from fmload.launch import trials
from fmload.launch.trials import Trials
from fmload.model.stack import Trial
from fmload.stacks.candidates import stacks_of
from tests.unit.launch.test_trials_on_machines import RUN


class Process:
    """Runs until it is told to end. A Ctrl-C comes while it is started, in a place that swallows it."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.returncode: int | None = None
        self.stderr = io.StringIO()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.getsignal(signal.SIGINT)
        except KeyboardInterrupt:
            pass

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, limit_s: float | None = None) -> int:
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        self.returncode = -number


def test_a_trial_that_is_interrupted_while_it_starts_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Process] = []

    def started(*arguments: Any) -> Process:
        begun.append(Process())
        return begun[0]
    monkeypatch.setattr(trials, "_started", started)
    run = parse(RUN, "run.yml", tmp_path)
    rig = Trials(tmp_path, run, stacks_of(run), lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        rig.begin(Trial(0, "c-0", 1.0, "trials/0"), None)
    rig.end()
    assert begun[0].returncode == -signal.SIGINT


def test_a_run_that_is_interrupted_while_it_starts_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Process] = []

    def started(*arguments: Any, **keywords: Any) -> Process:
        begun.append(Process())
        return begun[0]
    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(KeyboardInterrupt):
        api.run(url="http://127.0.0.1:9", out=tmp_path / "out")
    assert begun[0].returncode == -signal.SIGINT
