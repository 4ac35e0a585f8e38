"""The start of a run: its folder, its lock, its plan and what is said before the load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.config import RunFile
from fmload.config.loading import parse
from fmload.launch.session import begin, open_folder
from fmload.model.prompt import Prompt
from fmload.prompts import store
from fmload.results.folder import Results
from fmload.results.stage_file import StageFile

TEXT = """
name: t
endpoints: [{name: a, protocol: openai, url: "http://127.0.0.1:1/v1", model: m}]
prompts: [{name: p, source: synthetic, input_tokens: 5, output_tokens: 5, count: 3}]
load: {concurrency: [1, 8], window: 1s}
"""


def run_of(folder: Path, **changes: str) -> RunFile:
    text = TEXT
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse(text, "t.yml", folder)


def three(run: RunFile, results: Results) -> None:
    store.write(results.prompts / "p.jsonl", [Prompt(f"p-{number}", "p", text=f"{number}") for number in range(3)])


def not_again(run: RunFile, results: Results) -> None:
    raise AssertionError("the prompts are there already")


def test_a_run_begins_with_its_plan_its_prompts_and_its_folder_locked(tmp_path: Path) -> None:
    results = open_folder("t", tmp_path / "out")
    session = begin(run_of(tmp_path), results, three)
    assert [stage.load.value for stage in session.stages] == [1, 8]
    assert results.run_yml.exists() and json.loads(results.environment_json.read_text())["cpus"]
    with pytest.raises(FmloadError, match="a run still goes on"):
        begin(run_of(tmp_path), results, three)
    session.close()
    begin(run_of(tmp_path), results, not_again).close()


def test_a_set_that_is_too_small_for_the_plan_is_told_of_before_the_load(tmp_path: Path) -> None:
    session = begin(run_of(tmp_path), open_folder("t", tmp_path / "out"), three)
    session.close()
    assert any("has 3 prompts" in told for told in session.warnings)


def test_a_run_that_cannot_begin_leaves_its_folder_free(tmp_path: Path) -> None:
    def fails(run: RunFile, results: Results) -> None:
        raise FmloadError("no prompts today")

    results = open_folder("t", tmp_path / "out")
    with pytest.raises(FmloadError, match="no prompts today"):
        begin(run_of(tmp_path), results, fails)
    begin(run_of(tmp_path), results, three).close()


def test_a_folder_that_holds_a_run_is_not_written_over(tmp_path: Path) -> None:
    taken = open_folder("t", tmp_path / "out")
    taken.stages_json.write_text('{"stages": []}')
    with pytest.raises(FmloadError, match="holds a run already"):
        open_folder("t", tmp_path / "out")
    beside = open_folder("t", tmp_path / "out", beside=True)
    assert beside.root.name == "out-2"
    beside.stages_json.write_text("{}")
    assert open_folder("t", tmp_path / "out", beside=True).root.name == "out-3"
    assert open_folder("t", tmp_path / "out", resume=True) == taken


def test_there_is_nothing_to_go_on_with_in_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="holds no run to go on with"):
        open_folder("t", tmp_path / "new", resume=True)


def test_a_resumed_run_goes_on_with_the_stages_of_its_folder(tmp_path: Path) -> None:
    results = open_folder("t", tmp_path / "out")
    first = begin(run_of(tmp_path), results, three)
    first.close()
    first.stages[0].status = "done"
    first.stages[1].status = "running"
    StageFile(stages=first.stages).write(results)
    again = begin(run_of(tmp_path), results, not_again, resume=True)
    again.close()
    assert [(stage.load.value, stage.status) for stage in again.stages] == [
        (1, "done"), (8, "superseded"), (8, "pending")]


def test_a_run_goes_on_with_its_own_run_file_alone(tmp_path: Path) -> None:
    results = open_folder("t", tmp_path / "out")
    session = begin(run_of(tmp_path), results, three)
    session.close()
    StageFile(stages=session.stages).write(results)
    run = run_of(tmp_path)
    other = run.model_copy(update={"endpoints": [run.endpoints[0].model_copy(update={"name": "other"})]})
    with pytest.raises(FmloadError, match=f"is of the endpoint '{run.endpoints[0].name}': not in this run file"):
        begin(other, results, not_again, resume=True)


def test_a_run_of_a_later_version_is_not_gone_on_with_and_left_as_it_is(tmp_path: Path) -> None:
    results = open_folder("t", tmp_path / "out")
    results.stages_json.write_text(written := '{"schema": 99, "stages": []}')
    with pytest.raises(FmloadError, match="has schema 99; this fmload reads up to"):
        open_folder("t", tmp_path / "out", resume=True)
    assert results.stages_json.read_text() == written
