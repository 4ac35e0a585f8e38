"""Whatever befell a results folder: it is read as far as it goes, or refused with a message and a remedy."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import fmload
from fmload.base.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, FmloadError, refused_by_disk
from fmload.cli.main import main
from fmload.config import RunFile
from fmload.launch.processes import Wanted
from fmload.launch.session import begin
from fmload.model.prompt import Prompt
from fmload.prompts import store
from fmload.results.folder import Results
from fmload.results.resume import history_of
from fmload_analysis.run import open_run
from tests.damaged_folders import DAMAGES, WHOLE, whole

LIMIT_S = 2.0  # of CPU
PROMPTS = [Prompt("short-000000", "short", text="Count.", input_tokens=2, tokenizer="bundled", output_tokens=5)]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that nothing befell, with everything imported that reads it."""
    folder = whole(tmp_path_factory.mktemp("sound") / "r")
    assert main(["report", str(folder)]) in (EXIT_OK, EXIT_INVALID)
    return folder


def by_audit(folder: Path, sound: Path) -> int:
    return main(["audit", str(folder)])


def by_report(folder: Path, sound: Path) -> int:
    return main(["report", str(folder)])


def by_compare(folder: Path, sound: Path) -> int:
    return main(["compare", str(folder), str(sound), "--force"])


def by_python(folder: Path, sound: Path) -> int:
    try:
        run = fmload.open_run(folder)
        assert repr(run) and run.name is not None and len(run.requests) >= 0 and len(run.audit) >= 0
        assert isinstance(run.verdicts, list) and len(run.best) <= len(run.stages) and run._repr_html_()
    except FmloadError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return EXIT_OK


def by_resume(folder: Path, sound: Path) -> int:
    store.write(folder / "prompts" / "short.jsonl", PROMPTS)
    return main(["run", str(WHOLE / "run.yml"), "--out", str(folder), "--resume", "--yes"])


def all_but_the_load(run: RunFile, wanted: Wanted, *more: Any) -> int:
    """What the master reads of a folder before it goes on with its run, as Locust's plugin has it."""
    results = wanted.results
    try:
        begin(run, results, no_prompts, resume=True).lock.close()
        history_of(results)
    except OSError as error:
        raise refused_by_disk(error, str(error.filename)) from error
    return EXIT_OK


def no_prompts(run: RunFile, results: Results) -> None:
    raise AssertionError("the prompts are there")


def not_drawn(figure: Any, file: Any, *more: Any, **options: Any) -> None:
    """Drawing takes a second a report, whatever is drawn."""
    if isinstance(file, str | Path):
        Path(file).touch()
    else:
        file.write("<svg></svg>")


READERS = [by_audit, by_report, by_compare, by_python, by_resume]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_read_as_far_as_it_goes_or_refused_in_words(
        tmp_path: Path, name: str, reader: Callable[[Path, Path], int], sound: Path,
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", not_drawn)
    monkeypatch.setattr("fmload.cli.measuring.check_alive", lambda run: None)
    monkeypatch.setattr("fmload.launch.forks.started", lambda *_: nullcontext())
    monkeypatch.setattr("fmload.launch.processes.drive", all_but_the_load)
    folder = whole(tmp_path / "r")
    DAMAGES[name](folder)
    begun = time.process_time()
    code = reader(folder, sound)  # any other exception fails the test
    assert time.process_time() - begun < LIMIT_S
    told = capsys.readouterr()
    assert code in (EXIT_OK, EXIT_USAGE, EXIT_INVALID), told.err
    assert "Traceback" not in told.err
    if code == EXIT_USAGE:
        assert "error: " in told.err and ("hint: " in told.err or "; " in told.err), "what, and its remedy"


def test_damaged_lines_are_told_among_the_events_of_the_run(tmp_path: Path) -> None:
    folder = whole(tmp_path / "r")
    DAMAGES["health.jsonl has other keys"](folder)
    with (folder / "health.jsonl").open("a") as file:
        file.write("no JSON\n[]\n")
    told, = (event["detail"] for event in open_run(folder).events if event["kind"] == "lines_damaged")
    assert told == "health.jsonl: 2 lines cannot be read, the first is line 3"


@pytest.mark.parametrize("name", ["journals with a flipped bit", "journals cut off",
                                  "journals without a header and a mark"])
def test_damage_to_the_only_journals_fails_the_audit(tmp_path: Path, name: str,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    folder = whole(tmp_path / "r")
    DAMAGES[name](folder)
    assert main(["audit", str(folder)]) == 4
    told = " ".join(capsys.readouterr().out.split())
    assert "all records kept" in told and "unreadable bytes at offset" in told
    assert "put it in its place, remove records/ and run 'fmload report'" in told
