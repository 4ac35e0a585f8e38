"""What is wrong with prompt sets is told in one pass, at the lines of the run file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.cli.main import main
from fmload.config import RunFileError, load
from fmload.prompts import prepare
from fmload.prompts.checking import check

RUN = """name: t
endpoints: [{name: e, protocol: openai, url: "http://127.0.0.1:1/v1"}]
load: {concurrency: [1]}
prompts:
"""


def told(folder: Path, prompts: str, *sets: str, fetch: bool = False) -> list[str]:
    """The problems of these prompt sets, without the folder's path."""
    path = folder / "run.yml"
    path.write_text(RUN + prompts)
    try:
        check(load(path, sets), path, sets, fetch)
    except RunFileError as error:
        return [str(problem).replace(f"{folder}/", "") for problem in error.problems]
    return []


def test_every_problem_of_every_set_is_told_at_its_line_of_the_run_file(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_text('{"prompt": "x"}\n')
    (tmp_path / "bad.jsonl").write_text('{"prompt": "x"}\n{oops}\n')
    problems = told(tmp_path, """
  - {name: a, source: jsonl, files: [good.jsonl]}
  - name: b
    source: jsonl
    files:
      - good.jsonl
      - lost.jsonl
      - lost/*.jsonl
    template: lost.txt
  - {name: c, source: jsonl, files: [bad.jsonl]}
  - {name: d, source: jsonl, files: [good.jsonl], filter: {language: en}}
""")
    assert [problem.split("; ")[0] for problem in problems] == [
        "run.yml:11: prompts[1].files[1]: lost.jsonl: no such file",
        "run.yml:12: prompts[1].files[2]: lost/*.jsonl: no such file",
        "run.yml:13: prompts[1].template: lost.txt: no such file",
        "run.yml:14: prompts[2]: bad.jsonl:2: not JSON: "
        "Expecting property name enclosed in double quotes (character 2)",
        "run.yml:15: prompts[3]: prompt set 'd': filter.language needs a column 'language'",
    ]
    assert all("; " in problem for problem in problems), "each has its remedy"


def test_a_set_that_an_option_brought_is_named_by_the_option(tmp_path: Path) -> None:
    setting = "prompts[0].files=[lost.jsonl]"
    [problem] = told(tmp_path, "  - {name: a, source: jsonl, files: [x.jsonl]}\n", setting)
    assert problem.startswith(f"--set {setting}: prompts[0].files[0]: lost.jsonl: no such file")


def test_what_lies_elsewhere_is_not_looked_up_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    prompts = "  - {name: a, source: jsonl, files: ['s3://b/a.jsonl', lost.jsonl], template: 's3://b/t.txt'}\n"
    assert len(told(tmp_path, prompts)) == 1
    assert told(tmp_path, "  - {name: from_the_hub, source: longbench}\n") == []
    assert ["s3://" in problem for problem in told(tmp_path, prompts, fetch=True)] == [True, False, True]


def test_a_trace_is_checked_as_the_part_of_it_that_is_replayed(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("timestamp,prompt\n0,a\n5,b\n")
    prompts = "  - {name: a, source: log, files: [log.csv]}\n"
    assert told(tmp_path, prompts, "load={trace: {start: 5s}}") == []
    [problem] = told(tmp_path, prompts, "load={trace: {start: 6s}}")
    assert "nothing arrives in the part that is asked for" in problem


@pytest.mark.parametrize("command", ["prompts", "validate"])
def test_commands_tell_the_problems_of_all_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                command: str) -> None:
    path = tmp_path / "run.yml"
    path.write_text(RUN + "".join(f"  - {{name: {name}, source: jsonl, files: [{name}.jsonl]}}\n" for name in "ab"))
    out = ["--out", str(tmp_path / "sets")] if command == "prompts" else []
    assert main([command, str(path), *out]) == 2
    err = capsys.readouterr().err
    assert "run.yml:5: prompts[0].files[0]" in err and "run.yml:6: prompts[1].files[0]" in err
    assert not (tmp_path / "sets").exists()


@pytest.mark.parametrize(("count", "told"), [(2, False), (5, True)])
def test_a_set_smaller_than_asked_for_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int,
                                              told: bool) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "x"}\n{"prompt": "y"}\n{"prompt": "x"}\n')
    path = tmp_path / "run.yml"
    path.write_text(RUN + f"  - {{name: a, source: jsonl, files: [a.jsonl], count: {count}}}\n")
    assert main(["prompts", str(path), "--out", str(tmp_path / "sets")]) == 0
    shortage = "2 prompts under the tokenizer bundled, not the 5 of count: no more differ and pass the filter"
    assert (shortage in capsys.readouterr().out) == told


def test_addresses_that_can_be_none_are_told_without_being_looked_up(tmp_path: Path) -> None:
    names = ["s3://b*cket/a.jsonl", "s3:///a.jsonl", "hf:org/name", "hf:org/name/"]
    good = ["s3://my-bucket/a/*.jsonl", "s3://arn:aws:s3:us-east-1:123456789012:accesspoint:a/b.jsonl",
            "hf:org/name@main/data.zip!b.jsonl"]
    problems = told(tmp_path, f"  - {{name: a, source: jsonl, files: {[*names, *good]}}}\n")
    assert [problem.split(": not of the form ")[0] for problem in problems] == [
        f"run.yml:5: prompts[0].files[{index}]: {name}" for index, name in enumerate(names)]


def test_a_set_that_lies_in_the_cache_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jsonl").write_text('{"prompt": "x"}\n')
    prompts = "  - {name: a, source: jsonl, files: [a.jsonl]}\n"
    assert told(tmp_path, prompts) == []
    prepare(load(tmp_path / "run.yml"), tmp_path / "sets")

    def read(*file: object) -> None:
        raise FmloadError("read again")

    monkeypatch.setattr("fmload.prompts.formats.rows", read)
    assert told(tmp_path, prompts, fetch=True) == []
    (tmp_path / "a.jsonl").write_text('{"prompt": "y"}\n')
    assert told(tmp_path, prompts, fetch=True) == ["run.yml:5: prompts[0]: read again"]
