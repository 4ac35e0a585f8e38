"""`fmload report` on a results folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from handmade import request, stage, write

from fmload.cli.main import main
from fmload.results.folder import Results


@pytest.fixture
def folder(tmp_path: Path) -> Results:
    """Ten good requests of one stage, back to back."""
    records = [request(f"r{k}", 100 * k, [100 * k + 50, 100 * k + 75, 100 * k + 99]) for k in range(10)]
    return write(tmp_path / "run", [stage()], records, spec={"objectives": {"e2e_p50": "10ms"}})


def test_it_writes_everything_and_says_where(folder: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder.root), "--fmbench-csv"]) == 0
    shown = capsys.readouterr().out
    written = (folder.report_html, folder.report_md, folder.summary_csv, folder.audit_json, folder.root / "fmbench.csv")
    for path in written:
        assert path.stat().st_size > 0
        assert str(path) in shown


def test_objectives_that_no_stage_meets_exit_with_3_when_required(folder: Results) -> None:
    assert main(["report", str(folder.root), "--require-objectives"]) == 3


def test_nothing_measured_exits_with_4(tmp_path: Path) -> None:
    assert main(["report", str(write(tmp_path / "run", [stage()]).root)]) == 4


def test_the_view_of_another_tool_is_printed(folder: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(folder.root), "--as", "llmperf"]) == 0
    assert "num_completed_requests" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "said"), [
    (["nowhere"], "not a results folder"), (["{run}", "--as", "llmprf"], "did you mean 'llmperf'?")])
def test_what_cannot_be_done_is_said_and_exits_with_2(
        arguments: list[str], said: str, folder: Results, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *(each.format(run=folder.root) for each in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_whoever_reads_a_report_while_it_is_made_anew_reads_the_old_one_to_its_end(folder: Results) -> None:
    assert main(["report", str(folder.root)]) == 0
    paths = [folder.report_html, folder.report_md, folder.summary_csv, folder.audit_json, *folder.figures.iterdir()]
    before = {path: path.read_bytes() for path in paths}
    readers = {path: path.open("rb") for path in paths}
    assert main(["report", str(folder.root)]) == 0
    for path, reader in readers.items():
        with reader:
            assert reader.read() == before[path] and not path.samefile(f"/proc/self/fd/{reader.fileno()}"), path
    assert not list(folder.root.rglob("*.part"))
