"""Every test that docs/cases.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

from fmload.base.resources import resource

TESTS = Path(__file__).parents[1]


def test_every_test_that_the_page_of_cases_names_exists() -> None:
    page = resource("docs", "cases.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    known = {name for path in TESTS.rglob("test_*.py") for name in re.findall(r"^\s*def (test_\w+)", path.read_text(),
                                                                             re.MULTILINE)}
    assert len(named) > 50 and named - known == set()
    assert all((TESTS.parent / path).exists() for path in re.findall(r"`(tests/[\w/.]+)`", page))


def test_every_case_of_the_page_has_a_test() -> None:
    rows = [line for line in resource("docs", "cases.md").read_text().splitlines()
            if line.startswith("| ") and not line.startswith("| case |")]
    assert len(rows) > 40 and [row for row in rows if "`test_" not in row] == []
