"""Errors of a tool against the truth: by request where an id tells which is which, by percentile for all."""

from __future__ import annotations

from array import array

import pytest

from fmload.emulator.truth import Truth
from tests.bench.peers import servers
from tests.bench.peers.errors import Answer, answers_of, errors_of, in_flight
from tests.bench.peers.tool import Seen

MS = 1_000_000


def truth(request_id: str, number: int, received_ms: int, *tokens_ms: int, **more: str) -> Truth:
    return Truth(request_id, number, received_ns=received_ms * MS, output_tokens=len(tokens_ms), input_tokens=64,
                 token_ns=array("q", [at * MS for at in tokens_ms]), **more)


TRUTHS = [truth("a", 0, 0, 100, 120, 140), truth("b", 1, 10, 130, 150, 180)]


def test_an_answers_ttft_is_from_the_requests_first_byte_to_the_first_write() -> None:
    first, second = answers_of(TRUTHS)
    assert (first.ttft_s, second.ttft_s) == (pytest.approx(0.1), pytest.approx(0.12))
    assert first.gaps_s is not None and first.gaps_s.tolist() == pytest.approx([0.02, 0.02])
    assert second.itl_s == pytest.approx(0.025)


def test_answers_that_were_not_whole_are_none() -> None:
    assert answers_of([truth("a", 0, 0, 100, outcome="disconnected"), truth("b", 1, 0)]) == []


def test_an_error_is_of_the_same_request_whatever_the_order() -> None:
    """The request's own id, or the answer's: here b comes first and by its answer's."""
    seen = [Seen("chatcmpl-emulated-00000001", 0.123, [0.020, 0.030], None), Seen("a", 0.099, [0.021, 0.020], None)]
    errors = errors_of(seen, answers_of(TRUTHS))
    assert (errors.told, errors.matched, errors.itl_of) == (2, 2, "gaps")
    assert errors.ttft == pytest.approx((2.0, 2.98))  # of 3 ms and 1 ms
    assert errors.itl == pytest.approx((0.0, 0.97))  # of 0, 0, 1 and 0 ms


def test_a_tool_without_ids_is_compared_by_its_percentiles_alone() -> None:
    seen = [Seen(None, 0.130, [0.02, 0.02], None), Seen(None, 0.110, [0.02, 0.03], None)]
    errors = errors_of(seen, answers_of(TRUTHS))
    assert (errors.matched, errors.ttft, errors.itl) == (0, None, None)
    assert errors.ttft_shift == pytest.approx((10.0, 10.0))  # 110 and 130 told, 100 and 120 true
    assert errors.itl_shift == pytest.approx((0.0, 0.0))


def test_a_percentile_may_be_off_to_either_side() -> None:
    errors = errors_of([Seen(None, 0.09, None, None), Seen(None, 0.11, None, None)], answers_of(TRUTHS))
    assert errors.ttft_shift == pytest.approx((-10.0, -10.0))


def test_a_tool_that_keeps_means_is_held_to_the_true_means() -> None:
    errors = errors_of([Seen("b", 0.12, None, 0.026)], answers_of(TRUTHS))
    assert errors.itl_of == "means" and errors.itl == pytest.approx((1.0, 1.0))


def test_gaps_around_the_tokens_are_left_out_of_the_error_and_kept_in_the_percentiles() -> None:
    seen = [Seen("a", 0.1, [0.0, 0.02, 0.02, 0.0], None, around=(1, 1))]
    errors = errors_of(seen, answers_of(TRUTHS[:1]))
    assert errors.itl == pytest.approx((0.0, 0.0))
    assert errors.itl_shift == pytest.approx((-10.0, 0.0))  # the median of 0, 0, 20 and 20


def test_an_answer_with_another_number_of_gaps_has_no_error_of_them() -> None:
    """Two tokens read at once and told as one: nobody knows which gap is missing."""
    assert errors_of([Seen("a", 0.1, [0.04], None)], answers_of(TRUTHS)).itl is None


def test_where_the_server_tells_a_mean_alone_gaps_are_compared_by_theirs() -> None:
    errors = errors_of([Seen(None, 0.1, [0.02, 0.04], None)], [Answer(0.1, None, 0.028)])
    assert errors.itl_of == "means" and errors.itl_shift == pytest.approx((2.0, 2.0))


def test_nothing_told_is_nothing_compared() -> None:
    errors = errors_of([], answers_of(TRUTHS))
    assert (errors.told, errors.ttft_shift, errors.itl_shift) == (0, None, None)


def test_requests_in_flight_end_before_others_begin() -> None:
    assert in_flight([(0, 10), (5, 15), (10, 20)]) == 2
    assert in_flight([]) == 0


def test_what_was_served_has_its_span_and_counts() -> None:
    served = servers.served([*TRUTHS, truth("c", 2, 5, 50, outcome="disconnected")])
    assert (len(served.answers), served.others, served.tokens) == (2, 1, 6)
    assert (served.input_tokens, served.in_flight, served.span_ns) == (64.0, 2, (0, 180 * MS))


LOG = """slot print_timing: id  1 | task 9 |
prompt eval time =      54.05 ms /    12 tokens (    4.50 ms per token,   222.02 tokens per second)
       eval time =     390.00 ms /    40 tokens (   10.00 ms per token,   100.00 tokens per second)
      total time =     444.05 ms /    52 tokens
srv  log_server_r: done request
slot print_timing: id  0 | task 10 |
prompt eval time =      60.00 ms /    20 tokens (    3.00 ms per token,   333.33 tokens per second)
       eval time =       0.00 ms /     1 tokens (    0.00 ms per token,   inf tokens per second)
"""


def test_the_engines_timings_are_ttft_and_the_mean_of_the_steps_after_the_first_token() -> None:
    served = servers.timings(LOG)
    assert [(one.ttft_s, one.gaps_s, one.itl_s) for one in served.answers] == [
        (pytest.approx(0.05405), None, pytest.approx(0.01)), (pytest.approx(0.06), None, None)]
    assert (served.tokens, served.input_tokens, served.span_ns) == (41, 16.0, None)


def test_no_timing_is_no_answer() -> None:
    assert servers.timings("srv  start\n") == servers.Served([], 0, 0, 0.0, None, None)


