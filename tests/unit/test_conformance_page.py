"""The page on conformance names every case, and tests that are there."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from published_data import cases

from fmload.plugins import FORMS
from tests import conformance


def test_the_page_is_what_the_table_says() -> None:
    assert conformance.PAGE.read_text() == conformance.page(), "run: python -m tests.conformance"


def test_every_test_that_the_page_names_is_there() -> None:
    missing = [name for name in conformance.named() if not _is_there(*name.split("::"))]
    assert not missing


def _is_there(file: str, function: str) -> bool:
    path = conformance.TESTS / file
    if not path.exists():
        return False
    tests = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
             and node.name.startswith("test_")}
    return bool(tests) if function == "*" else function in tests


def test_every_published_answer_is_on_the_page_and_at_least_forty_forms_are_spoken_over_sockets() -> None:
    names = [json.loads(line)["name"] for line in Path(cases("answers.jsonl")).read_text().splitlines()]
    assert set(names) == conformance.FORM_OF.keys() | conformance.OTHERWISE.keys()
    assert set(conformance.FORM_OF.values()) <= set(FORMS.names())
    assert len(set(conformance.FORM_OF.values())) >= 30 and len(FORMS.names()) >= 40


@pytest.mark.parametrize(("page", "table"), [
    ("wire.md", conformance.WIRE), ("aws.md", conformance.OF_AWS), ("engines.md", conformance.OF_ENGINES)])
def test_each_page_of_cases_has_about_as_many_rows_here(page: str, table: list[conformance.Case]) -> None:
    """One row here may hold several alike of there."""
    lines = Path(cases(page)).read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and "| right |" not in line]
    assert len(table) >= 0.75 * len(rows), (page, len(rows), len(table))
