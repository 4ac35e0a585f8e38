"""The server's own figures of a stage, and what the audit makes of them."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.checks.facts import Facts
from analysis.checks.timing import server_times
from analysis.checks.tokens import server_counters
from analysis.telemetry import ServerView, growth


def _counter(*samples: tuple[str, int, float]) -> pd.DataFrame:
    return pd.DataFrame(samples, columns=["labels", "at_ns", "value"])


def test_a_counter_grows_by_the_difference_between_the_last_samples_before_both_instants() -> None:
    part = _counter(("a", 0, 10.0), ("a", 10, 15.0), ("a", 20, 25.0), ("a", 30, 40.0))
    assert growth(part, 12, 29) == 10.0


def test_label_sets_are_added_up() -> None:
    part = _counter(("stop", 0, 1.0), ("stop", 10, 4.0), ("length", 0, 5.0), ("length", 10, 6.0))
    assert growth(part, 0, 10) == 4.0


def test_a_counter_that_went_down_or_began_late_says_nothing() -> None:
    assert growth(_counter(("a", 0, 10.0), ("a", 10, 3.0)), 0, 10) is None
    assert growth(_counter(("a", 5, 10.0), ("a", 10, 30.0)), 0, 10) is None


def _facts(server: ServerView, **ours: float) -> Facts:
    return Facts(ours.get, None, server=server)  # type: ignore[arg-type]


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
