"""The how-to page for agents runs as it is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fmload.base.resources import resource
from fmload_analysis.pipeline import analyse
from tests.load_rig import emulator

FILES = {"yaml": "agent.yml", "json": "steps.jsonl"}


def blocks(language: str) -> list[str]:
    page = resource("docs", "load-test-your-agent.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.mark.timeout(900)
def test_the_page_runs_as_written(tmp_path: Path) -> None:
    for language, name in FILES.items():
        content, = blocks(language)
        (tmp_path / name).write_text(content)
    first, *commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert first.endswith("&") and len(commands) == 4
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with emulator(tmp_path, *shlex.split(first)[4:-1]) as server:
        file = tmp_path / "agent.yml"  # the page's port may be taken here
        file.write_text(file.read_text().replace("http://127.0.0.1:8090", server.url))
        for command in commands:
            done = subprocess.run(shlex.split(command), cwd=tmp_path, env={**os.environ, "PATH": path}, timeout=300,
                                  capture_output=True, text=True, check=False)
            assert done.returncode in (0, 4), f"{command}\n{done.stdout}{done.stderr}"  # 4: a busy machine
    for folder in ("agent", "search", "trace"):
        rows = pq.read_table(tmp_path / "results" / folder / "sessions.parquet").to_pylist()
        assert any(row["outcome"] == "finished" for row in rows)
        assert (tmp_path / "results" / folder / "report.html").stat().st_size > 0
    agent = analyse(tmp_path / "results" / "agent")
    assert [result.summary.stage.load_label for result in agent.results] == ["2 sessions", "4 sessions"]
    searched = analyse(tmp_path / "results" / "search").results
    assert all(result.summary.stage.verdict is not None for result in searched)
    trace, = analyse(tmp_path / "results" / "trace").results
    assert trace.summary.sessions is not None and trace.summary.sessions.whole.requests_mean == 2
