"""The page of a plan with autoscaling: replicas and rate over time, in pictures and in numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from engines import measured

from fmload.cli.main import main
from fmload_analysis.capacity import scaling_section
from fmload_analysis.capacity.answer import Option
from fmload_analysis.capacity.autoscale import Look
from fmload_analysis.capacity.demand import Demand, Window
from fmload_analysis.capacity.plan import Day, Plan
from fmload_analysis.capacity.trial import Tried
from fmload_analysis.document.document import Chart, Table

WINDOW = Window(3600.0, 3660.0)
LOOKS = (Look(15.0, 2, 2, 2), Look(30.0, 6, 2, 6), Look(45.0, 6, 2, 6), Look(60.0, 4, 6, 6))
DEMAND = Demand("day", np.array([0.0, 3600.0, 7200.0]), np.array([1.0, 10.0, 10.0]), np.ones(1), np.ones(1))
DAY = Day(np.array([0.0, 3600.0, 7200.0]), np.array([1.0, 10.0, 10.0]), np.array([2, 24, 24]), np.array([4, 24, 24]))


def blocks(looks: tuple[Look, ...] = LOOKS, day: Day | None = DAY) -> tuple[dict[str, Chart], list[Table]]:
    scaled = Tried(16, 2, {}, (), looks, WINDOW, 0.25)
    option = Option("my gpu", None, None, None, Plan(Tried(16, 2, {}, ()), (), WINDOW, {}, scaled, 10.0, day), None, "",
                    ())  # type: ignore[arg-type]
    found = list(scaling_section.blocks(DEMAND, option))
    charts = {one.name: one for one in found if isinstance(one, Chart)}
    return charts, [one for one in found if isinstance(one, Table)]


def test_replicas_wanted_serving_and_paid_for_are_drawn_as_steps_of_the_whole_fleet() -> None:
    chart = blocks()[0]["capacity_scaling_my_gpu"]
    assert [series.name for series in chart.series] == ["wanted", "serving", "paid for"]
    wanted, serving, _ = ([(point.x, point.y) for point in series.points] for series in chart.series)
    assert wanted == [(0.25, 8), (0.5, 8), (0.5, 24), (0.75, 24), (0.75, 24), (1.0, 24), (1.0, 16)]
    assert [value for _, value in serving] == [8, 8, 8, 8, 8, 8, 24]


def test_the_rate_is_drawn_over_the_same_time() -> None:
    charts = blocks()[0]
    rate, replicas = charts["capacity_scaling_rate_my_gpu"], charts["capacity_scaling_my_gpu"]
    assert rate.x.span == replicas.x.span == (0.0, 1.0)
    assert [point.y for point in rate.series[0].points] == pytest.approx([10.0] * 5)


def test_the_whole_demand_is_drawn_with_what_it_calls_for_and_the_fleet_that_needs_no_autoscaling() -> None:
    chart = blocks()[0]["capacity_scaling_day_my_gpu"]
    called_for, paid = ([(point.x, point.y) for point in series.points] for series in chart.series)
    assert called_for[0] == (0.0, 2) and paid[0] == (0.0, 4) and called_for[-1] == paid[-1] == (2.0, 24)
    assert [rule.value for rule in chart.rules] == [16]


def test_the_table_has_the_numbers_of_the_pictures_and_how_often_replicas_were_missing() -> None:
    [table] = blocks()[1]
    rows = {row[0].text: [one.text for one in row[1:]] for row in table.rows}
    assert rows["Simulated part: requests a second"] == ["10.0", "10.0", "10.0"]
    assert rows["Simulated part: wanted"] == ["8", "18.0", "24"]
    assert rows["Simulated part: serving"] == ["8", "12.0", "24"]
    assert rows["Whole demand: paid for"] == ["4", "17.3", "24"]
    assert "at 50 % of the looks; at most 16 were missing" in table.caption


def test_a_plan_without_autoscaling_has_no_such_section(tmp_path: Path) -> None:
    assert blocks(looks=()) == ({}, []) and blocks(day=None) == ({}, [])


def test_a_demand_of_one_instant_is_drawn_too() -> None:
    one = Day(np.array([0.0]), np.array([1.0]), np.array([2]), np.array([2]))
    assert blocks(LOOKS[:1], one)[1]


def test_page_and_json_of_a_plan_tell_of_replicas_over_time(tmp_path: Path) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "20/s", "--seeds", "2", "--requests", "300",
                 "--simulate", "3", "--objective", "ttft_p95=2s", "--autoscale", "1-30,target=0.4,startup=1m"]) == 0
    page = (tmp_path / "run/capacity.html").read_text()
    assert "autoscaling over time" in page and "Replicas over the whole demand" in page
    [option] = json.loads((tmp_path / "run/capacity.json").read_text())["options"]
    looks = option["autoscaled"]["looks"]
    assert len(looks) > 10 and set(looks[0]) == {"at_s", "wanted", "serving", "paid"}
