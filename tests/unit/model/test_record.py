from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.model.record import COLUMNS, SCHEMA, Record, from_table, pack, to_table, unpack

instants = st.integers(min_value=0, max_value=2**62)


@st.composite
def records(draw: st.DrawFn) -> Record:
    chunks = draw(st.lists(instants, max_size=20))
    return Record(
        request_id=draw(st.text(max_size=20)), worker="w", stage=draw(st.integers(0, 1000)), endpoint="e",
        prompt_set="p", prompt_id="1", scheduled_ns=draw(instants), send_ns=draw(st.none() | instants),
        chunk_ns=array("q", chunks), chunk_tokens=array("i", [1] * len(chunks)),
        chunk_censored=array("b", [0] * len(chunks)), error=draw(st.none() | st.text(max_size=50)),
        output_tokens=draw(st.none() | st.integers(0, 2**31 - 1)))


@given(records())
def test_packing_keeps_every_fact(record: Record) -> None:
    assert unpack(pack(record)) == record


@given(st.lists(records(), max_size=5))
def test_the_columns_keep_every_fact(rows: list[Record]) -> None:
    table = to_table(rows)
    assert table.schema.equals(SCHEMA)
    assert from_table(table) == rows


def test_bytes_of_another_schema_are_refused() -> None:
    import msgpack

    with pytest.raises(ValueError, match="not a record of schema"):
        unpack(msgpack.packb(["too", "short"]))


def test_the_columns_that_others_build_on_are_there() -> None:
    asked = {"request_id", "worker", "stage", "endpoint", "prompt_set", "prompt_id", "scheduled_ns", "send_ns",
             "headers_ns", "first_token_ns", "last_token_ns", "end_ns", "chunk_ns", "chunk_tokens", "stamp",
             "input_tokens", "output_tokens", "cached_tokens", "tokens_source", "finish_reason", "outcome", "status",
             "error"}
    assert asked <= set(COLUMNS)
