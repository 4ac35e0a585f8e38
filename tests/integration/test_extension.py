"""Every table of `fmload.plugins` takes an entry from another distribution; no file of fmload is touched."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import pages

from fmload.results.folder import Results
from tests import emulators
from tests.extending import EXAMPLE, PAGE, page, tables


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which the example is installed as a distribution of its own."""
    folder = tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder),
                    str(EXAMPLE)], check=True, timeout=180)
    return folder


def fmload(installed: Path, cwd: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "fmload", *words], cwd=cwd, capture_output=True, text=True,
                          timeout=180, check=False, env=environment(installed))
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def environment(installed: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def url(installed: Path, tmp_path: Path) -> Iterator[str]:
    """The emulator, which speaks the example's protocol by the example's plane: five tokens to every prompt."""
    ready, output = tmp_path / "ready.json", tmp_path / "emulator.log"
    with output.open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "fmload.emulator", "--port", "0", "--ready-file",
                                   str(ready), "--ttft", "5ms", "--gap", "5ms", "--default-tokens", "5"],
                                  env=environment(installed), stdout=log, stderr=log)
    try:
        yield emulators.ready(server, ready, output)["url"] + "/lines"
    finally:
        server.terminate()
        server.wait(30)


def run_file(folder: Path, url: str, **changes: object) -> Path:
    path = folder / "run.yml"
    path.write_text(json.dumps({
        "name": "extended",
        "endpoints": [{"name": "mine", "protocol": "lines",
                       "deploy": {"target": "folder", "path": str(folder / "made"), "url": url}}],
        "prompts": [{"name": "p", "source": "countdown", "first": 3, "count": 50, "output_tokens": 5}],
        "load": {"rate": [20], "arrivals": {"process": "pairs", "apart_s": 0.01}, "ramp": "0s", "warmup": "0s",
                 "window": "3s", "drain": "5s", "workers": 1},
        "telemetry": [{"name": "host", "collector": "load_average", "every": "500ms"}], **changes}))
    return path


def test_the_example_has_an_entry_for_every_table(installed: Path) -> None:
    found = importlib.metadata.PathDistribution(installed / "fmload_example-1.0.dist-info").entry_points
    assert {point.group for point in found} == {table.group for table in tables()}


def test_the_page_is_made_from_the_tables_and_the_example() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.extending"


def test_each_example_is_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in (EXAMPLE / "fmload_example").glob("*.py")}
    assert all(lines <= 45 for lines in lengths.values()), lengths


def test_a_run_uses_all_of_them(installed: Path, tmp_path: Path, url: str) -> None:
    path = run_file(tmp_path, url)
    fmload(installed, tmp_path, "run", str(path), "--out", "out", "--yes", "--text-file", str(tmp_path / "live.txt"))
    report = pages(Results(tmp_path / "out"))
    assert "The longest wait" in report and "round numbers" in report
    live = (tmp_path / "live.txt").read_text()
    assert live.startswith("requests ") and "first_half" in live  # its metric has a histogram while the run goes on
    assert not (tmp_path / "made").exists()  # the kind of resource deleted it
    requests, = re.findall(r"(\d+) requests", fmload(installed, tmp_path, "count", "out"))
    assert int(requests) >= 60
    assert "Time to half of the tokens p50" in report
    assert "first_half_p50_s" in (tmp_path / "out" / "summary.csv").read_text()
    assert "seconds" in fmload(installed, tmp_path, "report", "out", "--as", "stopwatch")


def test_its_importer_recognises_a_file(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs.csv").write_text("users,ttft_s,tokens_per_s\n1,0.25,40\n8,0.5,200\n")
    told = fmload(installed, tmp_path, "import", "theirs.csv", "--out", "read")
    assert "three_columns" in told
    assert "8 users" in (tmp_path / "read" / "published.csv").read_text()


def test_its_score_is_one_of_evaluate(installed: Path) -> None:
    code = "from fmload.plugins import SCORES; print(SCORES.load('same_length')('ab', 'abcd'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(installed))
    assert done.stdout.strip() == "0.5", done.stderr


def test_keys_of_an_extension_are_checked_and_suggested(installed: Path, tmp_path: Path, url: str) -> None:
    path = run_file(tmp_path, url, prompts=[{"name": "p", "source": "countdwn", "first": 3}])
    assert "did you mean 'countdown'" in fmload(installed, tmp_path, "validate", str(path), code=2)
    path = run_file(tmp_path, url, prompts=[{"name": "p", "source": "countdown", "frist": 3}])
    assert "did you mean 'first'" in fmload(installed, tmp_path, "validate", str(path), code=2)


def test_the_options_of_a_fleet_target_are_flags(installed: Path, tmp_path: Path) -> None:
    assert "--niceness" in fmload(installed, tmp_path, "fleet", "--help")


def test_the_command_of_an_extension_is_listed_with_its_help(installed: Path, tmp_path: Path) -> None:
    assert "count the requests of a results folder" in fmload(installed, tmp_path, "--help")


def broken(site: Path) -> None:
    """A distribution whose sections and command cannot be imported; one takes a name of ours."""
    info = site / "acme_broken-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(
        "[fmload.report_section]\nours = acme_absent:render\nheadline = acme_absent:render\n"
        "[fmload.command]\nlift = acme_absent\n")


def test_broken_entries_are_all_told_before_the_load(tmp_path: Path) -> None:
    broken(tmp_path / "site")
    told = fmload(tmp_path / "site", tmp_path, "run", "http://127.0.0.1:1/v1", code=2)
    assert "report section 'ours' of acme-broken 2.0 cannot be loaded: acme_absent:render" in told
    assert "report section 'headline' is claimed by fmload itself and by acme-broken 2.0" in told


def test_a_broken_command_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    broken(tmp_path / "site")
    assert "command 'lift' of acme-broken 2.0 cannot be loaded" in fmload(tmp_path / "site", tmp_path, "--help")
    assert "Traceback" not in fmload(tmp_path / "site", tmp_path, "lift", code=2)
    assert "usage: fmload validate" in fmload(tmp_path / "site", tmp_path, "validate", "--help")
