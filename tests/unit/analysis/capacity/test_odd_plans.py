"""Demands, runs and options that are odd: a plan, or what is wrong in words; never another's plan, nor a traceback."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from engines import ENGINE, measured

from fmload.cli.main import main
from fmload_analysis.capacity.demand import Window
from fmload_analysis.capacity.figures import Estimate
from fmload_analysis.capacity.limits import Judged
from fmload_analysis.capacity.plan import Plan, _confirmed
from fmload_analysis.capacity.trial import Trial, Tried
from fmload_analysis.capacity.words import given_up

FEW = ["--seeds", "2", "--requests", "300", "--simulate", "4", "--objective", "ttft_p95=1s"]
RATES = {"rates": (0.5, 3, 12), "window_s": 30}


def planned(*args: str | Path) -> int:
    return main(["capacity", *map(str, args), *FEW])


def test_two_folders_of_one_run_file_are_two_options_named_by_their_folders(tmp_path: Path) -> None:
    measured(tmp_path / "g5", **RATES)
    measured(tmp_path / "inf2", **RATES, model=replace(ENGINE, decode_fixed_s=0.01), endpoints=[
        {"name": "a", "price": {"hourly": 9.0}}])
    assert planned(tmp_path / "g5", tmp_path / "inf2", "--demand", "3/s") == 0
    options = json.loads((tmp_path / "g5" / "capacity.json").read_text())["options"]
    assert [(one["name"], one["usd_per_hour"]) for one in options] == [("g5 · a", 1.2), ("inf2 · a", 9.0)]


def test_a_folder_that_is_named_twice_is_one_option(tmp_path: Path) -> None:
    measured(tmp_path / "run", **RATES)
    (tmp_path / "g5").mkdir()
    assert planned(tmp_path / "run", tmp_path / "g5" / ".." / "run", "--demand", "3/s") == 0
    assert [one["name"] for one in json.loads((tmp_path / "run" / "capacity.json").read_text())["options"]] == ["a"]


@pytest.mark.parametrize(("made", "told"), [
    ({"rates": (0.2,)}, "a: no stage has 20 requests that were sent in its window and answered"),
    ({"change": {"outcome": "http_error"}}, "a: no stage has a streamed answer that ended well")])
def test_a_run_with_too_little_to_plan_with_is_refused_with_why(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                                made: dict[str, Any], told: str) -> None:
    measured(tmp_path / "run", **{**RATES, **made})
    assert planned(tmp_path / "run", "--demand", "3/s") == 4
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("options", "told"), [
    (["--restart", "10h"], "--restart: goes with --mtbf"), (["--detect", "5s"], "--detect: goes with --mtbf or --lose"),
    (["--restart", "3m", "--lose", "1"], "--restart: goes with --mtbf")])
def test_an_option_of_failures_without_failures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                           options: list[str], told: str) -> None:
    measured(tmp_path / "run", **RATES)
    assert planned(tmp_path / "run", "--demand", "3/s", *options) == 2
    assert told in capsys.readouterr().err


def test_a_flash_at_an_hour_without_requests_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", **RATES)
    (tmp_path / "day.yml").write_text("rate: 5/s\nday: [0, 0, 10, 0, 0, 0]\nflash: {at: 20h, times: 9, lasts: 10m}\n")
    assert planned(tmp_path / "run", "--demand", tmp_path / "day.yml") == 2
    assert "day.yml: flash.at: no request comes at that time of the day" in capsys.readouterr().err


def test_hours_without_requests_are_planned_by_the_others(tmp_path: Path) -> None:
    measured(tmp_path / "run", **RATES)
    (tmp_path / "day.yml").write_text("rate: 0.5/s\nday: [0, 0, 10, 0, 0, 0]\n")
    assert planned(tmp_path / "run", "--demand", tmp_path / "day.yml", "--autoscale", "1-9") == 0
    option = json.loads((tmp_path / "run" / "capacity.json").read_text())["options"][0]
    assert option["replicas"] >= 2 and 1 <= option["autoscaled"]["mean_replicas"] < option["replicas"]


class Widened(Trial):
    """A trial in which a share of a fleet keeps its limit from `least` replicas on, and more of it from `true` on."""

    def __init__(self, least: int, true: int) -> None:
        self.found, self.wider, self.least, self.true = {}, {}, least, true
        self.tries = 0

    def of(self, replicas: int, simulated: int | None = None) -> Tried:
        self.tries += 1
        kept = replicas >= (self.least if simulated is None else self.true)
        row = Judged("ttft_p95", 1.0, "s", Estimate(1.0), "kept" if kept else "missed")
        figures = dict.fromkeys(_NAMES, Estimate(1.0)) | {"error_rate": Estimate(0.0)}
        return Tried(replicas, simulated or 4, figures, (row,),
                     share=(simulated or 4) / replicas)


_NAMES = ("ttft_p50", "ttft_p95", "ttft_p99", "e2e_p50", "e2e_p95", "e2e_p99", "utilisation")


@pytest.mark.parametrize("true", [1, 7, 500, 900, 985, 999, 1000, 1001, 1234, 1999])
def test_the_fewest_replicas_are_those_that_keep_the_objectives_when_more_of_them_are_simulated(true: int) -> None:
    trial = Widened(1000, true)
    best, off = _confirmed(trial, trial.of(1000), 5)
    assert best is not None and max(true, 5) <= best.replicas <= max(1.011 * true + 1, 5)
    assert set(off) == set(_NAMES) and trial.tries < 40


def test_a_fleet_of_which_more_is_simulated_is_given_up_at_twice_as_many() -> None:
    trial = Widened(1000, 5000)
    assert _confirmed(trial, trial.of(1000), 5) == (None, {})


def test_what_is_given_up_was_tried_with_more_simulated_up_to_the_largest_fleet_that_a_share_kept() -> None:
    trial = Widened(1000, 2500)
    trial.found[3000] = trial.of(3000)  # by doubling the excess
    best, _ = _confirmed(trial, trial.of(1000), 5)
    assert best is not None and 2500 <= best.replicas <= 1.011 * 2500 + 1
    trial = Widened(1000, 5000)
    trial.found[3000] = trial.of(3000)
    assert _confirmed(trial, trial.of(1000), 5) == (None, {})
    assert max(trial.wider) == 3000 and not trial.found[3000].keeps


def test_a_plan_that_was_given_up_tells_of_the_most_that_were_tried_with_more_simulated() -> None:
    trial = Widened(1000, 5000)
    for replicas in (500, 3000):
        trial.found[replicas] = trial.of(replicas)
    assert _confirmed(trial, trial.of(1000), 5) == (None, {})
    found = Plan(None, tuple(trial.found[one] for one in sorted(trial.found)), Window(0.0, 60.0))
    said = given_up(found)
    assert said.startswith("Of 3,000, the most that were tried with more of it simulated: ttft_p95 1.00 s (missed)")


def test_a_plan_that_no_fleet_kept_tells_of_the_most_that_were_tried() -> None:
    trial = Widened(1000, 5000)
    found = Plan(None, (trial.of(4), trial.of(5)), Window(0.0, 60.0))
    assert given_up(found).startswith("Of 5, the most that were tried: ttft_p95 1.00 s (missed)")


def test_a_fleet_that_is_simulated_as_a_whole_has_nothing_left_of_the_error_of_a_share(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", **RATES)
    assert planned(tmp_path / "run", "--demand", "30/s") == 0
    plan = json.loads((tmp_path / "run" / "capacity.json").read_text())["options"][0]
    page = (tmp_path / "run" / "capacity.html").read_text()
    assert 4 < plan["replicas"] <= 16 and plan["share_error"]
    assert re.search(rf"All {plan['replicas']} replicas are simulated\. With \d, as many as the search simulates", page)
    assert "figures may be some" not in capsys.readouterr().out


def test_a_fleet_of_which_all_that_serve_are_simulated_is_told_as_such(tmp_path: Path) -> None:
    measured(tmp_path / "run", **RATES)
    assert planned(tmp_path / "run", "--demand", "100/s", "--lose", "18") == 0
    plan = json.loads((tmp_path / "run" / "capacity.json").read_text())["options"][0]
    page = (tmp_path / "run" / "capacity.html").read_text()
    assert plan["share_error"] and f"All {plan['replicas'] - 18} replicas that serve are simulated" in page


def test_requests_a_second_of_a_fleet_are_those_of_the_demand_whatever_is_lost(tmp_path: Path) -> None:
    measured(tmp_path / "run", **RATES)
    assert planned(tmp_path / "run", "--demand", "30/s", "--lose", "60") == 0
    plan = json.loads((tmp_path / "run" / "capacity.json").read_text())["options"][0]
    page = (tmp_path / "run" / "capacity.html").read_text()
    rows = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in page[page.index("Slots taken"):].split("</tr>")]
    row = next(row for row in rows if row and row[0] == str(plan["replicas"]))
    assert float(row[7]) == pytest.approx(30, rel=0.15)


def test_a_fleet_that_cannot_keep_up_as_requests_are_lost_with_replicas_is_told_so(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", **RATES)
    assert planned(tmp_path / "run", "--demand", "3/s", "--mtbf", "60s", "--restart", "30s", "--detect", "20s") == 3
    told = " ".join(capsys.readouterr().out.split())
    assert "kept_up" in told and "of the requests are lost with replicas that fail" in told
