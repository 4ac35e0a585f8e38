"""What a record keeps of the server's own account."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.base import redaction
from fmload.worker.detail import MAX_BYTES, MAX_DEPTH, detail_json

ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(categories=None)),
                   lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def test_a_usual_account_is_kept_as_it_is() -> None:
    assert json.loads(detail_json({"timings": {"predicted_ms": 5.5, "n": 3}})) == {"timings": {"predicted_ms": 5.5,
                                                                                               "n": 3}}


def test_a_deep_account_is_cut_and_what_stands_beside_it_stays() -> None:
    kept = json.loads(detail_json({"timings": nested(300), "request_id": "r"}))
    assert kept["request_id"] == "r"
    depth, inside = 0, kept
    while inside is not None:
        inside, depth = inside["timings" if depth == 0 else "a"], depth + 1
    assert depth == MAX_DEPTH


def test_numbers_and_texts_beyond_all_bounds_are_cut() -> None:
    kept = json.loads(detail_json({"n": 10**400, "t": "x" * 200_000, "half": "\ud83d"}))
    assert kept["n"] == 2**63 - 1 and len(kept["t"]) == 1000 and kept["half"] == "?"
    assert len(detail_json({str(key): "x" * 2000 for key in range(5000)})) <= MAX_BYTES


@given(st.dictionaries(st.text(), ANY, max_size=4))
def test_no_account_raises(detail: dict[str, Any]) -> None:
    assert len(detail_json(detail)) <= MAX_BYTES and isinstance(json.loads(detail_json(detail)), dict)


@pytest.mark.parametrize("detail", [
    {"timings": {"said": "no such key zq7xKp9LmN2p"}}, {"timings": {"zq7xKp9LmN2p": 1.0}},
    {"list": [1, ["zq7xKp9LmN2p"]]}])
def test_a_secret_is_blanked_out_wherever_it_lies(detail: dict[str, Any]) -> None:
    before = dict(redaction._forms)
    try:
        redaction.protect("zq7xKp9LmN2p")
        assert "zq7x" not in detail_json(detail) and "[redacted]" in detail_json(detail)
    finally:
        redaction._forms.clear()
        redaction._forms.update(before)


def test_figures_stay_as_they_are() -> None:
    detail = {"timings": {"prompt_ms": 1.5, "n": [1, None, True]}}
    assert json.loads(detail_json(detail)) == detail
