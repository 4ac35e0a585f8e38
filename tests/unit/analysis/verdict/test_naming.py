"""How stages, loads and heights are shown: words instead of JSON, bars and lines that begin at zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import BASE_NS, MS, request, stage, write

from fmload.base.units import format_users
from fmload.model.stage import Load
from fmload_analysis.document.document import Axis, Chart, Point, Series
from fmload_analysis.document.plots import draw
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections.timeline import stage_marks
from fmload_analysis.run import open_run
from fmload_analysis.verdict.naming import as_series, lines


def test_lines_that_differ_by_their_parameters_say_so_in_words(tmp_path: Path) -> None:
    write(tmp_path, [stage(0, parameters={"temperature": 0, "max_tokens": 20}), stage(1)],
          [request("a", 0, [10], stage=0), request("b", 0, [10], stage=1)])
    assert [line.name for line in lines(analyse_run(open_run(tmp_path)))] == ["a · max_tokens 20, temperature 0", "a"]


def looks(folder: Path, *stages: dict[str, Any]) -> list[tuple[int, int, int]]:
    write(folder, [stage(number, **keys) for number, keys in enumerate(stages)],
          [request(str(number), 0, [10], stage=number) for number in range(len(stages))])
    found = lines(analyse_run(open_run(folder)))
    return [(series.color, series.shape, series.dash) for series in (as_series(line, found, []) for line in found)]


def test_no_two_lines_of_a_chart_look_alike(tmp_path: Path) -> None:
    of_one = looks(tmp_path / "one", {"prompt_set": "p"}, {"prompt_set": "q"},
                   {"prompt_set": "p", "parameters": {"max_tokens": 20}})
    assert of_one == [(0, 0, 0), (1, 1, 1), (2, 2, 2)]
    of_two = looks(tmp_path / "two", *({"endpoint": one, "prompt_set": name} for one in "ab" for name in "pq"))
    assert of_two == [(0, 0, 0), (0, 1, 1), (1, 0, 0), (1, 1, 1)]


@pytest.mark.parametrize(("count", "shown"), [(1, "1 user"), (16, "16 users"), (2.5, "2.5 users")])
def test_one_user_is_no_users(count: float, shown: str) -> None:
    assert format_users(count) == shown == Load("concurrency", count).text


@pytest.mark.parametrize(("bars", "from_zero"), [(False, True), (True, False)])
def test_heights_begin_at_zero_but_where_an_interval_is_what_is_looked_at(bars: bool, from_zero: bool) -> None:
    series = Series("a", [Point(1, 90, 89, 91), Point(2, 100, 99, 101)], 0, 0, bars=bars)
    low, high = draw(Chart("c", "t", "xy", Axis("x", ""), Axis("y", "s"), [series])).axes[0].get_ylim()
    assert bool(low == 0) is from_zero and high > 101


def test_stages_side_by_side_share_a_mark(tmp_path: Path) -> None:
    starts_ms = {0: 0, 1: 200, 2: 9000}
    write(tmp_path, [stage(2, start_ns=BASE_NS + 9000 * MS), *(stage(number, start_ns=BASE_NS + starts_ms[number] * MS)
                                                              for number in (0, 1)), stage(3, window_start_ns=None)])
    assert [(rule.value, rule.label) for rule in stage_marks(open_run(tmp_path).stages, BASE_NS)] == [
        (0.0, "0, 1"), (9.0, "2")]
