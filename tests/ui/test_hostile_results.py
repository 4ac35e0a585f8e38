"""A results folder full of hostile texts, from servers and run files: every output of it, opened as its readers do."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from handmade import request, stage, write
from playwright.sync_api import expect
from published_data import published_cases
from watched import Watched

from fmload.cli.main import main

pytestmark = pytest.mark.browser
SCRIPT = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
LINK = "[click](javascript:document.title='taken') ![x](http://192.0.2.1/x.png)"
FORMULA = "=HYPERLINK(\"http://192.0.2.1/\",\"x\")"
TERMINAL = "\x1b]0;taken\x07\x1b[2J\u202e"
MARKUP = "[/] [link=http://192.0.2.1/]x[/link]"  # of the library that writes tables to the terminal
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202e]")
HOSTILE = f"{FORMULA} {SCRIPT} {LINK} {TERMINAL} {MARKUP}"


def poisoned(folder: Path) -> Path:
    """Each text that a server, a run file or another host may give is hostile."""
    told: dict[str, Any] = {"endpoint": HOSTILE, "prompt_set": HOSTILE, "prompt_id": HOSTILE, "worker": HOSTILE,
                            "address": HOSTILE}
    records = [request(f"{HOSTILE} {n}", 20 * n, [20 * n + 5 * k for k in range(1, 4)], finish_reason=HOSTILE,
                       remark=HOSTILE, **told) for n in range(30)]
    records += [request(f"f{n}", 20 * n, (), end_ms=20 * n + 5, outcome="http_5xx", error=HOSTILE, **told)
                for n in range(10)]
    mark = {"kind": HOSTILE, "at_ns": 5, "worker": HOSTILE, "detail": HOSTILE}
    spec = {"name": HOSTILE, "report": {"title": HOSTILE}, "region": HOSTILE, "prompts": [{"name": HOSTILE}],
            "endpoints": [{"name": HOSTILE, "model": HOSTILE, "url": HOSTILE, "emulated": HOSTILE, "protocol": HOSTILE,
                           "proxy": HOSTILE, "parameters": {HOSTILE: HOSTILE}}]}
    parameters = {HOSTILE: HOSTILE}
    results = write(folder, [stage(endpoint=HOSTILE, prompt_set=HOSTILE, workers=[HOSTILE], marks=[mark],
                                   parameters=parameters)], records, spec=spec, workers=[{"worker": HOSTILE}])
    results.environment_json.write_text(json.dumps(dict.fromkeys(
        ("fmload", "python", "host", "kernel", "cpus", "argv", "started_utc"), HOSTILE) | {
            "packages": {HOSTILE: HOSTILE}, "emulated": {HOSTILE: HOSTILE}}))
    results.events_jsonl.write_text(json.dumps({"at_ns": 1, "kind": HOSTILE, "worker": HOSTILE, "stage": 0,
                                                "detail": HOSTILE}) + "\n")
    return results.root


@pytest.fixture
def reported(tmp_path: Path) -> Path:
    root = poisoned(tmp_path / "run")
    assert main(["report", str(root)]) in (0, 4)
    return root


def test_the_report_runs_and_fetches_nothing_of_them_in_a_browser(reported: Path, watched: Watched) -> None:
    page = watched.page
    page.goto((reported / "report.html").as_uri())
    expect(page.locator("main")).to_contain_text("onerror")
    for folded in page.locator("details").all():
        folded.evaluate("element => { element.open = true }")
    assert page.title() != "taken"
    assert watched.errors == [] and watched.network() == []
    expect(page.locator("img[src^=x], img[src^=http], a[href^=javascript]")).to_have_count(0)


def test_no_markdown_file_holds_a_tag_a_picture_from_elsewhere_or_a_control_character(reported: Path) -> None:
    files = sorted(reported.glob("*.md"))
    assert files
    for path in files:
        text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)  # code is shown as it is
        assert "onerror" in text or path.stat().st_size < 2_000
        assert not re.search(r"<(script|img|/script)", text), path.name
        assert "![x](http" not in text, path.name
        assert not CONTROL.search(path.read_text()), path.name


def test_no_cell_of_a_csv_file_is_a_formula(reported: Path) -> None:
    files = sorted(reported.rglob("*.csv"))
    assert files
    for path in files:
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert any("HYPERLINK" in cell for cell in cells)
        assert not [cell for cell in cells if re.match(r"[=@\t\r]|[+-](?![\d.])", cell)]
        assert "\x1b" not in path.read_text()


@pytest.mark.parametrize("command", ["report", "audit", "compare", "report --as llmperf", "report --as aiperf"])
def test_the_terminal_is_told_no_control_character(reported: Path, command: str,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    name, *options = command.split()
    main([name, str(reported), *([str(reported)] if command == "compare" else []), *options])
    told = capsys.readouterr()
    assert "onerror" in told.out or "HYPERLINK" in told.out
    assert not CONTROL.search(told.out + told.err)


def test_an_import_tells_no_control_character_of_other_tools_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                                   capsys: pytest.CaptureFixture[str]) -> None:
    right = json.loads((published_cases() / "vllm_10-of-250-failed.json").read_text())
    hostile = {**right, **{key: HOSTILE for key, value in right.items() if isinstance(value, str) and key != "date"}}
    source = tmp_path / f"hostile {TERMINAL.replace('/', '')}.json"
    source.write_text(json.dumps({**hostile, "mean_e2el_ms": 1.0}))
    monkeypatch.chdir(tmp_path)
    main(["import", str(source)])
    told = capsys.readouterr()
    assert "contradict" in told.out and not CONTROL.search(told.out + told.err)
