from __future__ import annotations

import pytest

from fmload.base.errors import FmloadError
from fmload.base.registry import Registry


def test_nothing_is_imported_before_it_is_loaded() -> None:
    table = Registry("test thing", {"broken": "no.such.module:Thing", "join": "os.path:join"})
    assert table.names() == ["broken", "join"]
    assert table.load("join")("a", "b") == "a/b"


def test_an_unknown_name_is_answered_with_the_closest_one() -> None:
    table = Registry("test thing", {"openai": "os.path:join"})
    with pytest.raises(FmloadError, match="unknown test thing 'opanai'; did you mean 'openai'"):
        table.load("opanai")


def test_third_parties_register_by_entry_point_group_named_after_the_kind() -> None:
    assert Registry("endpoint protocol", {}).group == "fmload.endpoint_protocol"
