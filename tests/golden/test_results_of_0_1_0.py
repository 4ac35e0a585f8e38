"""A results folder that fmload 0.1.0 wrote opens in this version: same records, same figures."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from fmload.results import stage_file, worker_file
from fmload.results.folder import Results
from fmload.results.journal import Journal, compact
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.run import open_run

FOLDER = Path(__file__).parent / "results-0.1.0"  # two stages of an emulated endpoint, the journals of two workers
SAME = ("stage", "endpoint", "prompt_set", "concurrency", "window_s", "requests", "errors", "n", "status", "load_value",
        "requests_per_s", "ttft_p50_s", "ttft_p90_s", "e2e_p50_s", "e2e_mean_s", "output_tokens_mean")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(FOLDER, tmp_path / "r")
    for name in ("records", "prompts", "logs", "figures"):
        (tmp_path / "r" / name).mkdir()
    return tmp_path / "r"


def test_its_figures_are_those_that_0_1_0_gave(folder: Path) -> None:
    with (FOLDER / "summary.csv").open() as file:
        then = list(csv.DictReader(file))
    now = analyse_run(open_run(folder)).rows()
    for old, new in zip(then, now, strict=True):
        for column in SAME:
            if old[column]:  # 0.1.0 left percentiles blank that are given today
                value = new[column]
                assert value == (pytest.approx(float(old[column]), rel=1e-6) if isinstance(value, int | float) else
                                 old[column]), column


def test_its_files_are_written_anew_in_this_version_and_still_hold_everything(folder: Path) -> None:
    results = Results(folder)
    told, workers = stage_file.read(results), worker_file.read(results)
    told.write(results)
    worker_file.write(results, workers)
    assert stage_file.read(results) == told and worker_file.read(results) == workers
    assert [stage.status for stage in told.stages] == ["done", "done"] and len(workers) == 2


def test_its_journals_are_gone_on_with(folder: Path) -> None:
    results = Results(folder)
    before = compact(results)
    assert not before.torn and not before.set_aside and before.records == sum(
        worker.records for worker in worker_file.read(results))
    path = next(iter(results.journal.glob("*.log")))
    Journal(path).close()
    assert compact(results).records == before.records
