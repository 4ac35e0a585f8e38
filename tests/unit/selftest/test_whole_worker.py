"""What a load costs a worker of `fmload run`: the run that is made for it, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.cli.selftest import of_a_whole_worker
from fmload.config.loading import parse
from fmload.results.folder import Results
from fmload.selftest import whole_worker
from fmload.selftest.ladder import REQUESTS, TOKENS, Ladder, Rung
from fmload.selftest.whole_worker import run_file, told
from tests.damaged_folders import WHOLE


@pytest.mark.parametrize("ladder", [TOKENS, REQUESTS], ids=lambda ladder: ladder.name)
def test_the_run_asks_for_the_ladders_load(ladder: Ladder, tmp_path: Path) -> None:
    made = parse(json.dumps(run_file(ladder, 7, 2.5, "python", "http://127.0.0.1:9")), "run.yml", tmp_path)
    assert made.load.concurrency == [7] and made.load.window_s == 2.5 and made.load.workers == 1
    lengths = made.prompts[0].output_tokens
    assert lengths is not None and (lengths.kind, lengths.mean) == ("fixed", ladder.tokens) and made.reader == "python"


def test_cpu_a_token_is_the_busy_share_of_the_window_over_the_rate(tmp_path: Path) -> None:
    results = Results(tmp_path).create()
    stages = json.loads((WHOLE / "stages.json").read_text())
    stages["stages"] = [{**stages["stages"][0], "window_start_ns": 1000, "window_end_ns": 2000}]
    results.stages_json.write_text(json.dumps(stages))
    results.health_jsonl.write_text("".join(json.dumps({"at_ns": at, "cpu_fraction": busy}) + "\n"
                                            for at, busy in ((999, 9), (1000, 0.2), (1999, 0.4), (2000, 9))))
    results.summary_csv.write_text("stage,output_tokens_per_s\n0,600\n")
    assert told(results) == pytest.approx(500)
    results.health_jsonl.write_text("")
    with pytest.raises(ZeroDivisionError):
        told(results)


def test_what_is_said_is_of_a_request_and_names_both_figures() -> None:
    rung = Rung(2, 16, 1000.0, 10.0, 0.1, 0.1, 0.0, 3.0, 0, True)
    said = of_a_whole_worker(TOKENS, rung, 5.0)
    assert "8 users: 500 µs of CPU a request (300 in the process above" in said and "at 2,000 requests/s" in said


def test_a_run_that_left_nothing_is_told_with_what_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def nobody(*_: object) -> Iterator[str]:
        yield "http://127.0.0.1:9"

    monkeypatch.setattr(whole_worker, "emulator", nobody)
    monkeypatch.setattr(whole_worker, "_run", lambda *_: "error: no such thing")
    with pytest.raises(FmloadError, match="no such thing"):
        whole_worker.cpu_us_per_token(TOKENS, 2, 1.0, "python")
