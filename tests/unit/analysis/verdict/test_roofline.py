"""The estimate of how much of an instance was used, by numbers that are worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fmload.base.resources import table
from fmload_analysis.verdict.roofline import Load, roofline

MODEL = "meta-llama/Llama-3.1-8B-Instruct"  # 8.03 billion parameters, 15 GiB, 32 layers × 8 heads × 128
LOAD = Load(output_tokens_per_s=400, tpot_s=0.04, input_tokens_per_s=2000, input_tokens_mean=900,
            output_tokens_mean=200)


def test_a_decoding_step_reads_the_weights_once_and_the_cache_of_every_request() -> None:
    found = roofline(MODEL, "g5.2xlarge", LOAD)
    assert found is not None and found.batch == pytest.approx(16)
    kv = 2 * 32 * 8 * 128 * 2 * 1000  # bytes a request, at 900 + 200 / 2 tokens
    assert found.decode_mbu == pytest.approx((15 * 1024**3 + 16 * kv) / 0.04 / 600e9)
    assert 0.7 < found.decode_mbu < 0.8


def test_a_token_costs_two_operations_a_parameter() -> None:
    found = roofline(MODEL, "g5.2xlarge", LOAD)
    assert found is not None
    assert found.decode_mfu == pytest.approx(2 * 8.03e9 * 400 / 70e12)
    assert found.prefill_mfu == pytest.approx(2 * 8.03e9 * 2000 / 70e12)


def test_what_comes_from_the_prefix_cache_is_not_computed() -> None:
    whole, half = (roofline(MODEL, "g5.2xlarge", replace(LOAD, cached_share=share)) for share in (0.0, 0.5))
    assert whole is not None and half is not None and half.prefill_mfu == pytest.approx(whole.prefill_mfu / 2)


def test_more_accelerators_are_used_less() -> None:
    one, four = roofline(MODEL, "g5.2xlarge", LOAD), roofline(MODEL, "ml.g5.12xlarge", LOAD)
    assert one is not None and four is not None and four.accelerators == "4 × A10G"
    assert four.decode_mbu == pytest.approx(one.decode_mbu / 4)


def test_at_the_ridge_bytes_and_operations_take_the_same_time() -> None:
    short = replace(LOAD, input_tokens_mean=50, output_tokens_mean=20)
    found = roofline(MODEL, "g5.2xlarge", short)
    assert found is not None and found.ridge_batch is not None
    kv = 2 * 32 * 8 * 128 * 2 * 60
    assert (15 * 1024**3 + found.ridge_batch * kv) / 600e9 == pytest.approx(2 * 8.03e9 * found.ridge_batch / 70e12)


def test_with_long_contexts_operations_never_bound_decoding() -> None:
    found = roofline(MODEL, "g5.2xlarge", replace(LOAD, input_tokens_mean=20_000))
    assert found is not None and found.ridge_batch is None


def test_a_memory_of_another_size_has_its_own_bandwidth() -> None:
    small, large = roofline(MODEL, "p4d.24xlarge", LOAD), roofline(MODEL, "p4de.24xlarge", LOAD)
    assert small is not None and large is not None
    assert large.decode_mbu / small.decode_mbu == pytest.approx(1555 / 2039)


@pytest.mark.parametrize(("model", "machine"), [
    (None, "g5.2xlarge"), ("my/own", "g5.2xlarge"), (MODEL, None), (MODEL, "m5.large"), (MODEL, "g6f.large"),
    (MODEL, "inf1.xlarge"), ("openai/gpt-oss-20b", "g5.2xlarge")])
def test_what_is_not_known_is_not_estimated(model: str | None, machine: str | None) -> None:
    assert roofline(model, machine, LOAD) is None


def test_where_nothing_was_decoded_nothing_is_estimated() -> None:
    assert roofline(MODEL, "g5.2xlarge", replace(LOAD, tpot_s=0.0)) is None


def test_every_peak_has_its_source_and_is_of_an_accelerator_that_is_in_use() -> None:
    names = {one["name"] for one in table("accelerators.yml")["instances"].values()}
    for name, peak in table("peaks.yml")["accelerators"].items():
        assert peak["source"] and name.partition(" ")[0] in names
        assert 0 < peak["tflops_16bit"] < 10_000 and 0 < peak["bandwidth_gb_s"] < 20_000
