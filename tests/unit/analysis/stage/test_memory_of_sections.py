"""What the figures of a large stage are made of is a few columns at a time, not all of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage import reuse, samples, summarize, table
from tests.bench import analysis as bench

REQUESTS = 300_000  # more than numpy counts at a time in histograms
MOST_COLUMNS = 6  # of 8 bytes a request


def test_figures_of_a_stage_take_no_more_than_a_few_whole_columns_at_a_time(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.make(tmp_path, REQUESTS, 2, 1)
    monkeypatch.setattr(table, "BLOCK_ROWS", 2_000)
    monkeypatch.setattr(table, "KEPT_ROWS", 0)
    monkeypatch.setattr(reuse, "MOST_ROWS", 0)
    made, peaks = summarize._summary, []

    def traced(*given: Any) -> Any:
        tracemalloc.start()
        try:
            found = made(*given)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        return found

    monkeypatch.setattr(summarize, "_summary", traced)
    analyse_run(open_run(tmp_path))
    assert peaks[0] / REQUESTS / 8 < MOST_COLUMNS


@pytest.mark.parametrize(("kept_rows", "times"), [(0, 2), (1_000, 0)])
def test_memory_that_reading_needed_is_given_back_after_each_reading_of_a_large_stage(
        kept_rows: int, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.make(tmp_path, 1_000, 5, 1)
    given_back: list[None] = []
    monkeypatch.setattr(summarize, "KEPT_ROWS", kept_rows)
    monkeypatch.setattr(summarize, "give_back", lambda: given_back.append(None))
    monkeypatch.setattr(samples, "MOST_KEPT", 100)
    analyse_run(open_run(tmp_path))
    assert len(given_back) == times
