"""Signals that end a run, and a teardown that they do not cut short."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from fmload_deploy.signals import as_interrupts, undisturbed

ENDING = [signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def as_they_were() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_lost_terminal_and_a_kill_interrupt_as_ctrl_c_does(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), as_interrupts():
        os.kill(os.getpid(), number)
        signal.getsignal(number)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_run_under_nohup_goes_on_without_its_terminal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with as_interrupts():
        os.kill(os.getpid(), signal.SIGHUP)


def test_a_teardown_is_ended_by_a_second_ctrl_c_only() -> None:
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt), undisturbed(said.append, "fmload deploy down x"):
        for number in (*ENDING, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert len(said) == 1 and "fmload deploy down x" in said[0]
        os.kill(os.getpid(), signal.SIGINT)
        signal.getsignal(signal.SIGINT)
