"""Numbers as the report writes them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload_analysis.document import formats


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (0.003167, "0.00317"), (0.1, "0.100"), (12.34, "12.3"), (123.4, "123"), (4570.2, "4,570"),
    (-2.5, "-2.50"), (math.inf, "∞")])
def test_significant_digits_without_an_exponent(value: float, text: str) -> None:
    assert formats.significant(value) == text


@given(st.floats(1e-9, 1e12))
def test_three_digits_are_within_half_a_percent(value: float) -> None:
    assert float(formats.significant(value).replace(",", "")) == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(("value", "text"), [
    (0.00085, "850 µs"), (0.0123, "12.3 ms"), (3.456, "3.46 s"), (125, "2 m 05 s"), (4800, "1 h 20 m"),
    (-0.5, "−500 ms"), (0, "0 ms")])
def test_durations_carry_the_unit_that_suits(value: float, text: str) -> None:
    assert formats.duration(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (0.003167, "$0.00317"), (1234.5, "$1,234.50"), (0, "$0.00"), (2.0, "$2.00")])
def test_dollars(value: float, text: str) -> None:
    assert formats.usd(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 %"), (0.004, "0.40 %"), (0.123, "12 %"), (1, "100 %")])
def test_shares(value: float, text: str) -> None:
    assert formats.percent(value) == text


@pytest.mark.parametrize("absent", [None, math.nan])
def test_what_is_absent_is_not_a_number(absent: float | None) -> None:
    assert formats.text(absent, formats.seconds) == "n/a"
    assert formats.cell(absent, formats.seconds, "bad").text == "n/a"
    assert formats.cell(absent, formats.seconds, "bad").mark is None


def test_the_first_few_are_sentences_or_parts_of_one() -> None:
    assert formats.first(["One.", "Two."]) == "One. Two."
    assert formats.first(["One.", "Two.", "Three.", "Four."]) == "One. Two. Three. And 1 more below."
    assert formats.first(["a", "b", "c", "d", "e"], "; ") == "a; b; c; and 2 more below"
