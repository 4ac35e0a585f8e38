"""A worker needs what requirements-worker.txt lists, and no more."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
LISTED = {re.split(r"[<>=]", line)[0] for line in (ROOT / "requirements-worker.txt").read_text().splitlines()
          if line and not line.startswith("#")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
LEFT_OUT = {re.split(r"[<>=]", line)[0] for line in PROJECT} - LISTED
_CODE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
import locust
import fmload.plugin, fmload.master.controller, fmload.results.journal, fmload.exposition.watching
from fmload.plugins import ARRIVALS, ENDPOINTS
for table in (ENDPOINTS, ARRIVALS):
    for name in table.own():
        table.load(name)
print("ready")
"""


def test_what_is_listed_is_what_the_project_lists() -> None:
    assert {re.split(r"[<>=]", line)[0] for line in PROJECT} >= LISTED
    assert {"pandas", "matplotlib", "transformers"} <= LEFT_OUT


def test_a_locust_process_starts_without_the_rest() -> None:
    missing = {name.replace("-", "_") for name in LEFT_OUT} - {"jinja2"}  # Flask, which Locust brings, needs it
    done = subprocess.run([sys.executable, "-c", _CODE.format(missing=missing)], capture_output=True, text=True,
                          timeout=120, check=False)
    assert done.stdout.strip() == "ready", done.stderr
