"""Stage summaries of requests made by hand: who is in the window, what is counted, what is blank."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from handmade import BASE_NS, MS, request, stage, write

from fmload.metrics import definitions as metrics
from fmload.model.record import Record
from fmload_analysis.run import open_run
from fmload_analysis.stage.distribution import Wanted
from fmload_analysis.stage.summarize import StageSummary, summarize


def summary_of(tmp_path: Path, records: list[Record], wanted: Wanted | None = None,
               **columns: Any) -> StageSummary:
    write(tmp_path, [stage(**columns)], records)
    run = open_run(tmp_path)
    return summarize(run, run.stages[0], wanted)


def test_percentiles_are_of_requests_that_started_inside_the_window(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("before", -10, [50]), request("in", 0, [100]), request("late", 999, [1300]),
                                  request("after", 1000, [1001])])
    assert found.distributions["ttft"].n == 2
    assert found.distributions["ttft"].maximum == pytest.approx(0.301)


def test_throughput_counts_what_completed_inside_the_window_whenever_it_started(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("before", -10, [50]), request("in", 0, [100]), request("late", 999, [1300])])
    assert found.totals.completed == 2
    assert metrics.requests_per_s(found.totals) == 2.0


def test_output_tokens_count_by_their_own_arrival(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("head", -200, [-100, 0, 100]), request("tail", 900, [950, 1000, 1100])])
    assert found.totals.tokens_out == 3  # at 0, 100 and 950


def test_chunks_are_weighted_up_to_the_servers_count(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [100, 200, 900, 1100], output_tokens=8)])
    assert found.totals.tokens_out == 6  # three of four chunks of two tokens each


def test_input_tokens_count_where_the_first_token_arrived(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", -100, [-1, 10], input_tokens=5), request("b", -100, [0], input_tokens=7),
                                  request("c", 900, [1000], input_tokens=11)])
    assert found.totals.tokens_in == 7


def test_input_tokens_are_the_tokenizers_where_the_server_does_not_tell(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [100], input_tokens=None, prompt_tokens=7),
                                  request("b", 0, [100], input_tokens=9, prompt_tokens=7)])
    assert found.totals.tokens_in == 16
    assert found.evidence.prompt_tokens_compared == 1


def test_achieved_concurrency_is_the_area_under_the_curve(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", -500, [250]), request("b", 500, [2000]), request("c", 0, [1000])])
    assert metrics.achieved_concurrency(found.totals) == pytest.approx(0.25 + 0.5 + 1.0)


def test_a_request_without_an_end_is_in_flight_to_the_windows_end(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("stuck", 600, outcome="censored")])
    assert metrics.achieved_concurrency(found.totals) == pytest.approx(0.4)
    assert found.outcomes == {"censored": 1}


def test_failed_requests_never_make_latencies_better(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("ok", 0, [400]), request("fast failure", 10, outcome="http_5xx", end_ms=11)])
    e2e = found.distributions["e2e"]
    assert (e2e.n, e2e.n_with_failures, e2e.percentiles[50.0]) == (1, 2, pytest.approx(0.4))
    assert e2e.with_failures is not None
    assert e2e.with_failures[50.0] == pytest.approx(0.4)
    assert metrics.error_rate(found.totals) == 0.5


def test_failures_are_infinite_in_the_second_view(tmp_path: Path) -> None:
    records = [request("ok", 0, [400]), *(request(f"f{i}", i, outcome="timeout_total", end_ms=900) for i in range(2))]
    found = summary_of(tmp_path, records).distributions["e2e"]
    assert found.with_failures is not None
    assert found.with_failures[50.0] == math.inf


def test_a_failure_that_ends_after_the_window_still_counts_as_an_error(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("t", 100, outcome="timeout_total", end_ms=60_000)])
    assert metrics.error_rate(found.totals) == 1.0


def test_what_the_client_cancelled_is_neither_success_nor_failure(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("ok", 0, [10]), request("c", 5, [20], outcome="cancelled")])
    assert metrics.error_rate(found.totals) == 0.0
    assert found.outcomes == {"ok": 1, "cancelled": 1}


def test_percentiles_below_their_floor_are_shown_with_their_bounds_and_marked(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request(f"r{i}", i, [i + 50 + i / 100, i + 100]) for i in range(63)])
    ttft = found.distributions["ttft"]
    assert ttft.percentiles[90.0] == pytest.approx(0.05056)
    assert ttft.below_floor == {90.0, 95.0, 99.0}
    assert not ttft.is_known("p90") and ttft.is_known("p50")
    assert ttft.intervals[90.0].low == pytest.approx(0.05051)  # ranks 52 and 62 of 63 (binomial, 95 %)
    assert ttft.intervals[90.0].high == pytest.approx(0.05061)
    assert ttft.intervals[99.0].high is None


def test_p90_is_known_from_64_samples_on(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request(f"r{i}", i, [i + 50]) for i in range(64)]).distributions["ttft"]
    assert found.below_floor == {95.0, 99.0}


def test_itl_is_blank_and_icl_is_not_where_the_tokens_of_the_chunks_are_not_known(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [100, 120, 140], output_tokens=12, chunk_tokens_known=False)])
    assert (found.distributions["itl"].mean, found.distributions["itl"].percentiles[50.0]) == (None, None)
    assert found.distributions["icl"].mean == pytest.approx(0.020)
    assert found.distributions["tpot"].mean == pytest.approx(0.040 / 11)


def test_records_of_schema_1_know_their_chunks_where_they_add_up(tmp_path: Path) -> None:
    results = write(tmp_path, [stage()], [
        request("one-each", 0, [100, 120, 140], tokens=[1, 1, 9], output_tokens=3),
        request("unknown", 200, [300, 320, 340], output_tokens=12)])
    path = results.records / "stage-0000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["chunk_tokens_known", "choices", "remark"]), path)
    run = open_run(tmp_path)
    found = summarize(run, run.stages[0])
    assert found.distributions["itl"].n == 2
    assert found.distributions["itl"].mean == pytest.approx(0.020)
    assert found.distributions["icl"].n == 4


def test_itl_percentiles_leave_out_censored_gaps_and_the_mean_does_not(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [100, 110, 160, 160, 170, 180], censored=[0, 0, 1, 0, 0, 0])])
    itl = found.distributions["itl"]
    assert itl.n == 3  # 100→110, 160→170 and 170→180
    assert itl.percentiles[50.0] == pytest.approx(0.010)
    assert itl.mean == pytest.approx(0.080 / 5)
    assert found.censored_share == pytest.approx(2 / 5)
    assert itl.low is not None and itl.high is not None
    assert itl.low[50.0] <= 0.010 <= itl.high[50.0]  # type: ignore[operator]


def test_itl_percentiles_are_blank_where_most_gaps_are_censored(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [100, 160, 160, 160, 200], censored=[0, 1, 1, 0, 0])])
    itl = found.distributions["itl"]
    assert itl.percentiles[50.0] is None
    assert itl.mean == pytest.approx(0.025)
    assert itl.high is not None and itl.high[50.0] == pytest.approx(0.060)


def test_goodput_counts_completed_requests_within_every_limit(tmp_path: Path) -> None:
    records = [request("good", 0, [100, 300]), request("slow start", 0, [250, 300]), request("slow end", 0, [100, 800]),
               request("failed", 0, [10, 20], outcome="stream_error")]
    found = summary_of(tmp_path, records, Wanted(limits={"ttft": 0.2, "e2e": 0.5}))
    assert found.totals.good == 1


def test_a_request_of_one_token_breaks_no_tpot_limit(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [100])], Wanted(limits={"tpot": 0.001}))
    assert found.totals.good == 1


def test_threshold_counts_requests_slower_than_so_many_tokens_a_second(tmp_path: Path) -> None:
    records = [request("fast", 0, [50, 100]), request("slow", 0, [200, 400])]  # 20 and 5 tokens/s
    assert summary_of(tmp_path, records, Wanted(threshold_tokens_per_s=7)).slower_than_threshold == 1


def test_workers_are_put_on_the_masters_line(tmp_path: Path) -> None:
    ahead = 5_000_000_000
    write(tmp_path, [stage()], [request("a", 0, [100, 200], offset_ns=ahead, worker="w1"), request("b", 10, [110])],
          workers=[{"worker": "w0"}, {"worker": "w1", "clock_offset_ns": ahead}])
    run = open_run(tmp_path)
    found = summarize(run, run.stages[0])
    assert found.totals.succeeded == 2
    assert found.totals.tokens_out == 3


def test_nanoseconds_survive_large_clocks(tmp_path: Path) -> None:
    origin = 2**60
    record = request("a", 0, [0.001, 0.002])
    shift = origin - BASE_NS
    for name in ("scheduled_ns", "send_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "end_ns"):
        setattr(record, name, getattr(record, name) + shift)
    record.chunk_ns = type(record.chunk_ns)("q", [value + shift for value in record.chunk_ns])
    found = summary_of(tmp_path, [record], start_ns=origin)
    assert found.distributions["ttft"].minimum == 1e-6


@pytest.mark.parametrize("records", [[], [request("a", 0, [100])], [request("f", 0, outcome="connect", end_ms=5)],
                                     [request("never sent", 0, outcome="connect", send_ns=None)]])
def test_a_stage_with_nothing_or_one_or_only_failures_has_a_summary(tmp_path: Path, records: list[Record]) -> None:
    found = summary_of(tmp_path, records)
    assert found.totals.started == len(records)
    assert all(value is None for value in found.distributions["e2e"].percentiles.values()) or records[0].outcome == "ok"


def test_a_stage_whose_window_never_opened_has_a_summary(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [10])], window_start_ns=0, window_end_ns=0, status="interrupted")
    assert found.totals.window_s == 0
    assert metrics.requests_per_s(found.totals) is None


def test_timeline_adds_up_to_the_totals(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("a", 0, [500, 1500]), request("b", 200, [700])], window_ms=3000)
    line = found.timeline
    assert line.completed.sum() == 2
    assert line.output_tokens.sum() == 3
    assert line.in_flight.sum() == pytest.approx(1.5 + 0.5)


def test_batches_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [request(f"r{i}", 3 * i, [3 * i + 20, 3 * i + 30, 3 * i + 45]) for i in range(50)]
    whole = summary_of(tmp_path / "a", records)
    monkeypatch.setattr("fmload_analysis.run.BATCH_ROWS", 7)
    parts = summary_of(tmp_path / "b", records)
    assert parts.totals == whole.totals
    assert parts.distributions == whole.distributions


def test_the_window_is_half_open(tmp_path: Path) -> None:
    found = summary_of(tmp_path, [request("first", 0, [10]), request("next", 1000, [1010])])
    assert found.totals.started == 1
    assert found.stage.window_ns == 1000 * MS
