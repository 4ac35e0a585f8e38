"""The documentation builds with every link checked; the generated pages are those of the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import commands_page

ROOT = Path(__file__).parents[2]


def test_the_site_builds_and_no_link_is_broken(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    zensical = Path(sys.executable).with_name("zensical")
    done = subprocess.run([zensical, "build", "--strict"], cwd=tmp_path, capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "index.html").exists()


def test_every_page_is_in_the_navigation() -> None:
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")
             if "examples" not in path.parts}
    assert named == pages


def test_the_page_of_commands_is_made_from_their_parsers() -> None:
    assert commands_page.PAGE.read_text() == commands_page.page(), "run: python -m tests.commands_page"


@pytest.mark.parametrize("command", commands_page.COMMANDS.own())
def test_every_command_is_on_the_page(command: str) -> None:
    assert f"## fmload {command}\n" in commands_page.PAGE.read_text()
