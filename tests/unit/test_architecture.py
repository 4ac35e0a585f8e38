"""The rules of the house, held by every test run: no circle, ten floors at most, no loose module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import architecture


def test_the_code_has_no_circle_no_loose_module_and_ten_floors_at_most() -> None:
    assert architecture.problems() == []


def test_test_files_of_one_name_are_told() -> None:
    paths = [Path("unit/a/test_x.py"), Path("unit/b/test_x.py"), Path("unit/a/test_y.py")]
    assert architecture.twins(paths) == ["test_x.py"]


@pytest.mark.parametrize(("graph", "expected"), [
    ({"a": {"b"}, "b": set()}, []),
    ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [["a", "b"]]),
    ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"e"}, "e": {"d"}}, [["a", "b", "c"], ["d", "e"]]),
])
def test_circles_are_groups_of_rooms_that_reach_each_other(graph: dict[str, set[str]],
                                                           expected: list[list[str]]) -> None:
    assert sorted(architecture.circles(graph)) == expected


def test_a_room_stands_one_floor_above_the_highest_that_it_imports() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set(), "d": set()}
    assert architecture.floors(graph) == {"a": 3, "b": 2, "c": 1, "d": 1}
