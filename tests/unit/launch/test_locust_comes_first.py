"""`fmload run` has Locust imported by a process of its own before it imports anything large itself."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from fmload.cli import measuring, run

LARGE = ("pydantic", "yaml", "numpy", "pyarrow", "rich", "gevent", "boto3", "pandas", "fmload.config.schema",
         "fmload.cli.measuring")
OPTIONS = """
import argparse, sys
from fmload.cli import main
main.parser_of("run").parse_args(["run.yml"])
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


def test_the_command_knows_its_options_before_it_imports_anything_large() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", OPTIONS, *LARGE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(("varies", "order"), [
    (False, ["Locust comes", "checked", "measured", "Locust is gone"]),
    (True, ["Locust comes", "checked", "Locust is gone", "searched"])], ids=["a run", "a search"])
def test_locust_comes_while_a_run_is_checked_and_is_gone_before_a_search_whose_trials_have_their_own(
        varies: bool, order: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    @contextmanager
    def imported() -> Iterator[None]:
        seen.append("Locust comes")
        yield
        seen.append("Locust is gone")

    def step(name: str, *_: Any) -> Any:
        seen.append(name)
        return SimpleNamespace(varies=varies)

    monkeypatch.setattr(run, "locust_imported", imported)
    for name in ("checked", "measured", "searched"):
        monkeypatch.setattr(measuring, name, partial(step, name))
    run.run(argparse.Namespace())
    assert seen == order
