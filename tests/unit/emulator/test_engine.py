"""The engine on a virtual clock. Times are small whole numbers worked out by hand."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.emulator.batching import BatchEngine, BatchModel
from fmload.emulator.engine import SECOND_NS, Engine, Job, SteadyEngine

# 1 s per 100 prompt tokens; a decode step lasts 1 s, and 0.1 s more for every sequence.
PLAIN = BatchModel(max_batch=2, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, decode_per_sequence_s=0.1)


def tokens_of(engine: Engine, jobs: list[Job], limit: int = 10_000) -> dict[Job, list[float]]:
    """Runs the engine until it has nothing to do; the instants of every job's tokens in seconds."""
    instants: dict[Job, list[float]] = {job: [] for job in jobs}
    for _ in range(limit):
        due = engine.due_ns
        if due is None:
            return instants
        for job in engine.advance(due):
            if job.failure is None:
                instants[job].append(due / SECOND_NS)
    raise AssertionError("the engine never came to rest")


def submit(engine: Engine, *jobs: Job, at_s: float = 0.0) -> None:
    for job in jobs:
        assert engine.submit(job, round(at_s * SECOND_NS))


def test_first_token_comes_after_prefill_and_each_further_one_after_a_decode_step() -> None:
    engine, job = BatchEngine(PLAIN), Job(100, 3)
    submit(engine, job)
    assert tokens_of(engine, [job])[job] == pytest.approx([1.0, 2.1, 3.2])


def test_prefill_of_a_newcomer_stops_the_decoding_of_the_others() -> None:
    engine, old, new = BatchEngine(PLAIN), Job(100, 3), Job(200, 2)
    submit(engine, old)
    engine.advance(1 * SECOND_NS)
    submit(engine, new, at_s=1.5)
    instants = tokens_of(engine, [old, new])
    assert instants[old] == pytest.approx([2.1, 5.3])  # its second step ends at 2.1, the prefill at 4.1
    assert instants[new] == pytest.approx([4.1, 5.3])


def test_prompts_that_wait_together_are_prefilled_together() -> None:
    engine, jobs = BatchEngine(PLAIN), [Job(100, 2), Job(100, 2)]
    busy = Job(100, 1)
    submit(engine, busy, *jobs)
    instants = tokens_of(engine, [busy, *jobs])
    assert instants[busy] == pytest.approx([1.0])
    assert instants[jobs[0]] == instants[jobs[1]] == pytest.approx([3.0, 4.2])


def test_what_does_not_fit_the_batch_waits_for_a_place() -> None:
    engine, jobs = BatchEngine(PLAIN), [Job(100, 2), Job(100, 2), Job(100, 2)]
    submit(engine, *jobs)
    assert (engine.running_count, engine.waiting_count) == (1, 2)
    instants = tokens_of(engine, jobs)
    assert instants[jobs[2]][0] > instants[jobs[0]][-1]
    assert jobs[2].admitted_ns is not None and jobs[2].admitted_ns >= instants[jobs[0]][-1] * SECOND_NS


def test_a_decode_step_costs_base_sequences_and_context() -> None:
    model = BatchModel(max_batch=8, prefill_tokens_per_s=1e9, decode_fixed_s=0.5, decode_per_sequence_s=0.1,
                       decode_per_context_token_s=0.01)
    assert model.decode_s(3, 200) == pytest.approx(0.5 + 0.3 + 2.0)


def test_chunked_prefill_rides_on_the_decode_steps_of_the_others() -> None:
    model = BatchModel(max_batch=2, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, prefill_chunk_tokens=50)
    engine, old, new = BatchEngine(model), Job(50, 5), Job(100, 1)
    submit(engine, old)  # one chunk: 1 s of step and 0.5 s of prefill
    submit(engine, new)  # two chunks of 0.5 s, each on a step
    instants = tokens_of(engine, [old, new])
    assert instants[old] == pytest.approx([1.5, 3.0, 4.5, 5.5, 6.5])
    assert instants[new] == pytest.approx([4.5])


def test_static_batching_takes_newcomers_only_when_the_batch_is_done() -> None:
    model = BatchModel(max_batch=2, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, decode_per_sequence_s=0.5,
                       batching="static", gather_s=0.2)
    engine, jobs = BatchEngine(model), [Job(100, 1), Job(100, 3), Job(100, 1)]
    submit(engine, *jobs)
    instants = tokens_of(engine, jobs)
    assert instants[jobs[0]] == pytest.approx([2.0])
    assert instants[jobs[1]] == pytest.approx([2.0, 4.0, 6.0])  # two seats are paid for though one is free
    assert instants[jobs[2]] == pytest.approx([7.0])


def test_an_idle_static_engine_gathers_before_it_starts() -> None:
    model = BatchModel(max_batch=4, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, batching="static", gather_s=0.5)
    engine, first, second = BatchEngine(model), Job(100, 1), Job(100, 1)
    submit(engine, first)
    submit(engine, second, at_s=0.3)
    instants = tokens_of(engine, [first, second])
    assert instants[first] == instants[second] == pytest.approx([2.5])


def test_tgi_interrupts_the_decoding_only_for_enough_newcomers_or_after_so_many_steps() -> None:
    model = BatchModel(max_batch=4, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, waiting_served_ratio=1.0,
                       max_waiting_steps=3)
    engine, old, others = BatchEngine(model), Job(100, 9), [Job(100, 9)]
    submit(engine, old)
    engine.advance(1 * SECOND_NS)
    submit(engine, *others, at_s=1.1)  # one waiting against one running: enough at the next step
    late = Job(100, 1)
    engine.advance(3 * SECOND_NS)
    submit(engine, late, at_s=3.1)  # one against two: has to wait for three steps after the last prefill
    instants = tokens_of(engine, [old, *others, late])
    assert others[0].admitted_ns == 2 * SECOND_NS
    assert instants[late] == pytest.approx([7.0])


def test_a_full_queue_refuses() -> None:
    engine = BatchEngine(BatchModel(max_batch=1, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, max_waiting=1))
    submit(engine, Job(100, 1), Job(100, 1))
    refused = Job(100, 1)
    assert not engine.submit(refused, 0)
    assert refused.failure == "refused"


def test_a_request_larger_than_the_kv_cache_is_refused() -> None:
    engine = BatchEngine(BatchModel(max_batch=1, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, kv_tokens=100))
    assert not engine.submit(Job(90, 20), 0)


def test_a_request_that_waited_too_long_is_given_up() -> None:
    model = BatchModel(max_batch=1, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, queue_timeout_s=2.5)
    engine, first, second = BatchEngine(model), Job(100, 5), Job(100, 1)
    submit(engine, first, second)
    while second.failure is None:
        assert engine.due_ns is not None
        engine.advance(engine.due_ns)
    assert second.failure == "queue_timeout"
    assert not second.done


def test_a_reserved_kv_cache_admits_only_what_fits_whole() -> None:
    model = BatchModel(max_batch=8, prefill_tokens_per_s=1e9, decode_fixed_s=1.0, kv_tokens=250)
    engine, jobs = BatchEngine(model), [Job(100, 20), Job(100, 20), Job(100, 20)]
    submit(engine, *jobs)
    engine.advance(SECOND_NS)
    assert engine.running_count == 2
    assert engine.kv_usage == pytest.approx(240 / 250)


def test_a_full_kv_cache_preempts_the_newest_and_loses_no_token() -> None:
    model = BatchModel(max_batch=8, prefill_tokens_per_s=1e9, decode_fixed_s=1.0, kv_tokens=230, kv_reserve=False)
    engine, jobs = BatchEngine(model), [Job(100, 40), Job(100, 40)]
    submit(engine, *jobs)
    instants = tokens_of(engine, jobs)
    assert engine.preemptions >= 1 and jobs[1].preempted >= 1 and not jobs[0].preempted
    assert [len(instants[job]) for job in jobs] == [40, 40]


def test_cached_prompt_tokens_cost_no_prefill() -> None:
    engine, job = BatchEngine(PLAIN), Job(100, 1, cached_tokens=80)
    submit(engine, job)
    assert tokens_of(engine, [job])[job] == pytest.approx([0.2])


def test_a_cancelled_request_gives_its_place_away() -> None:
    engine, jobs = BatchEngine(PLAIN), [Job(100, 100), Job(100, 100), Job(100, 1)]
    submit(engine, *jobs)
    engine.advance(3 * SECOND_NS)
    engine.cancel(jobs[0])
    assert tokens_of(engine, [*jobs[1:], jobs[0]])[jobs[2]]


def test_jitter_is_drawn_by_the_seed() -> None:
    model = BatchModel(max_batch=1, prefill_tokens_per_s=100.0, decode_fixed_s=1.0, jitter=0.1)
    runs = []
    for seed in (1, 1, 2):
        engine, job = BatchEngine(model, seed), Job(100, 20)
        submit(engine, job)
        runs.append(tokens_of(engine, [job])[job])
    assert runs[0] == runs[1] != runs[2]


def test_a_steady_engine_keeps_its_schedule_when_it_is_called_late() -> None:
    engine, job = SteadyEngine(0.2, 0.1), Job(1, 4)
    submit(engine, job)
    assert engine.advance(round(0.35 * SECOND_NS)) == [job]  # one token a call, however late
    assert engine.due_ns == pytest.approx(0.3 * SECOND_NS)


def test_an_engine_without_gaps_gives_every_stream_one_token_a_call() -> None:
    engine, jobs = SteadyEngine(0, 0), [Job(1, 3), Job(1, 3)]
    submit(engine, *jobs)
    assert [engine.advance(0) for _ in range(4)] == [jobs, jobs, jobs, []]


def test_a_cancelled_steady_stream_makes_no_more_tokens() -> None:
    engine, jobs = SteadyEngine(0.1, 0.1), [Job(1, 3), Job(1, 3)]
    submit(engine, *jobs)
    engine.cancel(jobs[0])
    assert engine.running_count == 1
    instants = tokens_of(engine, jobs)
    assert (len(instants[jobs[0]]), len(instants[jobs[1]])) == (0, 3)


LENGTHS = st.tuples(st.integers(1, 300), st.integers(1, 30), st.integers(0, 5))
MODELS = st.builds(
    BatchModel, max_batch=st.integers(1, 5), prefill_tokens_per_s=st.just(100.0), decode_fixed_s=st.just(0.5),
    decode_per_sequence_s=st.sampled_from([0.0, 0.1]), prefill_fixed_s=st.sampled_from([0.0, 0.2]),
    batching=st.sampled_from(["continuous", "static"]), prefill_chunk_tokens=st.sampled_from([None, 64]),
    waiting_served_ratio=st.sampled_from([0.0, 0.5]), max_waiting_steps=st.integers(0, 4),
    kv_tokens=st.sampled_from([None, 400, 1000]), kv_reserve=st.booleans(), gather_s=st.sampled_from([0.0, 1.0]),
    jitter=st.sampled_from([0.0, 0.05]))


@given(MODELS, st.lists(LENGTHS, min_size=1, max_size=12))
def test_every_accepted_request_gets_all_its_tokens_in_order(model: BatchModel,
                                                             requests: list[tuple[int, int, int]]) -> None:
    engine, jobs = BatchEngine(model), []
    for tokens_in, tokens_out, at_s in sorted(requests, key=lambda request: request[2]):
        while engine.due_ns is not None and engine.due_ns <= at_s * SECOND_NS:
            engine.advance(engine.due_ns)
        job = Job(tokens_in, tokens_out)
        if engine.submit(job, at_s * SECOND_NS):
            jobs.append(job)
    before = {job: job.done for job in jobs}
    instants = tokens_of(engine, jobs)
    for job in jobs:
        assert job.done == job.output_tokens
        assert len(instants[job]) == job.output_tokens - before[job]
        assert all(a < b for a, b in itertools.pairwise(instants[job]))
    assert engine.running_count == engine.waiting_count == 0
    assert engine.kv_usage == 0.0


def test_the_lowest_priority_goes_first_and_equal_ones_in_order_of_arrival() -> None:
    def order(by_priority: bool) -> list[str]:
        engine = BatchEngine(BatchModel(1, prefill_tokens_per_s=1000, decode_fixed_s=0.01, by_priority=by_priority))
        jobs = [Job(10, 1, owner=name, priority=priority) for name, priority in (
            ("first", 5), ("late", 9), ("a", 2), ("b", 2), ("urgent", -1))]
        for job in jobs:
            engine.submit(job, 0)
        done: list[str] = []
        while engine.due_ns is not None:
            done += [job.owner for job in engine.advance(engine.due_ns)]
        return done

    assert order(True) == ["first", "urgent", "a", "b", "late"]  # the first was alone when it came
    assert order(False) == ["first", "late", "a", "b", "urgent"]


def test_a_full_cache_preempts_the_newest_of_the_highest_priority() -> None:
    engine = BatchEngine(BatchModel(3, prefill_tokens_per_s=1e6, decode_fixed_s=0.01, kv_tokens=40, kv_reserve=False,
                                    by_priority=True))
    jobs = {name: Job(10, 8, owner=name, priority=priority) for name, priority in (("x", 9), ("y", 0), ("z", 0))}
    for job in jobs.values():
        engine.submit(job, 0)
    while engine.due_ns is not None:
        engine.advance(engine.due_ns)
    assert (jobs["x"].preempted > 0, jobs["y"].preempted, jobs["z"].preempted) == (True, 0, 0)
