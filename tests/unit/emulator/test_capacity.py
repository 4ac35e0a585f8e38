"""The closed form against the simulation, and the profiles against what was published."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from fmload.emulator.batching import BatchModel
from fmload.emulator.capacity import Simulated, capacity, closed_loop
from fmload.emulator.profiles import PROFILES

CONTINUOUS = BatchModel(max_batch=8, prefill_tokens_per_s=2000.0, prefill_fixed_s=0.01, decode_fixed_s=0.02,
                        decode_per_sequence_s=0.001, decode_per_context_token_s=1e-6)
CHUNKED = BatchModel(max_batch=16, prefill_tokens_per_s=4000.0, decode_fixed_s=0.02, decode_per_sequence_s=0.0005,
                     prefill_chunk_tokens=512)
STATIC = BatchModel(max_batch=8, prefill_tokens_per_s=2000.0, decode_fixed_s=0.02, batching="static", gather_s=0.05)
KV_BOUND = BatchModel(max_batch=64, prefill_tokens_per_s=4000.0, decode_fixed_s=0.02, kv_tokens=4000)


def throughput(finished: list[Simulated], warmup_s: float, end_s: float) -> float:
    """Requests a second that ended between the two instants."""
    ends = [one.started_s + one.e2e_s for one in finished]
    return sum(warmup_s < end <= end_s for end in ends) / (end_s - warmup_s)


@pytest.mark.parametrize("model", [CONTINUOUS, CHUNKED, KV_BOUND], ids=["continuous", "chunked", "kv"])
@pytest.mark.parametrize(("users", "lengths"), [(1, (500, 150)), (5, (100, 100)), (32, (300, 60))])
def test_the_simulation_agrees_with_the_closed_form(model: BatchModel, users: int, lengths: tuple[int, int]) -> None:
    finished = closed_loop(model, users, 140.0, lambda _: lengths, think_s=0.0)
    expected = capacity(model, *lengths, concurrency=users)
    assert throughput(finished, 10, 140) == pytest.approx(expected.requests_per_s, rel=0.04)
    assert expected.output_tokens_per_s == pytest.approx(expected.requests_per_s * lengths[1])


def test_static_batching_agrees_with_the_closed_form_beside_the_time_to_gather() -> None:
    finished = closed_loop(STATIC, 8, 220.0, lambda _: (100, 100), think_s=0.001)
    expected = capacity(STATIC, 100, 100, concurrency=8)
    assert throughput(finished, 20, 220) == pytest.approx(expected.requests_per_s, rel=0.05)


def test_more_users_than_the_batch_holds_add_nothing() -> None:
    assert capacity(CONTINUOUS, 100, 100, 8) == capacity(CONTINUOUS, 100, 100, 800) == capacity(CONTINUOUS, 100, 100)


# users: requests a minute, TPOT in ms by (E2E − TTFT) / 149, TTFT p50 in s. From the published table of
# Llama-3-8B on inf2.xlarge with TGI; TPOT worked out from its own figures.
PUBLISHED_INF2 = {1: (6.4, 55.3, 1.001), 2: (11.45, 58.9, 1.419), 4: (18.81, 56.6, 3.733), 8: (27.78, 60.4, 7.539)}


@pytest.mark.parametrize("users", PUBLISHED_INF2)
def test_inf2_profile_reproduces_the_published_table(users: int) -> None:
    model = PROFILES["llama3-8b-inf2.xlarge"].model
    assert model is not None
    finished = closed_loop(model, users, 700.0, lambda _: (550, 150))
    per_minute, tpot_ms, ttft_s = PUBLISHED_INF2[users]
    assert throughput(finished, 30, 700) * 60 == pytest.approx(per_minute, rel=0.05)
    assert statistics.median(one.tpot_s for one in finished) * 1000 == pytest.approx(tpot_ms, rel=0.05)
    assert statistics.median(one.ttft_s for one in finished) == pytest.approx(ttft_s, rel=0.08)


def test_beyond_its_batch_the_inf2_profile_queues_and_gains_nothing() -> None:
    model = PROFILES["llama3-8b-inf2.xlarge"].model
    assert model is not None
    eight, sixteen = (closed_loop(model, users, 500.0, lambda _: (550, 150)) for users in (8, 16))
    assert throughput(sixteen, 100, 500) == pytest.approx(throughput(eight, 100, 500), rel=0.05)
    assert min(one.ttft_s for one in sixteen if one.started_s > 100) > 2 * min(
        one.ttft_s for one in eight if one.started_s > 100)


def test_refused_users_come_back_and_take_nothing_from_the_others() -> None:
    refusing = replace(CONTINUOUS, max_waiting=0)
    eight, sixteen = (throughput(closed_loop(refusing, users, 100.0, lambda _: (200, 60)), 10, 100)
                      for users in (8, 16))
    assert sixteen == pytest.approx(eight, rel=0.06)


# tokens in, tokens out (without the begin mark that the report counts), users: E2E in s
PUBLISHED_G5 = [((837, 39, 1), 1.68), ((837, 42, 1), 1.78), ((837, 42, 2), 2.12), ((284, 24, 2), 1.18)]


@pytest.mark.parametrize(("case", "e2e_s"), PUBLISHED_G5)
def test_g5_4xlarge_profile_reproduces_the_published_latencies(case: tuple[int, int, int], e2e_s: float) -> None:
    model = PROFILES["llama3.1-8b-g5.4xlarge"].model
    assert model is not None
    tokens_in, tokens_out, users = case
    finished = closed_loop(model, users, 60.0, lambda _: (tokens_in, tokens_out))
    assert statistics.median(one.e2e_s for one in finished) == pytest.approx(e2e_s, rel=0.06)


# users: E2E p50 in s (150 tokens ÷ the published throughput of one request); TPOT in ms as above.
PUBLISHED_YI = {1: (7.19, 44.3), 2: (8.04, 49.6), 4: (9.37, 49.3), 8: (12.13, 62.3), 16: (17.66, 66.9)}


@pytest.mark.parametrize("users", PUBLISHED_YI)
def test_yi_profile_reproduces_the_published_results(users: int) -> None:
    model = PROFILES["yi-34b-4xa10g-tgi"].model
    assert model is not None
    finished = closed_loop(model, users, 200.0, lambda _: (550, 150))
    e2e_s, tpot_ms = PUBLISHED_YI[users]
    assert statistics.median(one.e2e_s for one in finished) == pytest.approx(e2e_s, rel=0.05)
    assert statistics.median(one.tpot_s for one in finished) * 1000 == pytest.approx(tpot_ms, rel=0.13)


def test_every_profile_names_its_source() -> None:
    assert all(profile.source and profile.name == name for name, profile in PROFILES.items())
