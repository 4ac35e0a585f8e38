"""Durations and sizes as people write them, and as they are written for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.base.units import format_duration, parse_duration_s, parse_size_bytes, write_duration, write_size


@pytest.mark.parametrize(("text", "seconds"), [
    ("500ms", 0.5), ("5s", 5.0), ("1m30s", 90.0), ("2h", 7200.0), ("1d", 86400.0), ("250us", 0.00025), ("7ns", 7e-9),
    ("1.5m", 90.0), (" 10 s ", 10.0), ("2min", 120.0), ("1h 5m", 3900.0)])
def test_a_duration_is_its_parts_together(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["", "5", "s", "5 parsecs", "-5s", "5s,", "five s", "1e3s", "5S"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms"):
        parse_duration_s(text)


@given(st.integers(0, 10**18))
def test_what_is_written_is_read_to_the_nanosecond(ns: int) -> None:
    assert parse_duration_s(write_duration(ns / 1e9)) == pytest.approx(ns / 1e9, abs=1e-9, rel=1e-15)


@pytest.mark.parametrize(("text", "size_bytes"), [
    ("0B", 0), ("64KiB", 65536), ("1.5 GB", 1_500_000_000), (" 2 GiB ", 2 << 30), ("10kB", 10_000), ("1TiB", 1 << 40)])
def test_a_size_is_its_number_times_its_unit(text: str, size_bytes: int) -> None:
    assert parse_size_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "5", "MB", "5 mb", "-5MB", "5MB 3kB", "5Mi", "1iB"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 64KiB"):
        parse_size_bytes(text)


@given(st.integers(0, 1 << 50))
def test_a_size_that_is_written_is_read_to_the_byte(size_bytes: int) -> None:
    assert parse_size_bytes(write_size(size_bytes)) == size_bytes


@pytest.mark.parametrize(("seconds", "text"), [
    (None, "n/a"), (float("nan"), "n/a"), (0.0, "0 ms"), (0.0124, "12.4 ms"), (3.456, "3.46 s"), (125.0, "2 m 05 s"),
    (3600.0, "60 m 00 s"), (7199.0, "119 m 59 s"), (7200.0, "2 h 00 m"), (86_399.0, "23 h 59 m")])
def test_people_read_three_digits(seconds: float | None, text: str) -> None:
    assert format_duration(seconds) == text
