"""`fmload run` tells when nothing is heard of the master."""

from __future__ import annotations

import os
from pathlib import Path

from fmload.launch.processes import SILENT_S, Silence
from fmload.master.controller import READY_LIMIT_S
from fmload.results.folder import Results
from fmload.worker.dispatcher import TRIAL_LIMIT_S


def written(results: Results, at_s: float) -> None:
    live = results.logs / "live.json"
    live.write_text("{}")
    os.utime(live, (at_s, at_s))


def test_a_silence_is_told_once_and_the_next_one_again(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    silence = Silence(results)
    written(results, 1000.0)
    assert silence.news({}, 1000.0 + SILENT_S - 1) is None
    assert "master.log may say why" in str(silence.news({}, 1000.0 + SILENT_S))
    assert silence.news({}, 1000.0 + 2 * SILENT_S) is None
    written(results, 2000.0)
    assert silence.news({}, 2001.0) is None
    assert silence.news({}, 2000.0 + SILENT_S) is not None


def test_a_master_that_compacts_its_journals_may_be_silent(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    written(results, 1000.0)
    assert Silence(results).news({"run": {"phase": "writing"}}, 1000.0 + 10 * SILENT_S) is None


def test_an_endpoint_that_leaves_the_first_request_unanswered_does_not_make_its_worker_late() -> None:
    assert TRIAL_LIMIT_S + 30 < READY_LIMIT_S
