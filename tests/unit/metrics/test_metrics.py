"""Every metric against instants worked out by hand, in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fmload.metrics import definitions as metrics
from fmload.metrics.definitions import METRICS, Columns, Totals, gaps

MS = 1e6


def columns(*, scheduled: float = 0, send: float = 0, chunks: tuple[float, ...] = (), tokens: tuple[int, ...] = (),
            censored: tuple[int, ...] = (), answer: float | None = None, output: float | None = None,
            streamed: bool = True, known: bool = True, reasoning: float | None = None) -> Columns:
    """One request; all instants in milliseconds."""
    def one(value: float | None) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([np.nan if value is None else value])

    first, last = (chunks[0], chunks[-1]) if chunks else (None, None)
    counts = tokens or (1,) * len(chunks)
    return Columns(
        scheduled_ns=one(scheduled) * MS, send_ns=one(send) * MS, first_token_ns=one(first) * MS,
        first_answer_ns=one(answer if answer is not None else first) * MS, last_token_ns=one(last) * MS,
        end_ns=one(last) * MS, input_tokens=one(7), output_tokens=one(output if output is not None else sum(counts)),
        cached_tokens=one(None), streamed=np.array([streamed]), chunk_offsets=np.array([0, len(chunks)]),
        chunk_ns=np.array(chunks, dtype=np.int64) * 1_000_000, chunk_tokens=np.array(counts, dtype=np.int64),
        chunk_censored=np.array(censored or (0,) * len(chunks), dtype=bool), chunk_tokens_known=np.array([known]),
        reasoning_tokens=one(reasoning))


def only(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    assert len(values) == 1
    return float(values[0])


def test_ttft_is_from_send_not_from_schedule() -> None:
    assert only(metrics.ttft(columns(scheduled=10, send=30, chunks=(100, 120)))) == pytest.approx(0.070)


def test_scheduled_ttft_is_from_the_instant_at_which_the_request_was_due() -> None:
    assert only(metrics.ttft_scheduled(columns(scheduled=10, send=30, chunks=(100, 120)))) == pytest.approx(0.090)


def test_ttfa_is_to_the_first_token_of_the_answer_proper() -> None:
    assert only(metrics.ttfa(columns(send=30, chunks=(100, 120, 140), answer=140))) == pytest.approx(0.110)


def test_e2e_ends_with_the_last_token_chunk() -> None:
    assert only(metrics.e2e(columns(send=30, scheduled=10, chunks=(100, 150)))) == pytest.approx(0.120)
    assert only(metrics.e2e_scheduled(columns(send=30, scheduled=10, chunks=(100, 150)))) == pytest.approx(0.140)


def test_tpot_divides_by_the_tokens_after_the_first_chunk() -> None:
    # 3 tokens in the first chunk, 2 in the second: 100 ms over 2 tokens
    assert only(metrics.tpot(columns(chunks=(100, 200), tokens=(3, 2)))) == pytest.approx(0.050)


def test_tpot_uses_the_servers_count_where_chunks_hold_more_than_they_show() -> None:
    # three chunks of an unknown number of tokens, five by usage: 120 ms over 4
    assert only(metrics.tpot(columns(chunks=(100, 160, 220), output=5))) == pytest.approx(0.030)


def test_reasoning_that_is_counted_and_not_shown_was_made_before_the_first_chunk() -> None:
    """60 tokens thought, 20 said in chunks 10 ms apart: 10 ms a token, not 190 ÷ 79."""
    said = tuple(range(1000, 1200, 10))
    assert only(metrics.tpot(columns(chunks=said, output=80, known=False, reasoning=60))) == pytest.approx(0.010)
    shown = columns(chunks=said, output=20, known=True, reasoning=10, answer=1100)
    assert only(metrics.tpot(shown)) == pytest.approx(0.010)
    merged = columns(chunks=(1000, 1100), output=80, known=False, reasoning=79)  # the answer's one token in two chunks?
    assert only(metrics.tpot(merged)) == pytest.approx(0.1 / 79)


@pytest.mark.parametrize("request_columns", [
    columns(chunks=(100,), output=1), columns(chunks=(100,), tokens=(4,)),
    columns(chunks=(100, 200), streamed=False), columns()])
def test_tpot_is_null_and_never_zero_where_it_has_no_meaning(request_columns: Columns) -> None:
    assert np.isnan(only(metrics.tpot(request_columns)))


def test_icl_is_one_sample_a_chunk() -> None:
    values, weights = metrics.icl(gaps(columns(chunks=(100, 130, 190), tokens=(1, 1, 3))))
    assert values.tolist() == pytest.approx([0.030, 0.060])
    assert weights.tolist() == [1, 1]


def test_itl_is_null_where_the_tokens_of_the_chunks_are_not_known() -> None:
    found = gaps(columns(chunks=(100, 130, 190), output=9, known=False))
    values, weights = metrics.itl(found)
    assert np.isnan(values).all()
    assert weights.tolist() == [0, 0]
    assert metrics.icl(found)[0].tolist() == pytest.approx([0.030, 0.060])


def test_n_1_is_one_where_the_tokens_of_the_first_chunk_are_not_known() -> None:
    assert only(metrics.tpot(columns(chunks=(100, 200), tokens=(3, 2), output=11, known=False))) == pytest.approx(0.010)


def test_tpot_is_null_where_the_first_chunk_is_sealed_reasoning_of_unknown_size() -> None:
    """80 tokens thought and sent as one sealed block, 20 said 10 ms apart: 99 tokens were not made in 0.2 s."""
    said = tuple(range(1000, 1210, 10))
    sealed = columns(chunks=said, tokens=(0, *[1] * 20), output=100, known=False)
    assert np.isnan(only(metrics.tpot(sealed)))
    later = columns(chunks=said, tokens=(1, 0, *[1] * 19), output=100, known=False)  # between two known instants
    assert only(metrics.tpot(later)) == pytest.approx(0.2 / 99)


def test_tpot_of_two_answers_to_a_request_is_that_of_one_of_them_and_their_gaps_are_none() -> None:
    # two answers of five tokens, step by step: four steps of 20 ms
    chunks = tuple(100.0 + 20 * step for step in range(5) for _ in range(2))
    both = replace(columns(chunks=chunks, output=10), choices=np.array([2]))
    assert only(metrics.tpot(both)) == pytest.approx(0.020)
    assert len(gaps(both).row) == 0


def test_itl_divides_each_gap_over_its_tokens_and_counts_it_as_often() -> None:
    values, weights = metrics.itl(gaps(columns(chunks=(100, 130, 190), tokens=(1, 1, 3))))
    assert values.tolist() == pytest.approx([0.030, 0.020])
    assert weights.tolist() == [1, 3]


def test_gaps_that_touch_a_censored_chunk_are_unknown_and_bounded() -> None:
    # read at 100: one chunk; late read at 160: two chunks, of which the last has its own stamp; read at 180: one
    found = gaps(columns(chunks=(100, 160, 160, 180), censored=(0, 1, 0, 0)))
    assert found.gap_ns.tolist() == [60e6, 0, 20e6]
    assert found.known.tolist() == [False, False, True]
    assert found.low_ns.tolist() == [0, 0, 20e6]
    assert found.high_ns.tolist() == [60e6, 60e6, 20e6]


def test_a_censored_first_chunk_came_no_earlier_than_the_request_was_sent() -> None:
    found = gaps(columns(send=40, chunks=(100, 100, 130), censored=(1, 0, 0)))
    assert found.high_ns.tolist() == [60e6, 30e6]
    assert found.known.tolist() == [False, True]


def test_no_gap_joins_two_requests() -> None:
    both = columns(chunks=(100, 130))
    two = Columns(**{name: np.concatenate([getattr(both, name)] * 2) for name in (
        "scheduled_ns", "send_ns", "first_token_ns", "first_answer_ns", "last_token_ns", "end_ns", "input_tokens",
        "output_tokens", "cached_tokens", "streamed", "chunk_ns", "chunk_tokens", "chunk_censored",
        "chunk_tokens_known")},
        chunk_offsets=np.array([0, 2, 4]))
    assert gaps(two).row.tolist() == [0, 1]
    assert gaps(two).gap_ns.tolist() == [30e6, 30e6]


TOTALS = Totals(window_s=60, started=14, succeeded=9, failed=3, completed=10, good=6, tokens_out=1800, tokens_in=600,
                completed_tokens_in=500, completed_tokens_out=1500, completed_tokens_cached=50, in_flight_s=240,
                accelerators=2, usd_per_hour=3.6)


@pytest.mark.parametrize(("name", "value"), [
    ("achieved_concurrency", 4), ("requests_per_s", 1 / 6), ("transactions_per_minute", 10),
    ("output_tokens_per_s", 30), ("output_tokens_per_s_per_accelerator", 15), ("input_tokens_per_s", 10),
    ("error_rate", 0.25), ("goodput_per_s", 0.1), ("cached_share", 0.1), ("price_per_transaction", 0.006),
    ("price_per_1m_output_tokens", 1e6 * 0.001 / 30)])
def test_stage_metric_is_its_formula(name: str, value: float) -> None:
    assert METRICS[name].function(TOTALS) == pytest.approx(value)


@pytest.mark.parametrize("name", [metric.name for metric in metrics.of_level("stage")])
def test_stage_metric_of_an_empty_window_is_none_and_never_a_crash(name: str) -> None:
    assert METRICS[name].function(Totals(window_s=0)) is None


def test_every_metric_has_a_definition() -> None:
    assert all(len(metric.definition) > 15 for metric in METRICS.values())


def test_the_page_of_metrics_is_what_the_code_says() -> None:
    page = Path(__file__).parents[3] / "docs" / "metrics.md"
    assert page.read_text() == metrics.as_markdown(), "run: python -m fmload.metrics.definitions > docs/metrics.md"
