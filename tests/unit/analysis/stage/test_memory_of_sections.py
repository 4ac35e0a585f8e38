"""What the figures of a large stage are made of is a few columns at a time, not all of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run
from fmload_analysis.stage import reuse, summarize, table
from tests.bench import analysis as bench

REQUESTS = 60_000
MOST_COLUMNS = 10  # of 8 bytes a request


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
