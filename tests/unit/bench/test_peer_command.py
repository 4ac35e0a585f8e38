"""Which runs of the bench are not made, and what is said of them; how options reach one bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench.peers import command
from tests.bench.peers.tool import Load

LOW, HIGH = Load(16, 48, 64, 128), Load(128, 384, 64, 128)


def plan(version: str | None) -> command.Plan:
    return command.Plan(["AIPerf"], Path("/none"), {"AIPerf": version}, {"emulator": [LOW, HIGH], "llama.cpp": []},
                        {"emulator": 1, "llama.cpp": 1}, 1, 60.0, 0, None)


def test_a_tool_that_is_not_there_is_a_row_that_says_so() -> None:
    row = command._unmeasured(plan(None), "emulator", "AIPerf", LOW, 0, {})
    assert row is not None and (row.status, row.streams, row.ttft_ms) == ("not installed", 16, None)


def test_a_tool_that_was_too_late_is_not_taken_higher_and_still_run_where_it_was() -> None:
    late = {"AIPerf": 16}
    assert command._unmeasured(plan("0.13.0"), "emulator", "AIPerf", LOW, 1, late) is None
    row = command._unmeasured(plan("0.13.0"), "emulator", "AIPerf", HIGH, 0, late)
    assert row is not None and row.status == "not run: too late at 16 streams already"


def test_a_tool_that_was_in_time_is_run() -> None:
    assert command._unmeasured(plan("0.13.0"), "emulator", "AIPerf", HIGH, 0, {}) is None


def test_options_say_the_load_of_each_server() -> None:
    words = ["--streams", "2,8", "--engine-streams", "0", "--rounds", "5"]
    made = command._plan(command._arguments().parse_args(words))
    assert made.loads == {"emulator": [Load(2, 10, 64, 128), Load(8, 40, 64, 128)], "llama.cpp": []}


def test_options_belong_to_one_bench(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["wire", "peers", "--repeat", "1"]) == 2
    assert "options belong to one bench" in capsys.readouterr().err


def test_a_bench_that_there_is_not_is_an_error_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["nobody"]) == 2
    assert "peers" in capsys.readouterr().err
