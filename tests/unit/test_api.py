"""The public API on a results folder made by hand: figures worked out beside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fmload
from fmload.api import REQUEST_COLUMNS, STAGE_COLUMNS
from tests.handmade import request, stage, write


@pytest.fixture
def run(tmp_path: Path) -> fmload.Run:
    """Two stages: two requests of 90 ms at 1 user, one of them and a failure at 2."""
    records = [request("a", 0, [50, 70, 90]), request("b", 100, [160, 180, 190], late_ms=10),
               request("c", 0, [50, 70, 90], stage=1),
               request("d", 0, stage=1, outcome="throttled", error="<b>slow</b>", end_ms=9)]
    write(tmp_path / "r", [stage(0), stage(1, concurrency=2)], records)
    return fmload.open_run(tmp_path / "r")


def test_stages_are_the_rows_of_the_summary(run: fmload.Run) -> None:
    assert list(run.stages["concurrency"]) == [1, 2]
    assert list(run.stages["errors"]) == [0, 1]


def test_stages_have_the_documented_columns_and_dtypes_known_or_not(run: fmload.Run) -> None:
    assert {name: str(dtype) for name, dtype in run.stages.dtypes.items()} == STAGE_COLUMNS


def test_a_figure_that_no_stage_has_is_nan_and_can_be_compared(run: fmload.Run) -> None:
    assert run.stages["usd_per_hour"].isna().all() and not (run.stages["usd_per_hour"] < 3).any()


def test_requests_have_the_documented_columns_and_dtypes(run: fmload.Run) -> None:
    assert {name: str(dtype) for name, dtype in run.requests.dtypes.items()} == {
        name: dtype for name, (dtype, _) in REQUEST_COLUMNS.items()}


def test_latencies_of_requests_are_in_seconds(run: fmload.Run) -> None:
    first, second = run.requests[run.requests["stage"] == 0].itertuples()
    assert (first.request_id, second.request_id) == ("a", "b")
    assert first.ttft_s == pytest.approx(0.050) and second.ttft_scheduled_s == pytest.approx(0.070)
    assert second.e2e_s == pytest.approx(0.090) and second.scheduled_s == pytest.approx(0.090)


def test_a_failed_request_is_a_row_without_latencies(run: fmload.Run) -> None:
    failed = run.requests[run.requests["outcome"] == "throttled"].iloc[0]
    assert failed["reported"] and failed["error"] == "<b>slow</b>" and pd.isna(failed["ttft_s"])


def test_the_audit_is_a_row_a_check_of_each_stage(run: fmload.Run) -> None:
    assert set(run.audit["stage"]) == {0, 1}
    assert set(run.audit["result"]) <= {"PASS", "WARN", "FAIL", "NOT APPLICABLE", "NOT CHECKED"}


def test_report_writes_the_report_and_returns_its_path(run: fmload.Run) -> None:
    assert run.report().name == "report.html" and run.report().exists()


def test_a_notebook_shows_figures_a_chart_and_no_html_of_others(tmp_path: Path) -> None:
    write(tmp_path / "r", [stage(0, endpoint="<i>a</i>"), stage(1, concurrency=2, endpoint="<i>a</i>")],
          [request(f"{level}{k}", 100 * k, [100 * k + 50, 100 * k + 70], stage=level) for level in (0, 1)
           for k in range(9)])
    shown = fmload.open_run(tmp_path / "r")._repr_html_()
    assert "<svg" in shown and "TTFT" in shown and "<i>a</i>" not in shown and "&lt;i&gt;a&lt;/i&gt;" in shown


def test_a_notebook_shows_what_the_terminal_does_of_prices_and_repeats(tmp_path: Path) -> None:
    write(tmp_path / "r", [stage(0), stage(1, repeat=1)],
          [request(f"{level}{k}", 100 * k, [100 * k + 50, 100 * k + 70], stage=level) for level in (0, 1)
           for k in range(9)], spec={"endpoints": [{"name": "a", "price": {"hourly": 3.6}}]})
    shown = fmload.open_run(tmp_path / "r")._repr_html_()
    assert "<td>1 user</td>" in shown and "<td>1 user (run 2)</td>" in shown
    assert "<th>$/10k</th>" in shown and "<td>$1.11</td>" in shown


def test_a_folder_that_holds_no_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(fmload.FmloadError, match="is not a results folder"):
        fmload.open_run(tmp_path)


@pytest.mark.parametrize("given", [{}, {"config": "a.yml", "url": "http://x/v1"}])
def test_a_run_takes_a_run_file_or_a_url(given: dict[str, str]) -> None:
    with pytest.raises(fmload.FmloadError, match="a run file or a url"):
        fmload.run(**given)


def test_importing_fmload_imports_nothing_that_a_worker_does_without() -> None:
    code = "import sys, fmload; print(sorted({'pandas', 'matplotlib', 'locust', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    assert sorted(fmload.__all__) == ["FmloadError", "Run", "__version__", "open_run", "run"]
    assert all(hasattr(fmload, name) for name in fmload.__all__)
    with pytest.raises(AttributeError):
        fmload.nothing_of_the_kind  # noqa: B018
