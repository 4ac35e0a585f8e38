"""Failures of one pass are told together: each once, the first in words, all counted."""

from __future__ import annotations

import pytest

from fmload.base.errors import Faults, FmloadError, SeveralErrors


def failed(*errors: FmloadError) -> FmloadError:
    faults = Faults()
    for error in errors:
        with faults.kept():
            raise error
    with pytest.raises(FmloadError) as raised:
        faults.check()
    return raised.value


def test_nothing_wrong_is_no_error() -> None:
    Faults().check()


def test_one_failure_is_raised_as_it_is() -> None:
    error = FmloadError("a", hint="b", exit_code=4)
    assert failed(error) is error


def test_other_exceptions_are_not_kept() -> None:
    with pytest.raises(KeyError), Faults().kept():
        raise KeyError


def test_a_remedy_of_all_is_told_once_and_different_ones_beside_each() -> None:
    assert str(failed(FmloadError("a", hint="x"), FmloadError("b", hint="x"))) == "2 problems\na\nb\nhint: x"
    assert str(failed(FmloadError("a", hint="x"), FmloadError("b"))) == "2 problems\na; x\nb"


def test_several_failures_end_the_process_with_the_highest_of_their_codes() -> None:
    assert failed(FmloadError("a", exit_code=4), FmloadError("b")).exit_code == 4


def test_a_failure_that_comes_again_is_told_once() -> None:
    error = failed(*(FmloadError("the server is down") for _ in range(3)))
    assert error.message == "the server is down"


def test_failures_that_came_together_are_told_singly_and_counted() -> None:
    many = failed(*(FmloadError(f"line {number}") for number in range(1000)))
    assert isinstance(many, SeveralErrors)
    together = failed(FmloadError("a"), many, FmloadError("b"))
    assert together.message.splitlines() == ["1,002 problems", "a", *(f"line {n}" for n in range(4)), "… and 997 more"]
