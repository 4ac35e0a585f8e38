"""The page on the emulator names everything that can be asked of it."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from fmload.emulator.faults import KINDS
from fmload.emulator.profiles import PROFILES
from fmload.emulator.shape import Shape
from fmload.plugins import FORMS

PAGE = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text()


@pytest.mark.parametrize("word", [*PROFILES, *KINDS, *FORMS, *(item.name.removesuffix("_s") for item in fields(Shape))])
def test_the_page_names(word: str) -> None:
    assert f"`{word}`" in PAGE
