"""Whether a fleet keeps up: what is under way when the demand ends is no queue; enough of the demand is simulated."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmload.config.objectives import parse_objectives
from fmload_analysis.capacity.demand import Demand, Window, demand_of
from fmload_analysis.capacity.demand_file import read_demand
from fmload_analysis.capacity.figures import of_window
from fmload_analysis.capacity.fleet import Fleet, simulate
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.plan import Plan, plan
from fmload_analysis.capacity.replica import Job
from fmload_analysis.capacity.trial import Settings

MODEL = ReplicaModel(0.03, 0.0005, 2e-7, 0.01, 2e-4, 32)
OBJECTIVES = parse_objectives({"ttft_p95": "2s", "e2e_p95": "30s"})
LEAST_BUSY = Settings("least_busy", seeds=2, requests=600)


def traced(folder: Path, at_s: list[float], tokens: tuple[int, int] = (200, 60)) -> Demand:
    path = folder / "trace.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["timestamp", "input_tokens", "output_tokens"])
        rows.writerows([f"{at:.3f}", *tokens] for at in at_s)
    return demand_of(read_demand(str(path)), "trace", np.ones(1), np.ones(1))


def steady(per_s: float, tokens: tuple[float, float] = (200.0, 60.0)) -> Demand:
    return Demand("", np.array([0.0, 86400.0]), np.array([per_s, per_s]), *(np.full(5, value) for value in tokens))


def replicas(found: Plan) -> int:
    assert found.best is not None
    return found.best.replicas


CALM = [float(second) for second in range(300)]
BURST = [299 + number / 200 for number in range(200)]


@pytest.mark.parametrize("limits", [OBJECTIVES, ()])
def test_a_trace_that_ends_in_a_burst_is_planned_by_what_serves_the_burst(tmp_path: Path, limits: tuple[()]) -> None:
    found = plan(MODEL, traced(tmp_path, CALM + BURST), limits, LEAST_BUSY)
    assert 2 <= replicas(found) <= 10  # one holds 32 of the 200
    assert found.best is not None and found.best.figures["kept_up"].value >= 0.97


@pytest.mark.parametrize("requests", [400, 600])
@pytest.mark.parametrize("burst", [[0.0] * 200, [150.0] * 200, [299.0] * 200])
def test_a_burst_of_a_trace_is_in_the_figures_wherever_it_comes(tmp_path: Path, burst: list[float],
                                                                            requests: int) -> None:
    found = plan(MODEL, traced(tmp_path, sorted(CALM + burst)), OBJECTIVES, replace(LEAST_BUSY, requests=requests))
    assert replicas(found) > 1
    if requests > 500:  # the whole trace
        assert found.best is not None and found.best.figures["requests"].value == 500


def test_a_flash_at_the_end_of_the_day_is_planned() -> None:
    at_s = np.arange(0, 86401, 10.0)
    demand = Demand("", at_s, np.where(at_s > 86340, 30.0, 1.0), np.full(5, 200.0), np.full(5, 60.0))
    assert 2 <= replicas(plan(MODEL, demand, OBJECTIVES, LEAST_BUSY)) <= 10


def test_answers_that_last_longer_than_the_simulated_part_fills_are_planned() -> None:
    large = ReplicaModel(0.02, 0.0001, 1e-8, 0.005, 2e-5, 256)
    per_s = 30.0
    settings = Settings("least_busy", seeds=2, requests=600, most_simulated=2)
    found = plan(large, steady(per_s, (500.0, 1500.0)), (), settings)
    ideal = per_s / large.most_requests_per_s(500.0, 1500.0) / 0.8  # a utilisation of 80 %
    assert ideal <= replicas(found) <= 1.1 * ideal + 1


def test_prompts_that_sessions_share_need_no_replicas_for_what_is_reused() -> None:
    slow = ReplicaModel(0.02, 0.0005, 0.0, 0.01, 5e-4, 16)  # a prompt of 4,000 tokens is two seconds of work
    demand = replace(steady(20.0, (4000.0, 20.0)), turns=20, reuse=0.95, pause_s=10.0)
    limits = parse_objectives({"ttft_p95": "10s"})
    found = plan(slow, demand, limits, replace(LEAST_BUSY, routing="prefix_aware"))
    assert replicas(found) < 0.5 * 20.0 / slow.most_requests_per_s(4000.0, 20.0)
    assert found.best is not None and found.best.figures["utilisation"].value < 1


@pytest.mark.parametrize(("replicas", "routing"), [(40, "prefix_aware"), (1, "round_robin")])
@pytest.mark.parametrize("pause_s", [10.0, 120.0])
def test_sessions_that_are_under_way_when_the_simulated_part_begins_have_their_replica(
        pause_s: float, replicas: int, routing: str) -> None:
    demand = replace(steady(20.0, (4000.0, 20.0)), turns=20, reuse=0.95, pause_s=pause_s)
    jobs = demand.jobs(MODEL, Window(0.0, 60.0), 1.0, 1)
    simulate(Fleet(MODEL, replicas, routing, reuse=demand.reuse), jobs, 60.0)
    assert np.mean([job.uncached for job in jobs]) == pytest.approx(demand.uncached, rel=0.1)


@pytest.mark.parametrize("fleet", [
    Fleet(MODEL, 1, of=10), Fleet(MODEL, 2, kill=((0.5, 1),)), Fleet(MODEL, 1, mtbf_s=1.0, restart_s=1e-3),
    Fleet(MODEL, 2, "prefix_aware", mtbf_s=1.0, restart_s=1e-3)])
def test_a_known_session_finds_its_prefix_on_a_replica_from_the_beginning_to_which_all_of_it_went(fleet: Fleet) -> None:
    jobs = [Job(number, 20.0 + number, 100.0, 2, session=number, known=True) for number in range(40)]
    simulate(replace(fleet, reuse=0.9), jobs, 60.0)
    answered = [job.uncached for job in jobs if not job.lost]
    assert answered and set(answered) == {100.0}


@pytest.mark.parametrize("load", [0.9, 1.06, 1.2])
def test_a_fleet_that_cannot_answer_what_comes_does_not_keep_up_though_slots_are_free(load: float) -> None:
    wide = ReplicaModel(0.02, 0.01, slots=10_000)
    per_s = load * wide.most_requests_per_s(100.0, 500.0)
    jobs = [Job(number, number / per_s, 100.0, 500) for number in range(int(600 * per_s))]
    found = of_window(wide, simulate(Fleet(wide, 1), jobs, 600.0), 90.0, 600.0)
    assert (found["kept_up"] >= 0.97) == (load < 1)


def test_a_queue_that_grows_does_not_keep_up_and_one_that_stays_does() -> None:
    def kept_up(load: float) -> float:
        per_s = load * MODEL.most_requests_per_s(200.0, 60.0)
        demand = steady(per_s)
        jobs = demand.jobs(MODEL, Window(0.0, 600.0), 1.0, 1)
        return of_window(MODEL, simulate(Fleet(MODEL, 1), jobs, 600.0), 90.0, 600.0)["kept_up"]

    assert kept_up(0.9) >= 0.97
    assert kept_up(1.15) < 0.95
