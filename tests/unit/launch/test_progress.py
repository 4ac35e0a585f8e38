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
