"""The audit against what real servers, clients and people do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from handmade import BASE_NS, MS, request, stage, write

from fmload.model.record import Record
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.verdict.objections import objections
from fmload_analysis.verdict.table import Check, StageResult


def judged(root: Path, records: list[Record], *, window_ms: int = 10_000, concurrency: int = 1,
           spec: dict[str, Any] | None = None, **columns: Any) -> StageResult:
    write(root, [stage(window_ms=window_ms, concurrency=concurrency, **columns)], records, spec=spec)
    return analyse_run(open_run(root)).results[0]


def check(result: StageResult, name: str) -> Check:
    return next(one for one in result.checks if one.name == name)


def streams(count: int = 20, chunks: int = 10, every_ms: int = 500, **columns: Any) -> list[Record]:
    """Requests one after another, chunks of 20 ms from 40 ms on."""
    return [request(f"r{k}", every_ms * k, [every_ms * k + 40 + 20 * n for n in range(chunks)], **columns)
            for k in range(count)]


def test_fewer_tokens_than_chunks_with_text_fail(tmp_path: Path) -> None:
    found = check(judged(tmp_path, streams(chunks=100, every_ms=3000, count=3, output_tokens=1)), "counts can be true")
    assert found.result == "FAIL"
    assert "3 have fewer tokens than chunks" in found.sentence


def test_a_count_that_was_put_right_is_told_in_the_readers_words(tmp_path: Path) -> None:
    found = check(judged(tmp_path, streams(remark="reasoning tokens are told beside the output tokens")),
                  "counts can be true")
    assert (found.result, "reasoning tokens are told beside" in found.sentence) == ("WARN", True)


def test_itl_of_unknown_chunks_is_blank_and_no_warning(tmp_path: Path) -> None:
    result = judged(tmp_path, streams(output_tokens=40, chunk_tokens_known=False))
    found = check(result, "tokens a chunk")
    assert (found.result, result.value("itl_p50"), result.value("icl_p50")) == ("PASS", None, pytest.approx(0.020))
    assert "ITL is blank" in found.sentence


@pytest.mark.parametrize(("failing", "verdict"), [(0, "PASS"), (4, "WARN"), (40, "FAIL")])
def test_errors_of_a_stage_are_a_check_of_their_own(tmp_path: Path, failing: int, verdict: str) -> None:
    records = streams(100, every_ms=100, chunks=2)
    for record in records[:failing]:
        record.outcome = "http_5xx"
    assert check(judged(tmp_path, records), "requests succeed").result == verdict


@pytest.mark.parametrize(("outcome", "status", "verdict"), [
    ("throttled", 429, "WARN"), ("http_5xx", 503, "WARN"), ("http_5xx", 529, "WARN"),
    ("timeout_first_token", 200, "WARN"),
    ("http_5xx", 500, "FAIL"), ("stream_error", 200, "FAIL"), ("connect", None, "FAIL"), ("truncated", 200, "FAIL")])
def test_a_server_that_turns_requests_away_is_overloaded_and_what_was_measured_is_no_less_true(
        tmp_path: Path, outcome: Any, status: int | None, verdict: str) -> None:
    records = streams(100, every_ms=100, chunks=2)
    for record in records[:60]:
        record.outcome, record.status = outcome, status
    result = judged(tmp_path, records)
    found = check(result, "requests succeed")
    assert found.result == verdict
    assert ("overloaded" in found.sentence) == (verdict == "WARN")
    assert "60 % errors" in objections(result)  # and it is never recommended


def test_answers_cut_below_the_length_asked_for_are_told_with_their_lengths_and_are_no_fail(tmp_path: Path) -> None:
    """A context that is full ends every answer early, and every figure is right."""
    records = streams(20, finish_reason="length", max_output_tokens=50)
    found = check(judged(tmp_path, records), "answers end by themselves or at the length asked for")
    assert found.result == "WARN"
    assert "20 were cut off at a length below the one asked for, 10 tokens on average of 50" in found.sentence


def test_blocked_aborted_and_cut_answers_are_told(tmp_path: Path) -> None:
    records = streams(100, every_ms=100, chunks=2, max_output_tokens=50)
    records[0].outcome, records[0].finish_reason = "blocked", "content_filter"
    records[1].outcome, records[1].finish_reason = "stream_error", "abort"
    records[2].finish_reason = "length"
    found = check(judged(tmp_path, records), "answers end by themselves or at the length asked for")
    assert found.result == "WARN"
    assert {"blocked": 1, "aborted": 1, "cut_short": 1}.items() <= found.figures.items()


def test_answers_without_a_reason_are_told_where_others_have_one(tmp_path: Path) -> None:
    name = "answers end by themselves or at the length asked for"
    records = streams(100, every_ms=100, finish_reason="stop")
    for record in records[:3]:
        record.finish_reason = None
    found = check(judged(tmp_path / "some", records), name)
    assert found.result == "WARN" and "3 ended with no reason, where others tell one" in found.sentence
    none = judged(tmp_path / "none", streams(100, every_ms=100, finish_reason=None))
    assert not [each for each in none.checks if each.name == name]


def test_half_of_the_answers_blocked_fail_and_are_errors(tmp_path: Path) -> None:
    records = streams(20)
    for record in records[::2]:
        record.outcome, record.finish_reason = "blocked", "guardrail_intervened"
    result = judged(tmp_path, records)
    assert result.value("error_rate") == 0.5
    assert check(result, "answers end by themselves or at the length asked for").result == "FAIL"


def test_answers_as_long_as_asked_that_end_at_the_limit_are_well(tmp_path: Path) -> None:
    records = streams(20, max_output_tokens=10, finish_reason="length")
    found = check(judged(tmp_path, records), "answers end by themselves or at the length asked for")
    assert (found.result, found.figures["cut_short"]) == ("PASS", 0)


def test_users_in_step_are_told_and_users_out_of_step_are_not(tmp_path: Path) -> None:
    herd = [request(f"h{k}.{user}", 500 * k + user, [500 * k + 300 + user]) for k in range(20) for user in range(8)]
    spread = [request(f"s{k}.{user}", 500 * k + 62 * user, [500 * k + 62 * user + 490])
              for k in range(20) for user in range(8)]
    assert check(judged(tmp_path / "herd", herd, concurrency=8), "users out of step").result == "WARN"
    assert check(judged(tmp_path / "spread", spread, concurrency=8), "users out of step").result == "PASS"


@pytest.mark.parametrize(("stopped_ms", "window_ms", "verdict"), [
    (0, 10_000, "PASS"), (1000, 20_000, "WARN"), (3000, 10_000, "FAIL")])
def test_a_stall_of_all_streams_is_found_with_its_instant_and_length(
        tmp_path: Path, stopped_ms: int, window_ms: int, verdict: str) -> None:
    """Four streams that send a chunk every 20 ms, and nothing from 4.4 s on for so long."""
    def at(ms: float) -> float:
        return ms if ms < 4400 else ms + stopped_ms

    records = [request(f"r{user}.{k}", at(1000 * k + 10 * user),
                       [at(1000 * k + 10 * user + 100 + 20 * n) for n in range(40)])
               for user in range(4) for k in range(window_ms // 1000 - stopped_ms // 1000)]
    found = check(judged(tmp_path, records, window_ms=window_ms, concurrency=4), "no stall of all streams")
    assert found.result == verdict
    if stopped_ms:
        (begun_s, length_s), = found.figures["stalls"]
        assert (begun_s, length_s) == (pytest.approx(4.4, abs=0.1), pytest.approx(stopped_ms / 1000, abs=0.2))


def test_one_user_waiting_for_its_first_token_is_no_stall(tmp_path: Path) -> None:
    records = [request(f"r{k}", 2000 * k, [2000 * k + 1500 + 20 * n for n in range(20)]) for k in range(5)]
    assert check(judged(tmp_path, records), "no stall of all streams").result == "PASS"


@pytest.mark.parametrize(("lag_ms", "verdict", "bound"), [(0, "WARN", False), (80, "FAIL", True)])
def test_first_tokens_in_late_reads_bound_ttft_and_tpot(
        tmp_path: Path, lag_ms: int, verdict: str, bound: bool) -> None:
    """Tokens at 40, 60, 80 and 100 ms; the first three came in one read at 80 ms. The headers came at 30 ms."""
    records = [request(f"r{k}", 500 * k, [500 * k + 80, 500 * k + 80, 500 * k + 80, 500 * k + 100],
                       censored=[1, 1, 0, 0], lag_max_ns=lag_ms * MS, headers_ns=BASE_NS + (500 * k + 30) * MS)
               for k in range(20)]
    result = judged(tmp_path, records)
    found = check(result, "first tokens in reads of their own")
    assert (found.result, found.client_bound, "client-late" in found.sentence) == (verdict, bound, True)
    ttft, tpot = result.summary.distributions["ttft"], result.summary.distributions["tpot"]
    assert ttft.low is not None and tpot.high is not None
    assert (ttft.low[50.0], ttft.percentiles[50.0]) == (pytest.approx(0.030), pytest.approx(0.080))
    assert (tpot.percentiles[50.0], tpot.high[50.0]) == (pytest.approx(0.020 / 3), pytest.approx(0.070 / 3))


def test_an_audit_names_what_it_did_not_check(tmp_path: Path) -> None:
    told = {one.name: one.sentence for one in judged(tmp_path, streams()).checks if one.result == "NOT APPLICABLE"}
    assert "no collector" in told["server's counters = ours"]
    assert "server's times = ours" in told


def test_the_servers_own_figures_are_those_of_the_window_alone(tmp_path: Path) -> None:
    """Before the window the server was ten times as slow; its answers tell so."""
    slow = [request(f"w{k}", -1000 + 100 * k, [-1000 + 100 * k + 40 + 20 * n for n in range(3)],
                    detail=json.dumps({"timings": {"predicted_n": 3, "predicted_ms": 400}})) for k in range(9)]
    fast = streams(chunks=3, detail=json.dumps({"timings": {"predicted_n": 3, "predicted_ms": 40}}))
    assert check(judged(tmp_path, slow + fast), "server's times = ours").result == "PASS"


def test_two_answers_to_a_request_are_counted_by_answer(tmp_path: Path) -> None:
    """n: 2, eight tokens each of at most eight, one chunk a token."""
    records = [request(f"r{k}", 500 * k, [500 * k + 40 + 20 * (n // 2) for n in range(16)], choices=2,
                       max_output_tokens=8, output_tokens=16) for k in range(20)]
    result = judged(tmp_path, records)
    assert check(result, "output ≤ max_tokens").result == "PASS"
    assert result.value("tpot_p50") == pytest.approx(0.020)
    assert result.value("itl_p50") is None


def test_silences_as_long_as_a_first_token_takes_are_the_reading_of_prompts_and_no_fail(tmp_path: Path) -> None:
    """Two streams side by side; each new prompt takes 600 ms and holds up the other's tokens meanwhile."""
    records = [request(f"{k}{user}", at, [at + 600 + 20 * n for n in range(10)] + [
        at + 1400 + 20 * n for n in range(10)]) for k in range(6) for user in range(2)
        for at in [1600 * k + 800 * user]]
    found = check(judged(tmp_path, records, window_ms=10_000, concurrency=2), "no stall of all streams")
    assert found.result == "WARN" and found.figures["share"] > 0.3
    assert found.figures["by_prompts"] == len(found.figures["stalls"]) > 5


def test_a_stall_is_none_of_a_prompts_however_long_first_tokens_take(tmp_path: Path) -> None:
    """First tokens take 4 s in a queue, answers go on side by side, and for 3 s nothing comes of any of them."""
    def at(ms: float) -> float:
        return ms if ms < 9000 else ms + 3000

    records = [request(f"r{k}", at(250 * k), [at(250 * k + 4000 + 20 * n) for n in range(100)]) for k in range(-20, 40)]
    found = check(judged(tmp_path, records, window_ms=15_000, concurrency=24), "no stall of all streams")
    assert (found.result, found.figures["by_prompts"]) == ("FAIL", 0)
    (begun_s, length_s), = found.figures["stalls"]
    assert (begun_s, length_s) == (pytest.approx(9, abs=0.1), pytest.approx(3, abs=0.1))
