"""Before the load: how much of the disk it will take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from fmload.config import RunFile
from fmload.launch import disk_room
from fmload.model.prompt import Prompt
from fmload.model.stage import Load, Stage
from fmload.prompts import store
from fmload.results.folder import Results

RUN = RunFile.model_construct(load=SimpleNamespace(workers=2))


def told(folder: Path, monkeypatch: pytest.MonkeyPatch, load: Load, window_s: float, free: float) -> list[str]:
    results = Results(folder).create()
    store.write(results.prompts / "p.jsonl", [Prompt(f"p-{n}", "p", text="x", output_tokens=200) for n in range(3)])
    monkeypatch.setattr(disk_room.shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    stage = Stage(0, 0, 0, "e", "p", load, {}, 0.0, 0.0, window_s, None, 1.0)
    return list(disk_room.told(RUN, [stage], results))


def test_a_long_open_loop_is_told_with_what_it_takes_and_what_is_free(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, = told(tmp_path, monkeypatch, Load("rate", 200), 8 * 3600, 100e9)
    assert line == "the journals and records will take about 11.5 GB of the 100 GB that are free"


def test_a_run_that_does_not_fit_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, = told(tmp_path, monkeypatch, Load("rate", 200), 600, 500e6)
    assert "the load stops when the disk is full" in line and "500 MB are free" in line


def test_a_small_run_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(tmp_path, monkeypatch, Load("rate", 2), 60, 100e9) == []
    assert told(tmp_path, monkeypatch, Load("concurrency", 8), 60, 100e9) == []


def test_of_a_long_closed_loop_it_is_told_what_a_thousand_requests_take(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line, = told(tmp_path, monkeypatch, Load("concurrency", 8), 4000, 100e9)
    assert line.startswith("every 1,000 requests of a long run take about 1.86 MB")


def test_two_journals_and_the_records_are_counted_and_of_a_long_run_what_is_packed_and_removed() -> None:
    assert disk_room.taken(1e6, 1) == pytest.approx(2.31e6)
    long, longer = disk_room.taken(100e9, 2), disk_room.taken(101e9, 2)
    assert longer - long == pytest.approx(0.65e9)
    assert long - 65e9 == pytest.approx(2 * 3 * (64 << 20) + 0.66 * 2 * (256 << 20))
