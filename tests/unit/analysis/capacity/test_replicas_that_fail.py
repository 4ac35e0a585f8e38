"""Failures of replicas in a fleet, against closed forms of their availability."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from engines import measured

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.config.objectives import parse_objectives
from fmload_analysis.capacity.autoscale import Autoscale
from fmload_analysis.capacity.demand import Demand
from fmload_analysis.capacity.figures import of_window
from fmload_analysis.capacity.fleet import Fleet, simulate
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.plan import Plan, plan
from fmload_analysis.capacity.replica import Job
from fmload_analysis.capacity.trial import Settings

QUICK = ReplicaModel(0.001, slots=64)  # an answer of 2 chunks is a few milliseconds


def lost(fleet: Fleet, lasts_s: float, seeds: int) -> float:
    """The share of evenly spaced requests that are lost, over so many seeds."""
    shares = []
    for seed in range(seeds):
        jobs = [Job(number, number * lasts_s / 100, 0.0, 2) for number in range(100)]
        simulate(Fleet(fleet.model, fleet.replicas, fleet.routing, mtbf_s=fleet.mtbf_s, restart_s=fleet.restart_s,
                       seed=seed), jobs, lasts_s)
        shares.append(np.mean([job.lost for job in jobs]))
    return float(np.mean(shares))


@pytest.mark.parametrize("replicas", [1, 2, 4])
@pytest.mark.parametrize(("mtbf_s", "restart_s"), [(100.0, 900.0), (900.0, 300.0), (1e5, 1e5)])
def test_requests_find_no_replica_as_often_as_all_are_down_however_short_the_simulated_part_is(
        replicas: int, mtbf_s: float, restart_s: float) -> None:
    down = restart_s / (mtbf_s + restart_s)
    found = lost(Fleet(QUICK, replicas, "least_busy", mtbf_s=mtbf_s, restart_s=restart_s), 50.0, 300)
    assert found == pytest.approx(down ** replicas, abs=3.5 * math.sqrt(0.25 / 300))


def test_a_long_simulation_is_down_as_often_as_it_begins() -> None:
    jobs = [Job(number, number * 50.0, 0.0, 2) for number in range(40_000)]
    simulate(Fleet(QUICK, 1, mtbf_s=300.0, restart_s=100.0), jobs, 2e6)
    assert np.mean([job.lost for job in jobs]) == pytest.approx(0.25, abs=0.02)


def test_the_share_of_time_in_which_replicas_are_down_is_told() -> None:
    jobs = [Job(number, number * 50.0, 0.0, 2) for number in range(4000)]
    outcome = simulate(Fleet(QUICK, 8, mtbf_s=300.0, restart_s=900.0), jobs, 2e5)
    assert of_window(QUICK, outcome, 0.0, 2e5)["down"] == pytest.approx(0.75, abs=0.02)


def test_utilisation_is_of_the_replicas_that_are_up() -> None:
    slow = ReplicaModel(0.02, slots=4)
    per_s = 0.5 * 16 * slow.most_requests_per_s(0.0, 11.0)
    jobs = [Job(number, number / per_s, 0.0, 11) for number in range(int(600 * per_s))]
    outcome = simulate(Fleet(slow, 20, "least_busy", mtbf_s=4e6, restart_s=1e6), jobs, 600.0)
    found = of_window(slow, outcome, 0.0, 600.0)
    assert found["utilisation"] == pytest.approx(0.5 * 16 / (20 * (1 - found["down"])), rel=0.03)
    assert 0 < found["down"] < 0.5


@pytest.mark.parametrize("detect_s", [0.0, 10.0])
@pytest.mark.parametrize("mtbf_s", [None, 20.0, 1e9])
def test_replicas_that_are_lost_do_not_come_back_whatever_else_fails(mtbf_s: float | None, detect_s: float) -> None:
    for seed in range(10):
        fleet = Fleet(QUICK, 4, kill=((50.0, 0), (50.0, 1)), mtbf_s=mtbf_s, restart_s=20.0, detect_s=detect_s,
                      seed=seed)
        outcome = simulate(fleet, [Job(number, number * 1.0, 0.0, 2) for number in range(100)], 100.0)
        before, after = ([size for at_s, size in outcome.sizes if (at_s >= 50) == late] for late in (False, True))
        assert (before[-1], after[1], after[-1]) == (4, 2, 2)


def test_a_loss_takes_a_replica_that_is_up_where_there_is_one() -> None:
    many = []
    for seed in range(20):
        jobs = [Job(number, 49.999, 0.0, 2000) for number in range(2)]
        simulate(Fleet(QUICK, 2, kill=((50.0, 0),), mtbf_s=200.0, restart_s=200.0, seed=seed), jobs, 100.0)
        begun = [job for job in jobs if job.begun_s == job.begun_s]
        assert not begun or any(job.lost and job.end_s == 50.0 for job in begun)
        many.append(len(begun))
    assert {0, 2} <= set(many)


def test_a_restart_that_autoscaling_stops_is_down_until_then_alone() -> None:
    """Nothing comes, and one replica is enough: of eight those go first that are restarted, for a long time."""
    rule = Autoscale(1, 8, cooldown_s=2.0, look_s=1.0)
    fleet = Fleet(QUICK, 8, autoscale=rule, mtbf_s=1e6, restart_s=1e6, seed=1)
    outcome = simulate(fleet, [Job(0, 0.0, 0.0, 2)], 1000.0)
    paid_s = sum((after - at_s) * size for (at_s, size), (after, _) in itertools.pairwise(
        [*outcome.sizes, (1000.0, 0)]))
    assert outcome.paid_s == pytest.approx(paid_s) and outcome.sizes[-1][1] == 1
    assert 0 < outcome.down_s < 8 * 25.0


MODEL = ReplicaModel(0.03, 0.0005, 2e-7, 0.01, 2e-4, 32)
OBJECTIVES = parse_objectives({"ttft_p95": "2s"})


def planned(mtbf_s: float | None, restart_s: float = 180.0, most_simulated: int = 16, per_s: float = 15.0) -> Plan:
    demand = Demand("", np.array([0.0, 86400.0]), np.array([per_s, per_s]), np.full(5, 300.0), np.full(5, 50.0))
    return plan(MODEL, demand, OBJECTIVES, Settings("least_busy", mtbf_s=mtbf_s, restart_s=restart_s, seeds=4,
                                                    requests=400, most_simulated=most_simulated))


@pytest.mark.parametrize(("per_s", "most_simulated"), [(15.0, 1000), (50.0, 4)])
def test_replicas_that_are_up_a_tenth_of_the_time_are_about_ten_times_as_many(per_s: float,
                                                                              most_simulated: int) -> None:
    up, tenth = (planned(mtbf_s, 9 * 86400.0, most_simulated, per_s).best for mtbf_s in (None, 86400.0))
    assert up is not None and tenth is not None
    assert 9.5 * up.replicas < tenth.replicas < (25 if per_s < 50 else 20) * up.replicas  # of few chance has none up


def test_replicas_that_are_hardly_ever_up_are_refused() -> None:
    with pytest.raises(FmloadError, match=r"a replica would be up for 0\.1 % of the time"):
        planned(1.0, 999.0)


def test_replicas_that_were_down_for_less_than_they_are_in_the_long_run_are_told(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured(tmp_path / "run", rates=(0.5, 3, 12), window_s=30)
    assert main(["capacity", str(tmp_path / "run"), "--demand", "3/s", "--seeds", "2", "--requests", "200", "--mtbf",
                 "480h", "--restart", "48h", "--seed", "3"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "no replica was down in what was simulated" in told and "each is down for 9.1 % of the time" in told


def test_failures_that_no_number_of_replicas_makes_rarer_have_no_plan() -> None:
    """A request is lost where its replica fails while it is answered: 1 − exp(−E2E ÷ mtbf) of them, however many."""
    demand = Demand("", np.array([0.0, 86400.0]), np.array([3.0, 3.0]), np.full(5, 300.0), np.full(5, 50.0))
    settings = Settings("least_busy", mtbf_s=60.0, restart_s=10.0, seeds=2, requests=400, most_simulated=4)
    found = plan(MODEL, demand, parse_objectives({"error_rate": 0.001}), settings)
    assert found.best is None
    most = found.tried[-1].figures
    assert most["requests"].value > 300
    assert most["error_rate"].value == pytest.approx(1 - math.exp(-most["e2e_mean"].value / 60.0), rel=0.6)
