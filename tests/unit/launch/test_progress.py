from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from rich.console import Console

from fmload.launch.progress import Progress, line, render
from fmload.live.state import LiveState, Tally
from tests.one_record import record

RUN = {"phase": "window", "stages": [0], "labels": ["e · p · 4 users"], "stages_done": 2, "stages_in_all": 6,
       "until_ns": 70 * 10**9, "after_s": 110.0}


def shown(renderable: object, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_live_view_shows_sweep_time_left_and_latencies() -> None:
    tally, live = Tally(), LiveState()
    tally.add(record(send_ns=10**9))
    tally.add(record("http_5xx", send_ns=10**9))
    live.merge("w", tally.drain())
    live.run = RUN
    text = shown(render(live.snapshot(10 * 10**9, 0), 60 * 10**9))
    for words in ("2 of 6 stages", "window", "10 s left, 2 m 00 s in all", "e · p · 4 users", "99.9 ms", "20 ms"):
        assert words in text
    assert any(row.split()[:4] == ["e", "p", "2", "1"] for row in text.splitlines()), text


def test_without_a_terminal_each_phase_is_a_line_once() -> None:
    console = Console(file=io.StringIO(), width=200)
    with Progress(console) as progress:
        for _ in range(3):
            progress.show({"run": RUN})
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == line(RUN) + "\n" == "stage 3 of 6  e · p · 4 users  window\n"


def snapshot(stage: int = 0, phase: str = "window", **run: Any) -> dict[str, Any]:
    tally, live = Tally(), LiveState()
    tally.add(record(send_ns=10**9))
    live.merge("w", tally.drain())
    live.run = {**RUN, "stages": [stage], "labels": [f"e · p · {stage + 1} users"], "phase": phase, **run}
    return live.snapshot(10 * 10**9, 0)


def test_without_a_terminal_a_line_comes_every_ten_seconds_and_tells_how_the_stage_stands() -> None:
    now_s = 0.0
    console = Console(file=io.StringIO(), width=200)
    with Progress(console, lambda: now_s) as progress:
        while now_s < 25:
            progress.show(snapshot())
            now_s += 1.0
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3  # the phase, and two that tell how it stands
    assert all("1 request, 0 errors, TTFT 99.9 ms, ITL 20 ms" in line for line in lines[1:])


def test_what_a_stage_came_to_is_told_when_the_next_one_begins() -> None:
    console = Console(file=io.StringIO(), width=200)
    with Progress(console) as progress:
        progress.show(snapshot(0))
        progress.show(snapshot(0, "drain"))
        progress.show(snapshot(1, "ramp"))
    assert isinstance(console.file, io.StringIO)
    told = [line for line in console.file.getvalue().splitlines() if line.startswith("  ")]
    assert len(told) == 1 and told[0].startswith("  e · p · 1 users: 1 request, 0 errors, TTFT 99.9 ms")


def test_long_names_are_whole_in_80_columns() -> None:
    tally, live = Tally(), LiveState()
    long: dict[str, Any] = {"endpoint": "llama3-8b-vllm-g6.2xlarge", "prompt_set": "longbench-1000-to-2000-tokens"}
    tally.add(replace(record(send_ns=10**9), **long))
    live.merge("w", tally.drain())
    live.run = RUN
    text = shown(render(live.snapshot(10 * 10**9, 0), 60 * 10**9), width=80)
    rows = text.splitlines()
    width = next(row.index("requests ") for row in rows if "TTFT" in row)
    column = "".join(row[:width].strip() for row in rows)
    for name in long.values():
        assert name in column, text
    assert "…" not in text


def test_before_the_first_stage_it_is_told_what_is_waited_for() -> None:
    now_s = 0.0
    console = Console(file=io.StringIO(), width=200)
    with Progress(console, lambda: now_s) as progress:
        while now_s < 25:
            progress.show({"run": {"phase": "preparing", "waits_for": "an answer"}})
            now_s += 1.0
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == ["preparing", *["preparing: waits for an answer"] * 2]
    assert "an answer" in shown(render({"run": {"phase": "preparing", "waits_for": "an answer"}}, 0))
