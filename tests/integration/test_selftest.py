"""The self-test against a real emulator and real client processes; loads so small that any machine bears them."""

from __future__ import annotations

import pytest

from fmload.cli.main import main
from fmload.selftest.ladder import Ladder, Rung, climb, step
from fmload.selftest.whole_worker import cpu_us_per_token

pytestmark = pytest.mark.alone


def test_one_rung_counts_what_was_served_and_knows_its_error() -> None:
    ladder = Ladder("tokens", ttft_s=0.1, gap_s=0.02, tokens=10, first=4)
    rung = step(ladder, workers=2, users=4, limit_ms=1e6, seconds=1.5)
    assert rung.failed == 0 and rung.users == 4 and rung.workers == 2
    assert rung.tokens_per_s == pytest.approx(10 * rung.requests_per_s, rel=0.5) and rung.requests_per_s > 1
    assert rung.ttft_p99_ms is not None and rung.gap_p99_ms is not None and rung.cpu_us_per_token > 0


def test_the_climb_ends_with_the_first_load_that_does_not_hold() -> None:
    ladder, told = Ladder("requests", ttft_s=0.05, gap_s=0.02, tokens=1, first=2), list[Rung]()
    rungs = climb(ladder, workers=1, limit_ms=1e-9, seconds=0.5, on_rung=told.append)
    assert [rung.held for rung in rungs] == [False] and told == rungs and rungs[0].gap_p99_ms is None


def test_a_number_of_workers_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--workers", "0"]) == 2
    assert "not numbers of processes" in capsys.readouterr().err


def test_a_whole_worker_of_a_run_tells_what_the_same_load_costs_it() -> None:
    ladder = Ladder("requests", ttft_s=0.05, gap_s=0.02, tokens=1, first=2)
    assert 50 < cpu_us_per_token(ladder, users=4, seconds=2.0, reader="auto") < 1e6
