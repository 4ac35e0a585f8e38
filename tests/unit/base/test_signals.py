"""Signals that interrupt: what ends a block, what does so after it, and what a second Ctrl-C ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from fmload.base.signals import (
    ENDING,
    INTERRUPTING,
    as_interrupts,
    interrupted_after,
    interrupted_by_a_second,
    undisturbed,
)


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


def test_what_may_take_long_answers_a_first_ctrl_c_and_is_ended_by_a_second() -> None:
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt), interrupted_by_a_second(lambda: said.append("again ends it")):
        for number in (*ENDING, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert said == ["again ends it"]
        os.kill(os.getpid(), signal.SIGINT)
        signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize("number", INTERRUPTING)
def test_the_end_of_something_is_not_interrupted(number: signal.Signals) -> None:
    with undisturbed():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is (signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.mark.parametrize("number", INTERRUPTING)
def test_what_is_soon_begun_is_interrupted_once_it_is(number: signal.Signals) -> None:
    begun = []
    with pytest.raises(KeyboardInterrupt), as_interrupts(), interrupted_after():
        os.kill(os.getpid(), number)
        begun.append(number)
    assert begun == [number]


def test_what_came_while_something_could_not_be_begun_interrupts_all_the_same() -> None:
    with pytest.raises(KeyboardInterrupt), interrupted_after():
        signal.raise_signal(signal.SIGINT)
        raise OSError("no such program")


@pytest.mark.parametrize("block", [undisturbed, as_interrupts, interrupted_after,
                                   lambda: interrupted_by_a_second(list)])
@pytest.mark.parametrize("number", INTERRUPTING)
def test_what_the_process_was_started_to_ignore_stays_ignored(
        number: signal.Signals, block: Callable[[], AbstractContextManager[None]]) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with block():
            assert signal.getsignal(number) is signal.SIG_IGN
            os.kill(os.getpid(), number)
    finally:
        signal.signal(number, before)


def test_in_another_thread_the_blocks_do_nothing() -> None:
    done: list[object] = []

    def inside() -> None:
        with as_interrupts():
            done.append(signal.getsignal(signal.SIGTERM))
    (thread := threading.Thread(target=inside)).start()
    thread.join()
    assert done == [signal.SIG_DFL]
