"""The emulator's embeddings and rankings: every form is read by the readers, odd ones as they should."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.emulator import inputs
from fmload.emulator.dialect import Usage
from fmload.emulator.http import Unfit
from fmload.emulator.odd import Form, Odd
from fmload.endpoints.input_forms import FORMS as BODIES
from fmload.endpoints.input_forms import InputsCodec
from fmload.model.prompt import Prompt
from fmload.plugins import FORMS
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome
from tests.odd_inputs import OF_INPUTS, OF_RANKINGS, OF_VECTORS

TEXTS = ["red", "blue", "seven", "eight"]


def answered(form: str, odd: str | None = None, count: int = 4, **parameters: Any) -> tuple[Any, str, Any]:
    """Batch, outcome and input tokens of the emulator's answer to a request in this form."""
    codec = InputsCodec("e", form, parameters)
    prompt = Prompt("p", "s", text="a colour?" if "rerank" in form else None, inputs=TEXTS[:count])
    body = orjson.loads(orjson.dumps(codec.body(prompt)))
    asked = inputs.asked_of(body, BODIES[form].base + BODIES[form].path)
    assert asked is not None
    dialect: Any = inputs.Answered(asked, body, 8)
    whole = (Odd(dialect, FORMS.load(odd)) if odd else dialect).whole("", "", "stop", Usage(21, 0))
    exchange = Exchange("a", status=200, body=whole.body, complete=True, headers=whole.headers)
    reading = codec.read(exchange)
    failure = outcome(exchange, reading, codec.expects(prompt))
    return reading.batch, failure.outcome if failure else "ok", reading.input_tokens


@pytest.mark.parametrize("form", BODIES)
def test_every_form_is_answered_with_what_was_asked(form: str) -> None:
    count = 1 if form == "titan_embed" else 4
    batch, ended, tokens = answered(form, count=count)
    assert (batch.held, ended) == (count, "ok")
    assert tokens == (None if form == "jumpstart_embed" else 21)
    assert set(batch.dimensions) <= {8}


@pytest.mark.parametrize("parameters", [{"encoding_format": "base64"}, {"dimensions": 5}])
def test_encoding_and_length_are_as_asked(parameters: dict[str, Any]) -> None:
    batch, ended, _ = answered("openai_embeddings", **parameters)
    assert (ended, set(batch.dimensions)) == ("ok", {parameters.get("dimensions", 8)})


def test_cohere_answers_in_every_type_asked_for() -> None:
    assert answered("cohere_embed", embedding_types=["base64"])[1] == "ok"


def test_a_ranking_gives_the_best_first_and_no_more_than_asked_for() -> None:
    asked = inputs.asked_of({"query": "q", "documents": TEXTS})
    assert asked is not None
    whole = orjson.loads(asked.write(asked, {"top_n": 3}, 8, Usage(1, 0)).body)["results"]
    scores = [one["relevance_score"] for one in whole]
    assert (len(scores), scores) == (3, sorted(scores, reverse=True))


@pytest.mark.parametrize("odd", OF_VECTORS)
@pytest.mark.parametrize("form", ["openai_embeddings", "tei_embed", "cohere_embed"])
def test_every_odd_form_of_vectors_is_read_as_it_should(form: str, odd: str) -> None:
    wanted: Form = FORMS.load(odd)
    assert answered(form, odd)[1] == wanted.outcome


@pytest.mark.parametrize("odd", OF_RANKINGS)
@pytest.mark.parametrize("form", ["cohere_rerank", "tei_rerank"])
def test_every_odd_form_of_rankings_is_read_as_it_should(form: str, odd: str) -> None:
    wanted: Form = FORMS.load(odd)
    assert answered(form, odd)[1] == wanted.outcome


def test_counts_are_told_only_where_they_are() -> None:
    assert answered("openai_embeddings", "inputs-uncounted")[2] is None
    assert answered("openai_embeddings", "total-alone")[2] == 21


def test_all_odd_forms_are_known() -> None:
    assert {name for name in FORMS.names() if FORMS.load(name).of == "inputs"} == (
        set(OF_INPUTS))


@pytest.mark.parametrize("body", [{"input": []}, {"input": ["a", ""]}, {"input": 5}, {"query": "q", "documents": [1]},
                                  {"inputs": [["a"]]}, {"texts": {}}])
def test_what_is_no_list_of_texts_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        inputs.asked_of(body)


@pytest.mark.parametrize("body", [{"messages": []}, {"inputs": "one text"}, {"prompt": "x"},
                                  {"inputText": "x", "textGenerationConfig": {}}])
def test_a_request_for_text_is_none_for_vectors(body: dict[str, Any]) -> None:
    assert inputs.asked_of(body) is None


def test_a_text_has_the_same_vector_whenever_it_is_asked() -> None:
    asked = inputs.asked_of({"input": ["red", "blue", "red"]})
    assert asked is not None
    data = orjson.loads(asked.write(asked, {}, 8, Usage(1, 0)).body)["data"]
    assert data[0]["embedding"] == data[2]["embedding"]
    assert sum(number * number for number in data[0]["embedding"]) == pytest.approx(1.0, abs=1e-5)
