"""Settings of an engine over a profile's, and copies behind one address."""

from __future__ import annotations

import pytest

from fmload.base.errors import FmloadError
from fmload.emulator.copies import Copies
from fmload.emulator.engine import Job, SteadyEngine
from fmload.emulator.engine_settings import changed
from fmload.emulator.profiles import PROFILES

VLLM, TGI = PROFILES["llama3-8b-g5.xlarge"], PROFILES["llama3-8b-inf2.xlarge"]


@pytest.mark.parametrize("text, key, value", [
    ("max_num_seqs=7", "max_batch", 7), ("max_num_batched_tokens=300", "prefill_chunk_tokens", 300),
    ("kv_blocks=100", "kv_tokens", 1600), ("chunked_prefill=off", "prefill_chunk_tokens", None),
    ("max_num_batched_tokens=300,chunked_prefill=off", "prefill_chunk_tokens", None),
    ("chunked_prefill=on,max_num_batched_tokens=300", "prefill_chunk_tokens", 300), ("", "max_batch", 64),
])
def test_settings_stand_over_the_profiles(text: str, key: str, value: int | None) -> None:
    assert getattr(changed(VLLM, text).model, key) == value


def test_chunked_prefill_alone_takes_the_profiles_tokens_or_2048() -> None:
    assert changed(VLLM, "chunked_prefill=on").model == VLLM.model
    model = changed(TGI, "chunked_prefill=on").model
    assert model is not None and model.prefill_chunk_tokens == 2048


@pytest.mark.parametrize("text, told", [
    ("max_num_sequs=7", "did you mean 'max_num_seqs'"), ("max_num_seqs=0", "not a whole number above 0"),
    ("max_num_seqs", "not a whole number above 0"), ("chunked_prefill=maybe", "neither on nor off")])
def test_what_is_no_setting_is_told(text: str, told: str) -> None:
    with pytest.raises(FmloadError, match=told):
        changed(VLLM, text)


def test_a_profile_without_an_engine_has_no_settings() -> None:
    with pytest.raises(FmloadError, match="has no engine"):
        changed(PROFILES["steady"], "max_num_seqs=7")


def copies(count: int) -> Copies:
    return Copies(count, lambda seed: SteadyEngine(0.1, 0.1, seed=seed))


def test_requests_go_to_the_copy_with_the_fewest() -> None:
    engine = copies(3)
    jobs = [Job(1, 5) for _ in range(7)]
    assert all(engine.submit(job, 0) for job in jobs)
    assert sorted(one.running_count for one in engine._engines) == [2, 2, 3] and engine.running_count == 7


def test_a_cancelled_request_leaves_its_copy() -> None:
    engine = copies(2)
    job = Job(1, 5)
    engine.submit(job, 0)
    engine.cancel(job)
    assert engine.running_count == 0
    engine.cancel(job)
    assert engine.running_count == 0


def test_every_token_of_every_copy_comes_when_it_is_due() -> None:
    engine, jobs = copies(2), [Job(1, 3) for _ in range(4)]
    for job in jobs:
        engine.submit(job, 0)
    while (due := engine.due_ns) is not None:
        engine.advance(due)
    assert all(job.finished for job in jobs) and engine.running_count == 0 and engine.preemptions == 0


def test_two_copies_of_a_full_batch_serve_twice_as_much() -> None:
    engine = changed(VLLM, "max_num_seqs=2,copies=2").engine(0)
    for _ in range(5):
        engine.submit(Job(10, 50), 0)
    for _ in range(20):
        assert engine.due_ns is not None
        engine.advance(engine.due_ns)
    assert (engine.running_count, engine.waiting_count) == (4, 1)
