"""Every command and snippet of the pages that people type from: README, the tutorials, the report's page."""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from fmload.cli.main import parser_of
from fmload.locust import options
from fmload.plugins import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/index.md", "docs/running.md", "docs/locust.md", "docs/report.md", "docs/python.md",
         "docs/monitoring.md")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def typed() -> list[tuple[str, str]]:
    """(page, command), lines that go on put together, remarks and what follows a pipe left out."""
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                command = re.split(r"\s#|\s\|\s", line)[0].strip()
                if command.partition(" ")[0].rpartition("/")[2] in ("fmload", "locust"):
                    found.append((page, command))
    return found


class Collected:
    """A parser that only notes the names of options."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def add_argument(self, *names: str, **_: object) -> None:
        self.names.update(names)

    def set_defaults(self, **_: object) -> None:
        """Has none."""


@cache
def of_locust() -> set[str]:
    """Locust's own options, and those that a locustfile of ours adds."""
    told = subprocess.run([sys.executable, "-m", "locust", "--help"], capture_output=True, text=True, timeout=120,
                          check=True).stdout
    ours = Collected()
    options.add_arguments(ours)
    return ours.names | set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", told))


@pytest.mark.parametrize(("page", "command"), typed())
def test_the_program_knows_every_option_that_a_page_types(page: str, command: str) -> None:
    program, *words = shlex.split(command)
    if program.endswith("locust"):
        known = of_locust()
        assert [word for word in words if re.match(r"-+[a-z]", word) and word.split("=")[0] not in known] == []
        assert all((ROOT / word).exists() for word in words if word.startswith("locustfiles/"))
        return
    assert words[0] in COMMANDS
    if "[" in command or "…" in command or words[0] == "help":
        return  # a form, not a command
    told = io.StringIO()
    with contextlib.redirect_stderr(told):
        try:
            parsed = parser_of(words[0]).parse_args(words[1:])
        except SystemExit:
            pytest.fail(told.getvalue())
    assert isinstance(parsed, argparse.Namespace)


@pytest.mark.parametrize(("page", "text"), [(page, text) for page in PAGES for text in blocks(page, "python")])
def test_a_snippet_compiles_and_what_it_imports_is_there(page: str, text: str) -> None:
    for node in ast.walk(ast.parse(text.replace("…", "..."))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fmload"):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, name.name) for name in node.names)


def test_there_is_something_to_type_on_each_of_the_first_pages() -> None:
    assert {"README.md", "docs/index.md", "docs/running.md", "docs/locust.md", "docs/report.md"} <= {
        page for page, _ in typed()}
