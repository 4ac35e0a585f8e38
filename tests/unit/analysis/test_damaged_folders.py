"""Whatever befell a results folder: it is read as far as it goes, or refused with a message and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.cli.main import main
from fmload_analysis.run import open_run
from tests.damaged_folders import DAMAGES, whole


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_folder_is_read_as_far_as_it_goes_or_refused_in_words(
        tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = whole(tmp_path / "r")
    DAMAGES[name](folder)
    code = main(["audit", str(folder)])  # any exception fails the test
    told = capsys.readouterr()
    assert code in (0, 2, 4)
    if code == 2:
        assert told.err.startswith("error: ") and ("hint: " in told.err or "; " in told.err), "what, and its remedy"


def test_damaged_lines_are_told_among_the_events_of_the_run(tmp_path: Path) -> None:
    folder = whole(tmp_path / "r")
    DAMAGES["health.jsonl has other keys"](folder)
    with (folder / "health.jsonl").open("a") as file:
        file.write("no JSON\n[]\n")
    told, = (event["detail"] for event in open_run(folder).events if event["kind"] == "lines_damaged")
    assert told == "health.jsonl: 2 lines cannot be read, the first is line 3"


@pytest.mark.parametrize("name", ["journals with a flipped bit", "journals cut off"])
def test_damage_to_the_only_journals_fails_the_audit(tmp_path: Path, name: str,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    folder = whole(tmp_path / "r")
    DAMAGES[name](folder)
    assert main(["audit", str(folder)]) == 4
    assert "all records kept" in capsys.readouterr().out
