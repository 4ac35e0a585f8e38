from __future__ import annotations

import itertools
import json
from array import array
from collections import Counter
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.config.goodput import limits_of
from fmload.config.objectives import parse_objectives
from fmload.live.counts import Counts
from fmload.live.state import LiveState, Tally
from fmload.metrics.histogram import buckets, quantile_s
from fmload.metrics.live import request_metrics_ns
from fmload.model.record import Record
from tests.one_record import MS, record

durations = st.lists(st.integers(1, 10**13), min_size=1, max_size=60)


@given(durations, st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_the_nearest_rank_within_half_a_bucket(values: list[int], q: float) -> None:
    found = quantile_s(buckets(np.array(values, np.int64)), q)
    true = sorted(values)[int(np.ceil(q * len(values))) - 1] / 1e9
    assert found == pytest.approx(true, rel=0.004)


@given(st.lists(durations, min_size=1, max_size=4))
def test_histograms_of_workers_add_up_to_the_histogram_of_all(parts: list[list[int]]) -> None:
    merged = buckets(np.array(parts[0], np.int64))
    for part in parts[1:]:
        merged.update(buckets(np.array(part, np.int64)))
    assert merged == buckets(np.array(list(itertools.chain.from_iterable(parts)), np.int64))


def test_nothing_has_no_quantile() -> None:
    assert quantile_s({}, 0.5) is None


def test_metrics_follow_their_definitions() -> None:
    found = {metric: np.atleast_1d(values).tolist() for metric, values in request_metrics_ns(record()).items()}
    # ITL: the gap of 40 ms holds two tokens, so it counts as two gaps of 20 ms. TPOT: 60 ms over 4 − 1 tokens.
    assert found == {"ttft": [100 * MS], "e2e": [160 * MS], "icl": [20 * MS, 40 * MS],
                     "itl": [20 * MS, 20 * MS, 20 * MS], "tpot": [20 * MS]}


def test_one_token_has_no_tpot_and_no_itl() -> None:
    assert set(request_metrics_ns(record(chunks=(100,), tokens=(1,)))) == {"ttft", "e2e"}


def test_itl_has_no_value_and_icl_has_where_the_tokens_of_the_chunks_are_not_known() -> None:
    unknown = replace(record(tokens=(1, 1, 1)), output_tokens=12, chunk_tokens_known=False)
    found = {metric: np.atleast_1d(values).tolist() for metric, values in request_metrics_ns(unknown).items()}
    assert "itl" not in found
    assert found["icl"] == [20 * MS, 40 * MS]
    assert found["tpot"] == [60 * MS // 11]


def test_gaps_that_touch_a_late_read_are_no_samples() -> None:
    late = replace(record(), chunk_censored=array("b", [0, 1, 0]))
    assert {"itl", "icl"}.isdisjoint(request_metrics_ns(late))


def test_tokens_count_in_the_second_of_their_arrival_on_the_masters_clock() -> None:
    tally, live = Tally(), LiveState()
    tally.add(record(send_ns=5 * 10**9 + 900 * MS), offset_ns=2 * 10**9)
    live.merge("w", tally.drain())
    assert {second: live.seconds.at(second).output_tokens for second in live.seconds} == {4: 4}
    assert {second: live.seconds.at(second).requests for second in live.seconds} == {4: 1}


def test_a_failure_counts_as_an_error_and_never_as_a_latency() -> None:
    tally, live = Tally(), LiveState()
    for outcome in ("ok", "http_5xx", "censored"):
        tally.add(record(outcome))  # type: ignore[arg-type]
    live.merge("w", tally.drain())
    totals = live.groups[0, "e", "p"]
    assert totals.errors == {"http_5xx": 1}
    assert totals.histograms["ttft"].total() == 1


@pytest.mark.parametrize(("limits", "good"), [
    ({}, 1), ({"ttft": 0.1}, 1), ({"ttft": 0.099}, 0), ({"ttft": 1.0, "tpot": 0.019}, 0), ({"output_tokens": 3}, 0),
    ({"e2e_scheduled": 0.16, "output_tokens": 4}, 1)])
def test_a_good_request_keeps_every_limit(limits: dict[str, float], good: int) -> None:
    assert _good(record(), limits) == good


def test_an_answer_of_one_token_breaks_no_limit_on_tpot() -> None:
    assert _good(record(chunks=(100,), tokens=(1,)), {"tpot": 0.001}) == 1


def test_six_tokens_in_two_reads_are_good_by_the_tokens_of_the_second() -> None:
    # three tokens at 100 ms, three at 160 ms: 60 ms over the three after the first read
    assert _good(record(chunks=(100, 160), tokens=(3, 3)), {"tpot": 0.020}) == 1
    assert _good(record(chunks=(100, 160), tokens=(3, 3)), {"tpot": 0.0199}) == 0


def _good(one: Record, limits: dict[str, float]) -> int:
    tally, live = Tally(limits), LiveState()
    tally.add(one)
    live.merge("w", tally.drain())
    return live.groups[0, "e", "p"].good


@pytest.mark.parametrize(("objectives", "limits"), [
    ({"ttft_p50": "500ms", "ttft_p99": "2s"}, {"ttft": 2.0}),
    ({"ttft_p95": "2s", "e2e_p95": "5s", "error_rate": 0, "itl_p99": "1s"}, {"ttft": 2.0, "e2e": 5.0}),
    ({"ttft": "1s", "ttft_p99": "2s", "tpot_mean": "10ms"}, {"ttft": 1.0})])
def test_a_good_request_keeps_the_limit_of_the_highest_percentile_or_its_own(
        objectives: dict[str, str], limits: dict[str, float]) -> None:
    assert limits_of(parse_objectives(objectives)) == limits


def test_what_the_client_itself_broke_is_no_error_of_the_endpoint() -> None:
    tally, live = Tally(), LiveState()
    for outcome in ("client", "blocked", "cancelled"):
        tally.add(record(outcome))  # type: ignore[arg-type]
    live.merge("w", tally.drain())
    snapshot = live.snapshot(20 * 10**9, 0)
    assert snapshot["groups"][0]["errors"] == {"blocked": 1}
    assert snapshot["groups"][0]["client_failures"] == 1


def test_what_a_worker_counted_travels_and_is_counted_once() -> None:
    tally, live = Tally(), LiveState()
    tally.add(record())
    live.merge("a", msgpack.unpackb(msgpack.packb(tally.drain()), strict_map_key=False))
    live.merge("a", tally.drain())
    assert live.groups[0, "e", "p"].requests == 1


def test_a_snapshot_is_json_with_one_point_a_second_and_the_newest_left_out() -> None:
    tally, live = Tally(), LiveState()
    tally.add(record(send_ns=100 * 10**9))
    live.merge("w", tally.drain())
    live.observe("w", 3, {"cpu_fraction": 0.5}, 101 * 10**9)
    snapshot = json.loads(json.dumps(live.snapshot(110 * 10**9, 10**9)))
    assert [point["at"] for point in snapshot["series"]] == [101.0 + n for n in range(8)]
    assert snapshot["series"][0]["output_tokens"] == 4
    assert [point["in_flight"] for point in snapshot["series"]][:3] == [None, 3, None]
    assert snapshot["groups"][0]["ttft_p99_s"] == pytest.approx(0.1, rel=0.004)
    assert snapshot["workers"] == [{"worker": "w", "in_flight": 3, "cpu_fraction": 0.5}]


def test_what_makes_no_text_has_its_latencies_by_the_second() -> None:
    spoken = replace(record(), chunk_ns=array("q"), chunk_tokens=array("i"), chunk_censored=array("b"),
                     first_token_ns=None, output_tokens=None, characters=40, first_output_ns=50 * MS)
    tally, live = Tally(), LiveState()
    tally.add(spoken, 0)
    live.merge("w", tally.drain())
    point = live.snapshot(110 * 10**9, 0)["series"][0]
    assert point["first_audio_p50_s"] == pytest.approx(0.05, rel=0.004)
    assert point["e2e_p50_s"] == pytest.approx(0.16, rel=0.004)
    assert point["ttft_p50_s"] is None and point["first_text_p50_s"] is None


def test_requests_of_a_worker_that_is_gone_are_not_in_flight() -> None:
    live = LiveState()
    live.observe("a", 3, None, 10**9)
    live.observe("b", 2, None, 10**9)
    live.forget("a")
    live.observe("b", 2, None, 2 * 10**9)
    assert live.in_flight == {1: 5, 2: 2}


def test_tenants_are_counted_apart_each_by_its_own_limits_and_the_rest_is_nobodys() -> None:
    tally = Tally({"ttft": 1e-9}, {"gold": {"ttft": 10.0}})
    for tenant in ("gold", "gold", "free", None):
        tally.add(replace(record(), tenant=tenant))
    live = LiveState()
    live.merge("w", tally.drain())
    found = live.by_tenant()
    assert {key[2]: (totals.requests, totals.good) for key, totals in found.items()} == {
        "": (1, 0), "free": (1, 0), "gold": (2, 2)}
    assert sum(totals.output_tokens for totals in found.values()) == live.by_endpoint()["e", "p"].output_tokens
    assert found["e", "p", ""].histograms["ttft"].total() == 1
    live.merge("w", tally.drain())
    assert live.by_tenant()["e", "p", "gold"].requests == 2  # once each


def test_a_part_that_is_taken_out_takes_its_images_along() -> None:
    rest = Counts(Counter(ok=3), images=5)
    rest.take_out(Counts(Counter(ok=1), images=2))
    assert (rest.requests, rest.images) == (2, 3)


@given(st.lists(st.tuples(st.lists(st.integers(0, 5000), min_size=1, max_size=12), st.sampled_from(["ok", "truncated"]),
                          st.sampled_from([None, "gold"])), max_size=12), st.integers(0, 12))
def test_what_is_gathered_is_the_sum_of_its_requests_however_often_it_is_looked_at(
        told: list[tuple[list[int], str, str | None]], looked_at: int) -> None:
    together, apart, live, one_by_one = Tally(), Tally(), LiveState(), LiveState()
    for place, (chunks, outcome, tenant) in enumerate(told):
        made = replace(record(outcome, chunks=tuple(sorted(chunks)), tokens=(1,) * len(chunks)),  # type: ignore[arg-type]
                       tenant=tenant)
        together.add(made)
        apart.add(made)
        one_by_one.merge("w", apart.drain())
        if place == looked_at:
            live.merge("w", together.drain())
    live.merge("w", together.drain())
    assert live.groups == one_by_one.groups and live.tenants == one_by_one.tenants
    assert {at: live.seconds.at(at) for at in live.seconds} == {at: one_by_one.seconds.at(at)
                                                                  for at in one_by_one.seconds}


def test_a_value_that_no_histogram_holds_is_counted_as_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    huge = replace(record(), send_ns=-10**30)
    tally, live = Tally(), LiveState()
    tally.add(huge)
    tally.add(record())
    live.merge("w", tally.drain())
    assert live.groups[0, "e", "p"].histograms["ttft"].total() == 2


def test_what_is_gathered_holds_every_value_of_every_metric() -> None:
    tally, live, one = Tally(), LiveState(), record()
    for _ in range(2):
        tally.add(one)
    live.merge("w", tally.drain())
    assert live.groups[0, "e", "p"].histograms == {
        metric: buckets(np.tile(np.atleast_1d(values), 2)) for metric, values in request_metrics_ns(one).items()}


def test_images_are_counted_of_what_ended_well_alone() -> None:
    tally, live = Tally(), LiveState()
    tally.add(replace(record(), images=2))
    tally.add(replace(record("truncated"), images=4))
    live.merge("w", tally.drain())
    assert (live.groups[0, "e", "p"].images, live.groups[0, "e", "p"].output_tokens) == (2, 0)


@given(st.lists(st.integers(-3 * 10**9, 3 * 10**9), min_size=1, max_size=40), st.integers(-10**9, 10**9))
def test_tokens_are_counted_in_the_second_in_which_they_came(instants: list[int], offset_ns: int) -> None:
    instants.sort()
    tokens = [place % 3 for place in range(len(instants))]
    one = replace(record(), chunk_ns=array("q", instants), chunk_tokens=array("i", tokens),
                  chunk_censored=array("b", [0] * len(instants)), end_ns=instants[-1])
    tally, expected = Tally(), Counter[int]()
    tally.add(one, offset_ns)
    for ns, held in zip(instants, tokens, strict=True):
        expected[(ns - offset_ns) // 10**9] += held
    assert {second: totals[1] for second, totals in tally.drain()["seconds"] if totals[1]} == +expected


def test_an_instant_before_the_last_costs_no_token() -> None:
    one = replace(record(), chunk_ns=array("q", [5 * 10**9, 3 * 10**9, 4 * 10**9, 9 * 10**9]), end_ns=None,
                  chunk_tokens=array("i", [1, 1, 1, 1]), chunk_censored=array("b", [0] * 4))
    tally = Tally()
    tally.add(one)
    assert sum(totals[1] for _, totals in tally.drain()["seconds"]) == 4


@pytest.mark.parametrize(("change", "counted"), [
    ({"input_tokens": 12, "prompt_tokens": 9}, 12), ({"input_tokens": None, "prompt_tokens": 9}, 9),
    ({"input_tokens": None, "prompt_tokens": 9, "outcome": "truncated"}, 9),
    ({"input_tokens": None, "prompt_tokens": 9, "outcome": "http_5xx", "first_token_ns": None}, 0),
    ({"input_tokens": None, "prompt_tokens": 9, "media_bytes": 100}, 0)])
def test_prompts_that_the_server_does_not_count_are_counted_as_the_report_does(change: dict[str, object],
                                                                               counted: int) -> None:
    tally, live = Tally(), LiveState()
    tally.add(replace(record(), **change))  # type: ignore[arg-type]
    live.merge("w", tally.drain())
    assert live.groups[0, "e", "p"].input_tokens == counted
