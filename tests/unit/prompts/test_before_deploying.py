"""Prompts are made, and what is wrong with them is told, before anything that costs money is created."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.cli.main import main

RUN = """name: t
endpoints:
  - {name: e, protocol: openai, ALIGN deploy: {target: local, start_timeout: 20s, command: [DEPLOY]}}
load: {concurrency: [1]}
prompts:
"""


@pytest.mark.parametrize("align", ["", "align: server,"])
@pytest.mark.parametrize(("prompts", "expected"), [
    ("- {name: p, source: jsonl, files: [lost.jsonl]}", "prompts[0].files[0]: "),
    ("- {name: p, source: jsonl, files: [p.jsonl], column: question}", "no column 'question'"),
])
def test_files_that_cannot_be_used_are_told_before_anything_is_deployed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], align: str, prompts: str,
        expected: str) -> None:
    code = run(tmp_path, monkeypatch, align, prompts)
    assert (code, (tmp_path / "deployed").exists()) == (2, False)
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "results").exists(), "no folder for a run that never began"


def test_a_filter_that_keeps_nothing_is_told_before_anything_is_deployed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = "- {name: p, source: jsonl, files: [p.jsonl], filter: {tokens: [1000, 2000]}}"
    code = run(tmp_path, monkeypatch, "", prompts)
    assert (code, (tmp_path / "deployed").exists()) == (2, False)
    assert "no prompt passes the filter" in capsys.readouterr().err


def test_every_filter_that_keeps_nothing_is_told(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sets = (f"- {{name: {name}, source: jsonl, files: [p.jsonl], filter: {{tokens: [1000, 2000]}}}}\n" for name in "ab")
    assert run(tmp_path, monkeypatch, "", "".join(sets)) == 2
    err = capsys.readouterr().err
    assert "prompt set 'a': no prompt passes" in err and "prompt set 'b': no prompt passes" in err


def test_prompts_that_can_be_made_are_there_when_the_deployment_begins(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, monkeypatch, "", "- {name: p, source: jsonl, files: [p.jsonl]}")
    assert (tmp_path / "deployed").read_text() == "p.jsonl\n"


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, align: str, prompts: str) -> int:
    """`fmload run` in the folder; what is deployed writes down which prompt sets there are, and never answers."""
    monkeypatch.chdir(folder)
    (folder / "p.jsonl").write_text('{"prompt": "x"}\n')
    deploy = "sh, -c, 'ls results/latest/prompts > deployed'"
    (folder / "run.yml").write_text(RUN.replace("ALIGN", align).replace("DEPLOY", deploy) + prompts + "\n")
    return main(["run", "run.yml", "--yes"])
