"""JSON that the strict parser refuses, and characters cut in half."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.endpoints.characters import Mender
from fmload.endpoints.lenient_json import MAX_DEPTH, loads, tolerant

JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4))


def test_numbers_that_are_none_are_read() -> None:
    value = loads(b'{"a": NaN, "b": -Infinity, "c": %s}' % (b"9" * 6000))
    assert math.isnan(value["a"]) and value["b"] == -math.inf and value["c"] == math.inf


@given(JSON)
def test_the_tolerant_reading_of_json_is_the_usual_one(value: object) -> None:
    text = json.dumps(value)
    assert repr(tolerant(text.encode())) == repr(json.loads(text, parse_int=lambda digits: int(digits) if len(
        digits) < 20 else float(digits)))


def test_what_lies_too_deep_is_left_out_and_the_rest_stays() -> None:
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    value = tolerant(b'{"before": "}{", "deep": %s, "after": [1, "]"]}' % deep)
    assert (value["before"], value["after"]) == ("}{", [1, "]"])
    depth, inside = 1, value["deep"]
    while inside is not None:
        depth, inside = depth + 1, inside["a"]
    assert depth == MAX_DEPTH


@pytest.mark.parametrize("data", [b"", b"{", b"nul", b'{"a":', b"[" * 100_000, b"]" * 100, b'"', b"\xff", b"{}{}"])
def test_what_is_no_json_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):
        tolerant(data)


@given(text=st.text(), cuts=st.lists(st.integers(0, 400), max_size=6))
def test_text_cut_between_bytes_or_halves_is_mended(text: str, cuts: list[int]) -> None:
    encoded = text.encode()
    places = sorted({0, len(encoded), *(cut % (len(encoded) + 1) for cut in cuts)})
    mender = Mender()
    pieces = [mender.add(encoded[a:b].decode("utf-8", "surrogateescape")) for a, b in pairwise(places)]
    assert "".join(pieces) + mender.end() == text
    halves = text.encode("utf-16-le", "surrogatepass")
    mender = Mender()
    units = [halves[at:at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(halves), 2)]
    assert "".join(map(mender.add, units)) + mender.end() == text


@given(st.lists(st.text(st.characters(codec=None, categories=None)), max_size=5))
def test_whatever_the_halves_the_text_can_be_encoded(pieces: list[str]) -> None:
    mender = Mender()
    ("".join(map(mender.add, pieces)) + mender.end()).encode()
