"""What plain Locust says of a run."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from fmload.live.state import LiveState, Tally
from fmload.locust import said
from fmload.model.stage import Load, Stage
from tests.one_record import record


def stage(number: int, users: int) -> Stage:
    return Stage(number, number, 0, "e", "p", Load("concurrency", users), {}, 2.0, 5.0, 51.0, None, 60.0)


def test_the_phases_are_told_and_what_becomes_of_locusts_own_options() -> None:
    told = said.phases([stage(0, 8), stage(1, 16)], 8, 2.0, swept=True)
    assert told[0] == ("2 stages (8 users, 16 users): each 2 s ramp, 5 s warm-up, 51 s measured, up to 1 m 00 s drain")
    assert "-r and -t are not used" in told[1]
    assert len(said.phases([stage(0, 8)], 8, 2.0, swept=False)) == 1


def test_the_end_is_a_table_with_ttft_and_the_way_to_the_report() -> None:
    tally, live = Tally(), LiveState()
    tally.add(record(send_ns=10**9))
    live.merge("w", tally.drain())
    table, where = said.ended(live.snapshot(10 * 10**9, 0), [stage(0, 8)], Path("results/x"))
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(word in text for word in ("TTFT p50", "99.9 ms", "8 users", "ITL p50"))
    assert "fmload report results/x" in where


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_end_cuts_no_name_and_no_figure_at_any_width(width: int) -> None:
    row = {"stage": 0, "endpoint": "a-long-name-of-an-endpoint", "prompt_set": "p", "requests": 16, "errors": {}}
    figures = {f"{name}_{stat}_s": 1.234 for name in ("ttft", "itl", "e2e") for stat in ("p50", "p95")}
    snapshot = {"groups": [row | figures, row | figures | {"prompt_set": "q", "stage": 1}]}
    table, _ = said.ended(snapshot, [stage(0, 8), stage(1, 16)], Path("x"))
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert "…" not in console.file.getvalue() and max(map(len, lines)) <= width
    assert lines[0].strip() == "a-long-name-of-an-endpoint"  # the same everywhere: in the title
    assert console.file.getvalue().count("1.23 s") == 12
    assert sum("16 users" in line for line in lines) == (1 if width == 200 else 2)


def test_a_run_without_a_request_has_no_table() -> None:
    table, _ = said.ended({"groups": []}, [stage(0, 8)], Path("x"))
    console = Console(file=io.StringIO(), width=80)
    console.print(table)
    assert isinstance(console.file, io.StringIO) and not console.file.getvalue().strip()
