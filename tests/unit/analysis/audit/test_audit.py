"""The audit: what it must find in requests made by hand, and what it must let pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import BASE_NS, back_to_back, health, request, stage, write

from fmload.model.outcome import SENT_AGAIN
from fmload.model.record import Record
from fmload_analysis.audit.audit import GROUPS
from fmload_analysis.audit.checks.tokens import server_counters
from fmload_analysis.audit.facts import Facts
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage.telemetry import ServerView
from fmload_analysis.verdict.table import StageResult

NS_A_SECOND = 1_000_000_000


def judged(tmp_path: Path, records: list[Record], *, window_ms: int = 20_000,
           health: list[dict[str, Any]] | None = None, **columns: Any) -> StageResult:
    write(tmp_path, [stage(window_ms=window_ms, **columns)], records, health=health or [])
    return analyse_run(open_run(tmp_path)).results[0]


def result_of(judgement: StageResult, name: str) -> str:
    return next(check.result for check in judgement.checks if check.name == name)


def test_a_clean_stage_passes_every_group(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back())
    assert found.audit == "PASS", [check for check in found.checks if check.result != "PASS"]
    assert {check.group for check in found.checks} == set(GROUPS)


def test_long_requests_at_the_edges_of_the_window_are_no_contradiction(tmp_path: Path) -> None:
    """Answers of very different lengths: those under way when the window closes are the long ones."""
    long = [request(f"long{i}", 12_000, [12_000 + 100 * k for k in range(200)]) for i in range(5)]
    found = judged(tmp_path, [*back_to_back(), *long], concurrency=6)
    assert result_of(found, "concurrency = throughput × time in flight") == "PASS"
    assert result_of(found, "tokens by arrival = tokens by request") == "PASS"


def test_a_group_without_data_is_not_applicable(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back(stamp="user"))
    assert [check.result for check in found.checks if check.group == 5] == ["NOT APPLICABLE"]


@pytest.mark.parametrize(("again", "result"), [(1, "PASS"), (20, "WARN")])
def test_requests_that_were_sent_twice_are_told(tmp_path: Path, again: int, result: str) -> None:
    records = back_to_back(remark="a count of 0")[:2] + back_to_back()[2:]
    for record in records[3:3 + again]:
        record.remark = SENT_AGAIN
    records[3].remark = f"another; {SENT_AGAIN}"
    found = judged(tmp_path, records)
    check = next(check for check in found.checks if check.name == "requests are sent once")
    assert check.result == result and f"{again} of " in check.sentence and check.figures == {"sent_again": again}
    counts = next(check for check in found.checks if check.name == "counts can be true")
    assert "3 counts were strange: a count of 0 (2)" in counts.sentence


def test_load_that_was_not_reached_fails(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back(users=2), window_ms=10_000, concurrency=8)
    assert result_of(found, "achieved = offered") == "FAIL"


def test_output_longer_than_max_tokens_fails_and_is_named_an_echo_when_as_long_as_its_prompt(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back(output_tokens=12, input_tokens=10, max_output_tokens=8))
    check = next(check for check in found.checks if check.name == "output ≤ max_tokens")
    assert check.result == "FAIL"
    assert "echoed" in check.sentence


def test_outputs_that_grow_with_their_prompts_are_suspected_to_be_echoes(tmp_path: Path) -> None:
    records = back_to_back()
    for i, record in enumerate(records):
        record.input_tokens = 100 + i
        record.output_tokens = 100 + i + 20 + i % 7
    assert result_of(judged(tmp_path / "a", records), "output is no echo") == "WARN"
    for i, record in enumerate(records):
        record.output_tokens = 400 + 37 * i % 101
    assert result_of(judged(tmp_path / "b", records), "output is no echo") == "PASS"


def test_tokens_of_broken_streams_agree_with_their_arrival(tmp_path: Path) -> None:
    records = back_to_back()
    for record in records[::2]:
        record.outcome, record.output_tokens = "truncated", None
    assert result_of(judged(tmp_path, records), "tokens by arrival = tokens by request") == "PASS"


def test_a_warm_up_that_reaches_into_the_window_warns(tmp_path: Path) -> None:
    slow = [request(f"a{i}", i * 200, [i * 200 + 100, i * 200 + 200]) for i in range(25)]
    fast = [request(f"b{i}", 5_000 + i * 100, [5_000 + i * 100 + 50, 5_000 + i * 100 + 100]) for i in range(150)]
    check = next(check for check in judged(tmp_path, slow + fast).checks if check.name == "warmed up")
    assert check.result == "WARN"
    assert 4 < check.figures["settled_s"] <= 6


def test_a_stream_whose_tokens_all_arrive_at_once_fails(tmp_path: Path) -> None:
    records = [request(f"r{i}", i * 100, [i * 100 + 99.5, i * 100 + 99.6, i * 100 + 99.7, i * 100 + 100])
               for i in range(200)]
    assert result_of(judged(tmp_path, records), "streams are streamed") == "FAIL"


def test_counts_of_another_tokenizer_warn(tmp_path: Path) -> None:
    records = back_to_back(prompt_tokens=10, input_tokens=14)
    for record in records[::3]:
        record.input_tokens = 13
    assert result_of(judged(tmp_path, records), "server's token count = tokenizer's") == "WARN"


def test_the_same_tokens_more_with_every_prompt_are_a_chat_template(tmp_path: Path) -> None:
    found = judged(tmp_path / "a", back_to_back(prompt_tokens=10, input_tokens=17))
    check = next(check for check in found.checks if check.name == "server's token count = tokenizer's")
    assert check.result == "PASS" and "7 more with every one, as a chat template adds" in check.sentence
    same = back_to_back(prompt_tokens=10, input_tokens=17, prompt_id="p")  # one prompt tells nothing
    assert result_of(judged(tmp_path / "b", same), "server's token count = tokenizer's") == "WARN"


def test_chunks_of_several_tokens_are_told_and_no_fault(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back(output_tokens=8, chunk_tokens_known=False))
    told = next(check for check in found.checks if check.name == "tokens a chunk")
    assert (told.result, told.figures["tokens_per_chunk"]) == ("PASS", 2.0)


def test_chunks_as_the_source_of_counts_warn(tmp_path: Path) -> None:
    assert result_of(judged(tmp_path, back_to_back(tokens_source="chunks")), "source of the token counts") == "WARN"


def test_impossible_instants_fail(tmp_path: Path) -> None:
    records = back_to_back()
    for record in records:
        record.first_token_ns, record.last_token_ns = record.last_token_ns, record.first_token_ns
    assert result_of(judged(tmp_path, records), "TTFT ≤ E2E, TTFT + TPOT × (N − n₁) = E2E") == "FAIL"


def test_a_drift_within_the_window_fails_when_large(tmp_path: Path) -> None:
    first = [request(f"a{i}", i * 100, [i * 100 + 25, i * 100 + 50, i * 100 + 100]) for i in range(100)]
    second = [request(f"b{i}", 10_000 + i * 200, [10_000 + i * 200 + 50, 10_000 + i * 200 + 200]) for i in range(50)]
    assert result_of(judged(tmp_path, first + second), "no drift") == "FAIL"


def test_cached_input_tokens_warn(tmp_path: Path) -> None:
    assert result_of(judged(tmp_path, back_to_back(cached_tokens=5)), "cached input tokens") == "WARN"


def test_users_of_a_scenario_are_told_and_not_judged_by_their_requests_in_flight(tmp_path: Path) -> None:
    write(tmp_path, [stage(window_ms=20_000, concurrency=9)], back_to_back(),
          spec={"prompts": [{"name": "p", "source": "scenario"}]})
    found = next(check for check in analyse_run(open_run(tmp_path)).results[0].checks
                 if check.name == "achieved = offered")
    assert found.result == "PASS" and found.sentence.startswith("9 users with a scenario")


def test_a_cache_of_served_answers_is_no_reproach_and_said_to_be_of_them(tmp_path: Path) -> None:
    write(tmp_path, [stage(window_ms=20_000)], back_to_back(cached_tokens=5),
          spec={"prompts": [{"name": "p", "source": "conversation", "answers": "served"}]})
    found = next(check for check in analyse_run(open_run(tmp_path)).results[0].checks
                 if check.name == "cached input tokens")
    assert found.result == "PASS" and "what the server really said" in found.sentence


@pytest.mark.parametrize(("source", "result", "words"), [
    ("synthetic", "WARN", "those of a warm cache"), ("shared_prefix", "PASS", "share their prefixes on purpose"),
    ("conversation", "PASS", "earlier answers that are made up"), ("sharegpt", "PASS", "the answers of the data set")])
def test_a_cache_that_the_prompts_are_made_for_is_no_reproach(tmp_path: Path, source: str, result: str,
                                                              words: str) -> None:
    write(tmp_path, [stage(window_ms=20_000)], back_to_back(cached_tokens=5),
          spec={"prompts": [{"name": "p", "source": source}]})
    [found] = [check for check in analyse_run(open_run(tmp_path)).results[0].checks
               if check.name == "cached input tokens"]
    assert found.result == result and words in found.sentence


def test_a_worker_out_of_cpu_makes_the_stage_client_bound(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back(), health=health(cpu=0.99))
    assert found.client_bound
    assert found.audit == "FAIL"


@pytest.mark.parametrize(("host_cpu", "result"), [(0.9, "PASS"), (0.97, "WARN")])
def test_a_host_without_a_core_to_spare_is_a_warning_though_the_workers_are_idle(tmp_path: Path, host_cpu: float,
                                                                                result: str) -> None:
    found = judged(tmp_path, back_to_back(), health=health(host_cpu=host_cpu))
    assert result_of(found, "client host's CPU") == result
    assert not found.client_bound


def test_loop_lag_against_the_latency_makes_user_stamps_client_bound(tmp_path: Path) -> None:
    assert judged(tmp_path / "a", back_to_back(stamp="user"), health=health(lag_ms=20)).client_bound
    assert not judged(tmp_path / "b", back_to_back(), health=health(lag_ms=20)).client_bound


def test_health_outside_the_window_does_not_count(tmp_path: Path) -> None:
    lines = [{**line, "at_ns": line["at_ns"] + 60 * NS_A_SECOND} for line in health(cpu=0.99)]
    assert not judged(tmp_path, back_to_back(), health=lines).client_bound


def test_late_sends_fail_in_an_open_loop_and_warn_in_a_closed_one(tmp_path: Path) -> None:
    records = back_to_back(late_ms=200)
    assert result_of(judged(tmp_path / "a", records), "sends on schedule") == "WARN"
    rate = {"kind": "rate", "value": 10}
    assert result_of(judged(tmp_path / "b", records, load=rate), "sends on schedule") == "FAIL"


def test_one_late_send_of_a_few_is_no_failure(tmp_path: Path) -> None:
    records = [*back_to_back(59, late_ms=0), request("late", 5900, [5925, 6000], late_ms=200)]
    found = judged(tmp_path, records, window_ms=6_000, load={"kind": "rate", "value": 10})
    assert result_of(found, "sends on schedule") == "WARN"


def test_a_lost_worker_is_told(tmp_path: Path) -> None:
    found = judged(tmp_path, back_to_back(), marks=[{"kind": "worker_lost", "at_ns": BASE_NS, "worker": "w0"}])
    check = next(check for check in found.checks if check.name == "undisturbed")
    assert check.result == "WARN"
    assert "worker_lost" in check.sentence


def test_an_interrupted_stage_fails(tmp_path: Path) -> None:
    assert result_of(judged(tmp_path, back_to_back(), status="interrupted"), "undisturbed") == "FAIL"


def test_a_stage_without_requests_fails(tmp_path: Path) -> None:
    assert judged(tmp_path, []).audit == "FAIL"


@pytest.mark.parametrize(("server", "result"), [(40.0, "PASS"), (45.0, "WARN"), (80.0, "FAIL")])
def test_the_servers_own_counters_are_compared_where_there_are_any(tmp_path: Path, server: float, result: str) -> None:
    found = judged(tmp_path, back_to_back())
    told = ServerView(tokens={"output_tokens_per_s": server})
    check = server_counters(Facts(found.value, found.summary, server=told))
    assert check is not None
    assert check.result == result
