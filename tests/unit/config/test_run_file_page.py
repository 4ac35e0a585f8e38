"""docs/run-file.md says what the schema says, and docs/prompts.md knows every source."""

from __future__ import annotations

from pathlib import Path

from fmload.config.problems import RunFileError
from fmload.config.reference import PAGE, rewritten
from fmload.plugins import SOURCES


def test_the_tables_of_the_page_are_those_of_the_schema() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == rewritten(page), "run: python -m fmload.config.reference"


def test_every_source_is_on_its_page() -> None:
    page = Path(PAGE).with_name("prompts.md").read_text(encoding="utf-8")
    assert [name for name in SOURCES if f"`{name}`" not in page] == []


def test_the_hint_of_a_bad_file_names_the_page() -> None:
    from fmload.config import parse

    try:
        parse("", "x.yml", Path("/"))
    except RunFileError as error:
        assert "fmload help run-file" in str(error.hint)
