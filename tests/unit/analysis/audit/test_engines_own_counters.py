"""Engines' own counters beside our figures, as vLLM and llama.cpp really define them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from handmade import BASE_NS, request, stage, write

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import Check

SPEC = {"endpoints": [{"name": "a"}], "telemetry": [{"name": "s", "collector": "prometheus", "endpoint": "a"}]}
NAMES = {"counters": "server's counters = ours", "times": "server's times = ours"}


def judged(root: Path, records: list[Record], grown: dict[str, float], window_ms: int = 10_000) -> dict[str, Check]:
    """The two checks against the server, whose counters grew so over the window."""
    results = write(root, [stage(window_ms=window_ms)], records, spec=SPEC)
    rows = [("s", name, "{}", BASE_NS + at_ms * 1_000_000, 50.0 + value) for name, total in grown.items()
            for at_ms, value in ((0, 0.0), (window_ms, total))]
    pd.DataFrame(rows, columns=["source", "metric", "labels", "at_ns", "value"]).to_parquet(results.telemetry_parquet)
    checks = {check.name: check for check in analyse_run(open_run(root)).results[0].checks}
    return {key: checks[name] for key, name in NAMES.items()}


def answers(count: int = 20, tokens: int = 10, every_ms: int = 500, **columns: Any) -> list[Record]:
    """Requests one after another, a token each 20 ms from 40 ms on."""
    return [request(f"r{k}", every_ms * k, [every_ms * k + 40 + 20 * n for n in range(tokens)], **columns)
            for k in range(count)]


@pytest.mark.parametrize(("told_ms", "verdict"), [(20.0, "PASS"), (22.0, "WARN"), (30.0, "FAIL"), (5.0, "FAIL")])
def test_vllms_time_per_output_token_of_requests_is_laid_beside_tpot(
        tmp_path: Path, told_ms: float, verdict: str) -> None:
    """A mean over requests: each tells its own (e2e − ttft) ÷ (tokens − 1)."""
    found = judged(tmp_path, answers(), {"vllm:request_time_per_output_token_seconds_sum": 20 * told_ms / 1e3,
                                         "vllm:request_time_per_output_token_seconds_count": 20.0})["times"]
    assert found.result == verdict
    assert found.figures["tpot_mean"] == {"ours": pytest.approx(0.020), "server": pytest.approx(told_ms / 1e3)}


def test_with_stream_interval_4_an_itl_four_times_the_servers_is_never_published_beside_a_pass(tmp_path: Path) -> None:
    """Four tokens a chunk: where the chunks' tokens are not known there is no ITL to compare; TPOT agrees."""
    records = [request(f"r{k}", 500 * k, [500 * k + 40 + 20 * n for n in range(10)], tokens=[1] * 10, output_tokens=37,
                       chunk_tokens_known=False) for k in range(20)]
    told = {"vllm:inter_token_latency_seconds_sum": 20 * 36 * 0.005,
            "vllm:inter_token_latency_seconds_count": 20 * 36.0,
            "vllm:request_time_per_output_token_seconds_sum": 20 * 0.005,
            "vllm:request_time_per_output_token_seconds_count": 20.0}
    found = judged(tmp_path / "unknown", records, told)["times"]
    assert found.result == "PASS" and set(found.figures) == {"tpot_mean"}
    for record in records:  # as if each chunk were known to be one token
        record.chunk_tokens_known, record.output_tokens = True, 10
    assert judged(tmp_path / "wrong", records, told)["times"].result == "FAIL"


def test_llama_cpps_mean_is_over_all_tokens_the_first_included(tmp_path: Path) -> None:
    """Ten tokens in nine gaps of 20 ms: it tells 18 ms a token. Our ITL of 20 ms is no contradiction."""
    told = {"llamacpp:tokens_predicted_seconds_total": 20 * 9 * 0.020, "llamacpp:tokens_predicted_total": 200.0}
    found = judged(tmp_path / "right", answers(), told)["times"]
    assert found.result == "PASS"
    assert found.figures["decode_s_per_token"] == {"ours": pytest.approx(0.018), "server": pytest.approx(0.018)}
    slower = {**told, "llamacpp:tokens_predicted_seconds_total": 20 * 9 * 0.030}
    assert judged(tmp_path / "wrong", answers(), slower)["times"].result == "FAIL"


def test_llama_cpp_counts_tokens_as_requests_end_and_what_is_under_way_is_no_difference(tmp_path: Path) -> None:
    """Long answers across the window's edges: 200 tokens arrived in it, of requests that ended in it are 160."""
    records = [request(f"r{k}", 1000 * k - 500, [1000 * k - 500 + 40 + 45 * n for n in range(20)]) for k in range(11)]
    ended = sum(len(record.chunk_ns) for record in records if BASE_NS <= (record.end_ns or 0) < BASE_NS + 10**10)
    told = {"llamacpp:tokens_predicted_total": float(ended)}
    found = judged(tmp_path / "right", records, told)["counters"]
    assert found.result == "PASS", found
    assert judged(tmp_path / "wrong", records, {"llamacpp:tokens_predicted_total": 2.0 * ended})["counters"].result in (
        "WARN", "FAIL")


def test_requests_given_up_on_purpose_make_the_servers_tokens_not_checkable(tmp_path: Path) -> None:
    """`load.cancel`: the server's counters hold the tokens of those, too, and its abort counter may stay at 0."""
    records = answers(20)
    for record in records[::3]:
        record.outcome, record.output_tokens = "cancelled", 3
    kept = [record for record in records if record.outcome == "ok"]
    told = {"vllm:prompt_tokens_total": 20 * 82.0, "vllm:generation_tokens_total": 200.0,
            "vllm:request_success_total": float(len(kept))}
    found = judged(tmp_path, records, told)["counters"]
    assert (found.result, found.figures) == ("NOT APPLICABLE", {"given_up": 7})
    assert "not checkable" in found.sentence


def test_vllm_counts_each_of_two_answers_as_a_request_and_that_is_no_contradiction(tmp_path: Path) -> None:
    """`n: 2`, ten tokens an answer: 20 requests here, 40 by the server, the prompt's tokens once a request."""
    records = [request(f"r{k}", 500 * k, [500 * k + 40 + 20 * (n // 2) for n in range(20)], choices=2,
                       output_tokens=20) for k in range(20)]
    told = {"vllm:prompt_tokens_total": 20 * 61.0, "vllm:generation_tokens_total": 400.0,
            "vllm:request_success_total": 40.0}
    found = judged(tmp_path / "right", records, told)["counters"]
    assert found.result == "PASS" and set(found.figures) == {"output_tokens_per_s"}
    wrong = {**told, "vllm:generation_tokens_total": 200.0}
    assert judged(tmp_path / "wrong", records, wrong)["counters"].result == "FAIL"


def test_vllm_counts_each_text_of_a_batch_as_a_request_and_that_is_no_contradiction(tmp_path: Path) -> None:
    """Eight texts a request: 20 requests here, 160 by the server."""
    records = [request(f"r{k}", 500 * k, end_ms=500 * k + 40, streamed=False, inputs=8, input_tokens=80,
                       last_token_ns=BASE_NS + (500 * k + 40) * 1_000_000) for k in range(20)]
    told = {"vllm:prompt_tokens_total": 20 * 80.0, "vllm:request_success_total": 160.0}
    found = judged(tmp_path, records, told)["counters"]
    assert (found.result, found.figures) == ("NOT APPLICABLE", {}) and "each text" in found.sentence
    checks = {check.name: check for check in analyse_run(open_run(tmp_path)).results[0].checks}
    assert checks["no request without a record"].result != "FAIL"
