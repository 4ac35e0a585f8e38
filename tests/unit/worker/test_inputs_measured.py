"""The record of a request for embeddings: inputs, the instant of the whole answer, no tokens of an answer."""

from __future__ import annotations

from typing import Any, cast

import msgpack
import orjson
import pytest

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.model.record import COLUMNS, Record, pack, unpack
from fmload.wire.exchange import Exchange, ReadMark
from fmload.worker.dispatcher import _check
from fmload.worker.measure import measure
from tests.spoken import spoken

TWO = Prompt("p", "s", inputs=["red", "blue"], input_tokens=2)
ANSWER = orjson.dumps({"data": [{"index": i, "embedding": [0.5, 1.5]} for i in (0, 1)], "usage": {"prompt_tokens": 7}})


class Wire:
    """Gives one exchange whose bytes came in two reads."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def exchange(self, *_: Any) -> Exchange:
        marks = [ReadMark(10, 2_000, 5, True), ReadMark(len(self._body), 3_000, 5, True)]
        return Exchange("a", status=200, body=self._body, complete=True, send_ns=1_000, end_ns=3_500, marks=marks)

    def partial(self) -> None:
        return None


def record(body: bytes, prompt: Prompt = TWO, protocol: str = "embeddings") -> Record:
    endpoint, wire = spoken(protocol), cast(Any, Wire(body))
    return measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id="r", worker="w", stage=0,
                   scheduled_ns=900)[0]


def test_the_answer_has_come_with_its_last_byte_and_has_no_token() -> None:
    found = record(ANSWER)
    assert (found.outcome, found.inputs, found.input_tokens, found.streamed) == ("ok", 2, 7, False)
    assert (found.send_ns, found.last_token_ns) == (1_000, 3_000)
    assert (found.first_token_ns, found.first_answer_ns, found.output_tokens, list(found.chunk_ns)) == (
        None, None, None, [])


def test_one_vector_too_few_is_a_failed_request_with_its_inputs() -> None:
    found = record(ANSWER, Prompt("p", "s", inputs=["a", "b", "c"]))
    assert (found.outcome, found.error, found.inputs) == ("decode", "2 vectors for 3 inputs", 3)


def test_a_request_for_text_has_no_inputs() -> None:
    whole = orjson.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]})
    assert record(whole, Prompt("p", "s", text="x"), "openai").inputs is None


def test_inputs_travel_and_records_of_schema_2_have_none() -> None:
    found = record(ANSWER)
    assert unpack(pack(found)).inputs == 2
    earlier = msgpack.packb(msgpack.unpackb(pack(found))[:COLUMNS.index("inputs")])
    assert unpack(earlier).inputs is None


def test_a_prompt_of_several_texts_is_not_sent_to_an_endpoint_that_generates() -> None:
    with pytest.raises(FmloadError, match="generates text"):
        _check(spoken("openai"), TWO)
    _check(spoken("embeddings"), TWO)
