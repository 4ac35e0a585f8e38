"""The simulation of a fleet, against closed forms, against the emulator's own engine, and by what must always hold."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from fmload.emulator.batching import BatchEngine, BatchModel
from fmload.emulator.engine import SECOND_NS
from fmload.emulator.engine import Job as EmulatedJob
from fmload_analysis.capacity.autoscale import Autoscale, over_period
from fmload_analysis.capacity.figures import latencies, of_window
from fmload_analysis.capacity.fleet import Fleet, Outcome, simulate
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.replica import Job, Replica
from fmload_analysis.capacity.routing import Router

STEP_S = 0.001


def poisson(rate_per_s: float, count: int, steps: Sequence[int] | int, seed: int = 1, tokens: float = 0.0) -> list[Job]:
    draw = random.Random(seed)
    at_s, jobs = 0.0, []
    for number in range(count):
        at_s += draw.expovariate(rate_per_s)
        jobs.append(Job(number, at_s, tokens, steps if isinstance(steps, int) else steps[number]))
    return jobs


def waits(outcome: Outcome, model: ReplicaModel) -> float:
    """Mean time before the first step begins."""
    return float(np.mean([job.first_s - job.arrival_s for job in outcome.jobs]))


def erlang_c_wait_s(rate_per_s: float, service_s: float, servers: int) -> float:
    load = rate_per_s * service_s
    top = load ** servers / math.factorial(servers) * servers / (servers - load)
    waiting = top / (sum(load ** k / math.factorial(k) for k in range(servers)) + top)
    return waiting * service_s / (servers - load)


@pytest.mark.parametrize("servers", [1, 2, 5])
def test_slots_whose_step_costs_the_same_whatever_the_batch_wait_as_erlang_c_says(servers: int) -> None:
    mean_steps, count = 400, 60_000
    draw = np.random.default_rng(5)
    steps = draw.geometric(1 / mean_steps, count) + 1
    model = ReplicaModel(STEP_S, slots=servers)
    rate = 0.7 * servers / (mean_steps * STEP_S)
    jobs = poisson(rate, count, steps.tolist())
    outcome = simulate(Fleet(model, 1), jobs, 1e9)
    expected_s = erlang_c_wait_s(count / jobs[-1].arrival_s, float(steps.mean() - 1) * STEP_S, servers)
    assert waits(outcome, model) == pytest.approx(expected_s, rel=0.06, abs=STEP_S)


def test_one_slot_and_answers_of_one_length_wait_as_the_queue_md1_does() -> None:
    steps, rho = 400, 0.8
    service_s = (steps - 1) * STEP_S
    model = ReplicaModel(STEP_S, slots=1)
    outcome = simulate(Fleet(model, 1), poisson(rho / service_s, 30_000, steps), 1e9)
    assert waits(outcome, model) == pytest.approx(rho * service_s / (2 * (1 - rho)), rel=0.07)


@pytest.mark.parametrize("load", [0.3, 0.7, 0.85])
@pytest.mark.parametrize("exponential", [True, False])
def test_a_step_that_costs_by_the_request_shares_the_processor(load: float, exponential: bool) -> None:
    """M/G/1 with processor sharing: work ÷ (1 − load), whatever the lengths' distribution."""
    mean_steps, count = 200, 20_000
    steps = np.random.default_rng(1).geometric(1 / mean_steps, count) + 1 if exponential else np.full(count, mean_steps)
    model = ReplicaModel(0.0, step_per_request_s=STEP_S, slots=count)
    work_s = float(steps.mean() - 1) * STEP_S
    jobs = poisson(load / work_s, count, steps.tolist())
    simulate(Fleet(model, 1), jobs, 1e9)
    real = work_s * count / jobs[-1].arrival_s
    assert np.mean(latencies(model, jobs)["e2e"]) == pytest.approx(work_s / (1 - real), rel=0.08)


def waited(routing: str, load: float) -> tuple[float, float, float]:
    """Mean wait of two replicas with one slot each, for exponential work; requests a second and mean work as drawn."""
    mean_steps, count = 400, 60_000
    steps = np.random.default_rng(6).geometric(1 / mean_steps, count) + 1
    model = ReplicaModel(STEP_S, slots=1)
    jobs = poisson(load * 2 / (mean_steps * STEP_S), count, steps.tolist())
    wait_s = waits(simulate(Fleet(model, 2, routing), jobs, 1e9), model)
    return wait_s, count / jobs[-1].arrival_s, float(steps.mean() - 1) * STEP_S


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_requests_in_turn_wait_as_arrivals_of_erlangs_distribution_do(load: float) -> None:
    """E2/M/1: of two replicas each gets every second request."""
    wait_s, per_s, work_s = waited("round_robin", load)
    busy = 0.5
    for _ in range(200):
        busy = (per_s / (per_s + (1 - busy) / work_s)) ** 2
    assert wait_s == pytest.approx(busy * work_s / (1 - busy), rel=0.05)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_least_busy_replica_is_better_than_turns_and_no_better_than_one_queue(load: float) -> None:
    wait_s, per_s, work_s = waited("least_busy", load)
    assert 0.95 * erlang_c_wait_s(per_s, work_s, 2) < wait_s < 0.9 * waited("round_robin", load)[0]


@pytest.mark.parametrize(("per_s", "target"), [(2.0, 0.5), (7.0, 0.5), (7.0, 1.0)])
def test_autoscaling_comes_to_rest_at_the_requests_in_flight_by_the_target(per_s: float, target: float) -> None:
    """By Little's law as many are in flight as come in the time of one: steps cost the same whatever the batch."""
    model, steps, lasts_s = ReplicaModel(0.05, slots=4), 101, 3000.0
    jobs = [Job(number, number / per_s, 0.0, steps) for number in range(int(lasts_s * per_s))]
    rule = Autoscale(1, 40, target, startup_s=10.0, cooldown_s=20.0, look_s=5.0)
    outcome = simulate(Fleet(model, 1, "least_busy", rule), jobs, lasts_s)
    in_flight = per_s * (steps - 1) * 0.05
    late = [look.paid for look in outcome.looks if look.at_s > 2000.0]
    assert np.mean(late) == pytest.approx(math.ceil(in_flight / (target * model.slots)), abs=0.6)


@pytest.mark.parametrize("chunk_tokens", [None, 64, 2048])
@pytest.mark.parametrize(("share", "most"), [(0.0, 0), (0.3, 20)])
def test_a_replica_answers_each_request_when_the_emulators_engine_does(chunk_tokens: int | None, share: float,
                                                                       most: int) -> None:
    engine = BatchModel(8, 2000.0, 0.03, 0.001, 1e-6, 0.01, prefill_chunk_tokens=chunk_tokens,
                        waiting_served_ratio=share, max_waiting_steps=most)
    model = ReplicaModel(0.03, 0.001, 1e-6, 0.01, 1 / 2000, 8, "chunked" if chunk_tokens else "alone",
                         chunk_tokens or 2048, share, most)
    draw = random.Random(3)
    jobs = [Job(number, at, float(draw.randint(10, 400)), draw.randint(1, 60))
            for number, at in enumerate(sorted(draw.uniform(0, 60) for _ in range(300)))]
    simulate(Fleet(model, 1), jobs, 1e9)
    for job, (first_s, end_s) in zip(jobs, by_emulator(engine, jobs), strict=True):
        assert job.first_s == pytest.approx(first_s, abs=1e-4)
        assert job.end_s == pytest.approx(end_s, abs=1e-4)


@pytest.mark.parametrize("chunk_tokens", [None, 2048])
@pytest.mark.parametrize("load", [0.3, 0.7])
def test_steps_that_vary_by_chance_give_the_tails_that_they_give_the_emulators_engine(chunk_tokens: int | None,
                                                                                      load: float) -> None:
    jitter = 0.4
    shape = math.exp(jitter ** 2 / 2)  # the emulator's times are medians
    engine = BatchModel(4, 400.0, 0.004, 0.004, 0.0, 0.005, prefill_chunk_tokens=chunk_tokens, jitter=jitter)
    model = ReplicaModel(0.004 * shape, 0.004 * shape, 0.0, 0.005 * shape, shape / 400, 4,
                         "chunked" if chunk_tokens else "alone", jitter=jitter)
    draw = random.Random(5)
    jobs = poisson(load * model.most_requests_per_s(35.0, 32.0), 6000, 1)
    for job in jobs:
        job.input_tokens = job.uncached = float(draw.randint(20, 50))
        job.steps = draw.randint(4, 60)
    simulate(Fleet(model, 1), jobs, 1e9)
    by_engine = by_emulator(engine, jobs)
    for name, place in (("first_s", 0), ("end_s", 1)):
        for share in (50, 95):
            found = np.percentile([getattr(job, name) - job.arrival_s for job in jobs], share)
            true = np.percentile([one[place] - job.arrival_s for one, job in zip(by_engine, jobs, strict=True)], share)
            assert found == pytest.approx(true, rel=0.06), (name, share)


def by_emulator(model: BatchModel, jobs: Sequence[Job]) -> list[tuple[float, float]]:
    engine = BatchEngine(model, 3)
    twins = [EmulatedJob(round(job.input_tokens), job.steps, owner=[math.nan, math.nan]) for job in jobs]
    left = list(zip(jobs, twins, strict=True))
    while left or engine.due_ns is not None:
        at_ns = round(left[0][0].arrival_s * SECOND_NS) if left else None
        if at_ns is not None and (engine.due_ns is None or at_ns <= engine.due_ns):
            assert engine.submit(left.pop(0)[1], at_ns)
            continue
        assert engine.due_ns is not None
        now_ns = engine.due_ns
        for twin in engine.advance(now_ns):
            twin.owner[0] = now_ns / SECOND_NS if twin.owner[0] != twin.owner[0] else twin.owner[0]
            twin.owner[1] = now_ns / SECOND_NS
    return [(twin.owner[0], twin.owner[1]) for twin in twins]


MODEL = ReplicaModel(0.02, 0.0005, 1e-7, 0.01, 1e-4, 16)


def lengths(seed: int, count: int) -> list[Job]:
    jobs = poisson(12.0, count, 1, seed)
    draw = random.Random(seed + 100)
    for job in jobs:
        job.input_tokens = job.uncached = float(draw.randint(50, 800))
        job.steps = draw.randint(2, 120)
        job.session = draw.randint(0, 40)
    return jobs


@pytest.mark.parametrize("routing", ["round_robin", "least_busy", "prefix_aware"])
@pytest.mark.parametrize("seed", range(4))
def test_more_replicas_are_never_worse_with_the_same_arrivals(routing: str, seed: int) -> None:
    found = []
    for replicas in (2, 3, 4, 6):
        jobs = lengths(seed, 1500)
        simulate(Fleet(MODEL, replicas, routing), jobs, 1e9)
        found.append({name: float(values.mean()) for name, values in latencies(MODEL, jobs).items()})
    for fewer, more in itertools.pairwise(found):
        assert more["e2e"] <= fewer["e2e"] * 1.005
        assert more["ttft"] <= fewer["ttft"] * 1.02


@pytest.mark.parametrize("routing", ["round_robin", "least_busy", "prefix_aware"])
@pytest.mark.parametrize("seed", range(3))
def test_every_request_is_answered_or_lost_once(routing: str, seed: int) -> None:
    jobs = lengths(seed, 1200)
    fleet = Fleet(MODEL, 3, routing, Autoscale(1, 6, 0.5, 20.0, 30.0, 5.0), kill=((20.0, 0), (40.0, 1)), mtbf_s=300.0,
                  restart_s=10.0, detect_s=2.0, seed=seed)
    outcome = simulate(fleet, jobs, jobs[-1].arrival_s)
    assert all(math.isfinite(job.end_s) for job in jobs)
    answered = [job for job in jobs if not job.lost]
    assert all(job.arrival_s < job.first_s <= job.end_s for job in answered)
    assert 0 < len(answered) < len(jobs)
    assert 0 < outcome.busy_s <= sum(max(0.0, job.end_s - job.arrival_s) for job in jobs)


def test_the_same_seed_gives_the_same_result_and_another_seed_another() -> None:
    def ends(seed: int) -> list[float]:
        jobs = lengths(7, 600)
        simulate(Fleet(MODEL, 2, "least_busy", mtbf_s=60.0, restart_s=5.0, seed=seed), jobs, jobs[-1].arrival_s)
        return [job.end_s for job in jobs]

    assert ends(1) == ends(1)
    assert ends(1) != ends(2)


def test_a_killed_replica_loses_what_it_holds_and_what_it_is_sent_until_that_is_known() -> None:
    def lost(detect_s: float) -> set[int]:
        jobs = lengths(2, 600)
        simulate(Fleet(MODEL, 2, kill=((20.0, 1),), detect_s=detect_s), jobs, jobs[-1].arrival_s)
        at_once = [job for job in jobs if job.lost]
        assert all(job.replica == 1 for job in at_once)
        assert all(job.arrival_s <= 20.0 + detect_s for job in at_once)
        assert all(job.replica == 0 for job in jobs if job.arrival_s > 20.0 + detect_s)
        return {job.number for job in at_once}

    assert lost(0.0) < lost(5.0)


def test_a_closed_loop_has_as_many_in_flight_as_there_are_users() -> None:
    model = ReplicaModel(0.01, slots=8)
    jobs = [Job(number, math.nan, 0.0, 11) for number in range(2000)]
    outcome = simulate(Fleet(model, 1), jobs, 10.0, users=4)
    found = of_window(model, outcome, 2.0, 8.0)
    assert found["requests_per_s"] == pytest.approx(4 / 0.1, rel=0.02)
    assert found["slots_used"] == pytest.approx(0.5, rel=0.05)
    assert any(math.isnan(job.arrival_s) for job in jobs)


def test_a_new_replica_serves_after_its_start_and_is_paid_from_then_on() -> None:
    model = ReplicaModel(0.05, slots=4)
    jobs = [Job(number, number * 0.25, 0.0, 100) for number in range(400)]
    rule = Autoscale(1, 3, 0.5, startup_s=30.0, cooldown_s=1000.0, look_s=10.0)
    outcome = simulate(Fleet(model, 1, "least_busy", rule), jobs, 100.0)
    assert outcome.sizes == [(0.0, 1), (10.0, 2), (10.0, 3)]
    looks = [(look.at_s, look.wanted, look.serving, look.paid) for look in outcome.looks]
    assert looks[:3] == [(10.0, 3, 1, 3), (20.0, 3, 1, 3), (30.0, 3, 1, 3)]
    assert looks[4] == (50.0, 3, 3, 3) and len(looks) == 10
    assert min(job.arrival_s for job in jobs if job.replica > 0) == pytest.approx(40.0, abs=0.26)
    assert outcome.paid_s == pytest.approx(100.0 + 2 * 90.0)


def test_a_day_of_autoscaling_pays_for_what_is_needed_and_lets_one_go_at_a_time() -> None:
    rule = Autoscale(1, 10, cooldown_s=2.0)
    needed = np.array([1, 1, 1, 4.2, 1, 1, 1, 1, 1, 1])
    paid_for = [2, 2, 1, 5, 5, 5, 4, 4, 3, 3]
    assert over_period(rule, np.arange(10.0), needed).tolist() == paid_for


def test_replicas_that_are_not_needed_go_one_after_the_other() -> None:
    model = ReplicaModel(0.05, slots=4)
    jobs = [Job(number, 0.0, 0.0, 200) for number in range(24)]
    rule = Autoscale(1, 6, 0.5, startup_s=5.0, cooldown_s=20.0, look_s=1.0)
    outcome = simulate(Fleet(model, 6, "least_busy", rule), jobs, 100.0)
    assert [size for _, size in outcome.sizes] == [1, 2, 3, 4, 5, 6, 5, 4, 3, 2]
    gone_s = [at_s for at_s, _ in outcome.sizes[6:]]
    assert all(after - before >= rule.cooldown_s for before, after in itertools.pairwise(gone_s))


def test_what_is_starting_is_let_go_before_what_serves() -> None:
    jobs = [Job(number, 10 + number * 0.001, 0.0, 200) for number in range(40)]
    rule = Autoscale(2, 9, target=1.0, startup_s=600.0, cooldown_s=20.0, look_s=1.0)
    outcome = simulate(Fleet(ReplicaModel(0.01, slots=4), 2, autoscale=rule), jobs, 2000.0)
    assert max(look.paid for look in outcome.looks) == 9  # seven are starting
    assert {look.serving for look in outcome.looks} == {2}
    assert outcome.looks[-1].paid == 2


def test_a_session_that_stays_with_its_replica_needs_less_prefill() -> None:
    def mean_ttft(routing: str) -> float:
        jobs = lengths(4, 1500)
        simulate(Fleet(MODEL, 4, routing, reuse=0.9), jobs, 1e9)
        return float(latencies(MODEL, jobs)["ttft"].mean())

    assert mean_ttft("prefix_aware") < 0.9 * mean_ttft("least_busy")


def test_least_busy_takes_the_fewest_in_flight_and_the_next_in_turn_among_equals() -> None:
    replicas = [Replica(MODEL, number) for number in range(3)]
    router = Router("least_busy")

    def place(number: int) -> int:
        chosen = router.choose(Job(number, 0.0, 10.0, 5), replicas)
        chosen.offer(Job(number, 0.0, 10.0, 5), 0.0)
        return chosen.number

    assert [place(number) for number in range(4)] == [0, 1, 2, 0]
    for _ in range(9):  # the second becomes empty
        if replicas[1].in_flight:
            replicas[1].advance()
    assert place(9) == 1


def test_a_session_leaves_a_crowded_replica() -> None:
    replicas = [Replica(MODEL, number) for number in range(2)]
    router = Router("prefix_aware")
    first = router.choose(Job(0, 0.0, 10.0, 5, session=7), replicas)
    assert router.choose(Job(1, 0.0, 10.0, 5, session=7), replicas) is first
    for number in range(8):
        first.offer(Job(10 + number, 0.0, 10.0, 5), 0.0)
    assert router.choose(Job(2, 0.0, 10.0, 5, session=7), replicas) is not first
