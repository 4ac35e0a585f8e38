"""The server's own figures of a stage, and what the audit makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from fmload_analysis.audit.checks.timing import server_times
from fmload_analysis.audit.checks.tokens import server_counters
from fmload_analysis.audit.facts import Facts
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage.telemetry import ServerView, growth, server_view
from fmload_analysis.verdict.table import Check
from tests import handmade


def _counter(*samples: tuple[str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(samples, columns=["labels", "at_ns", "value"])


def test_a_counter_grows_evenly_between_its_samples() -> None:
    part = _counter(("a", 0, 10.0), ("a", 10, 15.0), ("a", 20, 25.0), ("a", 30, 40.0))
    assert growth(part, 10, 30) == 25.0
    assert growth(part, 12, 29) == pytest.approx(38.5 - 17.0)
    assert growth(part, 12, 40) == pytest.approx(40.0 - 17.0)  # no sample after the end: what is known


def test_label_sets_are_added_up() -> None:
    part = _counter(("stop", 0, 1.0), ("stop", 10, 4.0), ("length", 0, 5.0), ("length", 10, 6.0))
    assert growth(part, 0, 10) == 4.0


def test_a_counter_that_went_down_or_began_late_says_nothing() -> None:
    assert growth(_counter(("a", 0, 10.0), ("a", 10, 3.0)), 0, 10) is None
    assert growth(_counter(("a", 5, 10.0), ("a", 10, 30.0)), 0, 10) is None


def _facts(server: ServerView, **ours: float) -> Facts:
    summary: Any = SimpleNamespace(outcomes={}, evidence=SimpleNamespace(choices=1),
                                   totals=SimpleNamespace(completed_inputs=None))
    return Facts(ours.get, summary, server=server)


@pytest.mark.parametrize(("theirs_s", "result"), [(0.100, "PASS"), (0.115, "PASS"), (0.122, "WARN"), (0.200, "FAIL")])
def test_a_client_cannot_see_a_token_before_the_server_made_it(theirs_s: float, result: str) -> None:
    check = server_times(_facts(ServerView(times_s={"ttft_mean": theirs_s}), ttft_mean=0.110))
    assert check is not None
    assert check.result == result


def test_a_way_of_half_a_second_between_server_and_client_is_a_warning() -> None:
    check = server_times(_facts(ServerView(times_s={"ttft_mean": 0.1}), ttft_mean=0.6))
    assert check is not None
    assert check.result == "WARN"
    assert "+500 ms" in check.sentence


def test_token_counts_of_the_server_that_differ_fail_the_stage() -> None:
    check = server_counters(_facts(ServerView(tokens={"output_tokens_mean": 150.0}), output_tokens_mean=100.0))
    assert check is not None
    assert check.result == "FAIL"


def test_without_telemetry_there_is_no_such_check() -> None:
    assert server_times(_facts(ServerView())) is None
    assert server_counters(_facts(ServerView())) is None


@pytest.mark.parametrize(("finished", "verdict"), [(8.0, "PASS"), (16.0, "FAIL")])
def test_requests_that_we_never_sent_are_told_by_the_servers_count(tmp_path: Path, finished: float,
                                                                   verdict: str) -> None:
    found = _server_check(tmp_path, [("s", {"vllm:request_success_total": finished})])
    assert found is not None and found.result == verdict
    assert "requests_per_s: 8 here" in found.sentence


@pytest.mark.parametrize(("tokens", "verdict"), [(40.0, "PASS"), (80.0, "FAIL")])
def test_tgis_own_counts_of_requests_and_tokens_are_laid_beside_ours(tmp_path: Path, tokens: float,
                                                                     verdict: str) -> None:
    found = _server_check(tmp_path, [("s", {
        "tgi_request_generated_tokens_sum": tokens, "tgi_request_generated_tokens_count": 8.0,
        "tgi_request_success": 8.0})])
    assert found is not None and found.result == verdict
    assert found.figures["output_tokens_mean"] == {"ours": 5.0, "server": tokens / 8}


def test_two_servers_of_one_endpoint_are_added_up_though_their_labels_are_the_same(tmp_path: Path) -> None:
    half = {"vllm:generation_tokens_total": 20.0, "vllm:request_success_total": 4.0}
    found = _server_check(tmp_path, [("s", half), ("t", half)], urls=["http://x/v1", "http://y/v1"])
    assert found is not None and found.result == "PASS"
    assert found.figures["output_tokens_per_s"]["server"] == 40.0


def test_one_of_several_addresses_does_not_tell_how_much_all_of_them_did(tmp_path: Path) -> None:
    half = {"vllm:generation_tokens_total": 20.0, "vllm:request_success_total": 4.0}
    found = _server_check(tmp_path, [("s", half)], urls=["http://x/v1", "http://y/v1"])
    assert found is not None and found.result == "PASS"
    assert set(found.figures) == {"output_tokens_mean"}


def test_a_server_that_several_stages_load_at_once_tells_of_none_of_them(tmp_path: Path) -> None:
    other = handmade.stage(1, step=0, prompt_set="q")
    counters = {"vllm:generation_tokens_total": 80.0, "vllm:request_success_total": 16.0}
    assert _server_check(tmp_path, [("s", counters)], others=[other]) is None


def test_one_source_that_tells_of_each_address_tells_of_all(tmp_path: Path) -> None:
    grown = {f'vllm:request_success_total {{"address": "{address}"}}': 4.0 for address in ("x", "y")}
    found = _server_check(tmp_path, [("s", grown)], urls=["http://x/v1", "http://y/v1"])
    assert found is not None and found.figures["requests_per_s"] == {"ours": 8.0, "server": 8.0}


def test_requests_that_were_given_up_are_counted_apart_and_tokens_a_request_are_not_compared(tmp_path: Path) -> None:
    found = _server_check(tmp_path, [("s", {
        'vllm:request_success_total {"finished_reason": "stop"}': 8.0, "vllm:generation_tokens_total": 40.0,
        'vllm:request_success_total {"finished_reason": "abort"}': 3.0})])
    assert found is not None and found.result == "PASS"
    assert "3 that it gave up" in found.sentence
    assert set(found.figures) == {"output_tokens_per_s", "requests_per_s"}


def test_djls_queue_times_are_microseconds(tmp_path: Path) -> None:
    _server_check(tmp_path, [("s", {"QueueTime_sum": 48_000.0, "QueueTime_count": 12.0})])
    run = open_run(tmp_path)
    assert server_view(run, run.stages[0]).times_s == {"queue_mean": pytest.approx(0.004)}


def test_the_shares_of_accepted_guesses_and_of_the_prefix_cache_are_told_as_shares_and_not_as_times(
        tmp_path: Path) -> None:
    _server_check(tmp_path, [("s", {
        "vllm:spec_decode_num_draft_tokens_total": 50.0, "vllm:spec_decode_num_accepted_tokens_total": 30.0,
        "vllm:prefix_cache_queries_total": 40.0, "vllm:prefix_cache_hits_total": 10.0})])
    run = open_run(tmp_path)
    view = server_view(run, run.stages[0])
    assert (view.accepted_share, view.cached_share) == (pytest.approx(0.6), pytest.approx(0.25))
    assert dict(view.times_s) == {}


def test_a_server_without_guesses_tells_no_share_of_them(tmp_path: Path) -> None:
    _server_check(tmp_path, [("s", {"vllm:generation_tokens_total": 40.0})])
    run = open_run(tmp_path)
    assert server_view(run, run.stages[0]).accepted_share is None


def _server_check(root: Path, sources: list[tuple[str, dict[str, float]]], urls: Sequence[str] = (),
                  others: Sequence[dict[str, Any]] = ()) -> Check | None:
    """The check of a second with eight requests of five tokens, by counters of these sources (name, labels after a
    space) that grew so in it."""
    spec = {"endpoints": [{"name": "a", **({"urls": list(urls)} if urls else {})}],
            "telemetry": [{"name": source, "collector": "prometheus", "endpoint": "a"} for source, _ in sources]}
    requests = [handmade.request(f"r{i}", 100 * i, [100 * i + at for at in (20, 30, 40, 50, 60)]) for i in range(8)]
    results = handmade.write(root, [handmade.stage(), *others], requests, spec=spec)
    rows = [(source, metric.partition(" ")[0], metric.partition(" ")[2] or "{}", handmade.BASE_NS + at_ns, value)
            for source, counters in sources for metric, grown in counters.items()
            for at_ns, value in ((0, 100.0), (10**9, 100.0 + grown))]
    frame = pd.DataFrame(rows, columns=["source", "metric", "labels", "at_ns", "value"])
    frame.to_parquet(results.telemetry_parquet)
    result = analyse_run(open_run(root)).results[0]
    return next((check for check in result.checks if check.name == "server's counters = ours"
                 and check.result != "NOT APPLICABLE"), None)
