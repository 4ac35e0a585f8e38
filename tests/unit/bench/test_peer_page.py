"""The page of the peers: medians of the repeats, the highest load that kept the limit, no gap without a word."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.peers import command, figure, page, result
from tests.bench.peers.measured import Row, order, too_late
from tests.bench.peers.table import TOOLS
from tests.bench.peers.tool import Load

LOADS = {"emulator": [Load(16, 48, 64, 128), Load(64, 192, 64, 128)], "llama.cpp": [Load(2, 6, 64, 64)]}


def row(tool: str, streams: int, ttft: float, *, repeat: int = 0, itl: float = 0.1, cpu: float = 20.0) -> Row:
    return Row("emulator", tool, streams, repeat, "ok", (ttft / 2, ttft), (0.1, -0.2), (itl / 2, itl), (0.0, 0.1),
               "gaps", told=48, matched=48, answered=48, tokens=6144, cpu_us_per_token=cpu, command_s=9.0,
               command_cpu_s=3.0)


def made(*rows: Row, versions: dict[str, str | None] | None = None) -> result.Result:
    return result.Result({"processor": "a processor", "cores": 2, "kernel": "6.1", "python": "3.11.7",
                          "memory_gib": 8, "load_at_the_start": 0.1},
                         versions or {"fmload": "1.0", "requests": "2.0"}, {"emulator": "fmload emulate"}, LOADS, 1, 0,
                         "2026-11-30 12:00 UTC", 600.0, rows)


def line(text: str, *words: str) -> str:
    """The only line of the text that has all words."""
    found = [line for line in text.splitlines() if all(word in line for word in words)]
    assert len(found) == 1, found
    return found[0]


def under(told: str, heading: str) -> str:
    """The part of the page under a heading."""
    return told.partition(f"### {heading}\n")[2].partition("###")[0]


def test_figures_are_medians_of_the_repeats() -> None:
    told = page.told(made(*(row("fmload", 16, ttft, repeat=at) for at, ttft in enumerate((0.2, 0.4, 9.0)))))
    assert "| 0.20 / 0.40 |" in line(under(told, "Errors at every load"), "| 16 | fmload |")


def test_the_highest_load_is_the_one_up_to_which_every_repeat_kept_the_limit() -> None:
    """requests keeps 64 streams once by luck, and misses 16 in a repeat: none."""
    told = page.told(made(row("fmload", 16, 0.1), row("fmload", 64, 1.0), row("requests", 16, 0.9),
                          row("requests", 16, 1.1, repeat=1), row("requests", 64, 0.2)))
    highest = told[:told.index("### Errors at every load")]
    assert line(highest, "| fmload |") == "| fmload | 64 | 64 | 64 |"
    assert line(highest, "| requests |") == "| requests | none | 64 | 64 |"


def test_a_tool_that_keeps_no_gaps_has_no_highest_load_of_itl() -> None:
    told = page.told(made(row("fmload", 16, 0.1), replace(row("requests", 16, 0.1), itl_of="means")))
    assert line(told, "| requests | 16 |") == "| requests | 16 | – | 16 |"
    assert "(means)" in line(under(told, "Errors at every load"), "| 16 | requests |")


def test_a_tool_without_figures_has_a_row_that_says_why() -> None:
    told = page.told(made(row("fmload", 16, 0.1), Row("emulator", "requests", 16, 0, "not installed"),
                          versions={"fmload": "1.0", "requests": None}))
    for heading in ("Errors at every load", "What each load cost"):
        assert "not installed" in line(under(told, heading), "| 16 | requests |")
        assert line(under(told, heading), "| 64 | requests |") == "| 64 | requests | not run | | | |"
    assert "Not installed: requests." in told


def test_where_another_tool_is_better_is_said() -> None:
    told = page.told(made(row("fmload", 16, 0.1, cpu=40), row("requests", 16, 0.2, cpu=20),
                          row("fmload", 64, 0.1, cpu=10), row("requests", 64, 0.2, cpu=20)))
    worse = told[told.index("### Where fmload is not"):told.index("### A real engine")]
    assert "CPU µs/token, 16 streams: 40.0; requests 20.0" in worse
    assert "64 streams" not in worse and "TTFT" not in worse


def test_requests_that_were_lost_or_not_told_apart_are_said() -> None:
    told = page.told(made(replace(row("fmload", 16, 0.1), told=40, matched=30)))
    assert line(under(told, "What each load cost"), "| 16 | fmload |").endswith("| 40 of 48, 30 by id |")


def test_the_engines_rows_are_differences_of_percentiles() -> None:
    told = page.told(made(Row("llama.cpp", "fmload", 2, 0, "ok", None, (1.5, 2.5), None, (0.01, -0.02), "means",
                              told=6, answered=6, matched=0)))
    assert "| +1.50 / +2.50 | +0.010 / -0.020 |" in line(told, "| 2 | fmload |")


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    first = made(row("fmload", 16, 0.1), Row("emulator", "requests", 16, 0, "not installed"))
    result.write(first, tmp_path / "r.json")
    assert result.read(tmp_path / "r.json") == replace(first, rows=list(first.rows))


def test_the_figure_is_the_same_for_the_same_result(tmp_path: Path) -> None:
    found = made(row("fmload", 16, 0.1), row("fmload", 64, 0.2), row("requests", 16, 3.0))
    for name in ("a.svg", "b.svg"):
        figure.write(found, tmp_path / name)
    first = (tmp_path / "a.svg").read_text()
    assert first == (tmp_path / "b.svg").read_text() and "fmload" in first


def test_the_order_is_of_the_seed_and_loads_rise() -> None:
    runs = list(order(["a", "b", "c"], LOADS["emulator"], 3, 7))
    assert runs == list(order(["a", "b", "c"], LOADS["emulator"], 3, 7)) != list(order(
        ["a", "b", "c"], LOADS["emulator"], 3, 8))
    assert [load.streams for repeat, load, _ in runs if repeat == 1] == [16, 16, 16, 64, 64, 64]
    assert sorted((repeat, load.streams, name) for repeat, load, name in runs) == [
        (repeat, streams, name) for repeat in range(3) for streams in (16, 64) for name in "abc"]


@pytest.mark.parametrize(("one", "late"), [
    (row("a", 16, 999.0), False), (row("a", 16, 1001.0), True),
    (replace(row("a", 16, 1.0), ttft_ms=None, ttft_shift_ms=(1.0, -1200.0)), True),
    (Row("emulator", "a", 16, 0, "stopped after 60 s"), True)])
def test_a_tool_that_was_late_by_a_second_is_not_taken_higher(one: Row, late: bool) -> None:
    assert too_late(one) is late


def test_an_unknown_tool_is_an_error_that_names_those_there_are() -> None:
    with pytest.raises(SystemExit, match="no tool named 'nobody'; there are fmload"):
        command.main(["--only", "nobody"])


def test_the_page_is_of_the_recorded_result() -> None:
    kept = result.read(page.KEPT)
    text = page.PAGE.read_text()
    assert text[text.index(page.BEGIN) + len(page.BEGIN):text.index(page.END)].strip() == page.told(kept)
    assert set(kept.versions) == set(TOOLS)


@pytest.mark.parametrize(("others", "said"), [(0.01, False), (0.3, True)])
def test_a_machine_with_other_work_is_said(others: float, said: bool) -> None:
    told = page.told(made(replace(row("fmload", 16, 0.1), others=others)))
    assert f"Other processes had {others:.0%} of the tools' cores" in told
    assert ("other work" in told) is said
