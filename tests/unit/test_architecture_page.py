"""The page docs/architecture.md names rooms, files and functions that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`((?:fmload|analysis|deploy)/[\w/]+\.py(?::\w+)?)`", PAGE))))
def test_every_file_and_function_that_the_page_names_is_there(named: str) -> None:
    path, _, name = named.partition(":")
    text = (ROOT / path).read_text()
    assert not name or re.search(rf"(?:def|class) {name}\b", text)


def test_every_room_of_the_load_side_is_on_the_page() -> None:
    rooms = {room for room in architecture.rooms() if room.startswith("fmload/") and room.count("/") == 1
             and not room.endswith(".py")}
    assert rooms <= set(re.findall(r"`(fmload/\w+)`", PAGE))
