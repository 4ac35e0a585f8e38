"""Payload sets by language and length: made by filters, shown by `fmload prompts`, sent and reported by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from handmade import pages

from fmload.cli import main as cli
from fmload.prompts import read
from tests.load_rig import emulator, run_file, started

ROWS = [{"context": f"{language} {number} " + "river " * words, "answer": str(number), "language": language}
        for number in range(30) for language, words in (("en", 40), ("en", 600), ("en", 1200), ("fr", 40))]
SETS = {"en_1-500": ("en", [1, 500]), "en_500-1000": ("en", [500, 1000]), "fr_1-500": ("fr", [1, 500])}
LOAD = {"concurrency": [2], "ramp": 0, "warmup": "200ms", "window": "500ms", "drain": "10s"}


def test_payload_sets_are_written_shown_sent_and_reported_by_their_names(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "ask.txt").write_text("Sum up: {context}")
    prompts = [{"name": name, "source": "jsonl", "files": ["rows.jsonl"], "template": "ask.txt",
                "filter": {"language": language, "tokens": tokens}, "reference_column": "answer", "output_tokens": 5}
               for name, (language, tokens) in SETS.items()]
    with emulator(tmp_path, "--ttft", "10ms", "--gap", "2ms") as server:
        path = run_file(tmp_path, {"a": server.url}, LOAD, prompts=prompts)
        assert cli.main(["prompts", str(path), "--out", str(tmp_path / "sets")]) == 0
        with started(["-m", "fmload", "run", str(path), "--out", str(tmp_path / "out")], tmp_path) as run:
            assert run.wait() in (0, 4), run.output()  # 4: the audit, on a busy machine
    shown, sent = capsys.readouterr().out, run.records()
    for name, (language, (least, most)) in SETS.items():
        made = {prompt.id: prompt for prompt in read(tmp_path / "sets" / f"{name}.jsonl")}
        assert len(made) == 30
        assert all(least <= (prompt.input_tokens or 0) <= most for prompt in made.values())
        assert all((prompt.text or "").startswith(f"Sum up: {language} ") for prompt in made.values())
        assert f"{name}: 30 prompts" in shown
        assert read(run.results.prompts / f"{name}.jsonl") == list(made.values())
        mine = {record.prompt_id for record in sent if record.prompt_set == name}
        assert mine and mine <= made.keys()
    assert shown.count("█") > 3 * len(SETS)
    with (run.results.root / "summary.csv").open() as file:
        assert [row["prompt_set"] for row in csv.DictReader(file)] == list(SETS)
    assert all(name in pages(run.results) for name in SETS)
