"""Embeddings and rankings: the bodies of every form, and what answers of servers say, count and hide."""

from __future__ import annotations

import base64
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.bedrock import Bedrock
from fmload.endpoints.input_forms import FORMS, InputsCodec
from fmload.endpoints.inputs_answer import mismatch, read_results, read_vectors
from fmload.endpoints.sagemaker import SageMaker
from fmload.endpoints.vectors import skeleton_of
from fmload.model.prompt import Prompt
from fmload.model.reading import Batch, Expected, Reading
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest
from tests.spoken import spoken

TWO = Prompt("p", "s", inputs=["red", "blue"])
RANKED = Prompt("p", "s", text="a colour?", inputs=["red", "seven", "blue"])


def sent(endpoint: Any, prompt: Prompt) -> tuple[str, dict[str, Any]]:
    request = endpoint.request(prompt, "r", endpoint.addresses()[0])
    return request.target, orjson.loads(request.body)


def exchange(body: Any, complete: bool = True, **headers: str) -> Exchange:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Exchange("a", status=200, body=data, complete=complete,
                    headers={name.replace("_", "-"): value for name, value in headers.items()})


def vectors(body: Any, complete: bool = True, **headers: str) -> Reading:
    return read_vectors(exchange(body, complete, **headers))


def failed(reading: Reading, expected: Expected) -> str:
    failure = reading.failure or mismatch(reading.batch, expected)
    return "" if failure is None else f"{failure.outcome}: {failure.message}"


# -- requests --


@pytest.mark.parametrize(("protocol", "keys", "target", "body"), [
    ("embeddings", {}, "/v1/embeddings", {"model": "m", "input": ["red", "blue"]}),
    ("embeddings", {"url": "http://h/openai/deployments/d?api-version=1"},
     "/openai/deployments/d/embeddings?api-version=1", {"model": "m", "input": ["red", "blue"]}),
    ("embeddings", {"parameters": {"encoding_format": "base64", "input": "x"}}, "/v1/embeddings",
     {"model": "m", "encoding_format": "base64", "input": ["red", "blue"]}),
    ("embeddings", {"api": "cohere"}, "/v2/embed", {
        "model": "m", "texts": ["red", "blue"], "input_type": "search_document", "embedding_types": ["float"]}),
    ("embeddings", {"api": "tei"}, "/embed", {"inputs": ["red", "blue"]}),
])
def test_a_request_for_embeddings_has_the_form_of_its_server(protocol: str, keys: dict[str, Any], target: str,
                                                             body: dict[str, Any]) -> None:
    assert sent(spoken(protocol, **keys), TWO) == (target, body)


@pytest.mark.parametrize(("keys", "target", "body"), [
    ({}, "/v1/rerank", {"model": "m", "query": "a colour?", "documents": ["red", "seven", "blue"]}),
    ({"url": "http://h/v2"}, "/v2/rerank", {"model": "m", "query": "a colour?", "documents": ["red", "seven", "blue"]}),
    ({"url": "http://h/rerank"}, "/rerank", {"model": "m", "query": "a colour?",
                                             "documents": ["red", "seven", "blue"]}),
    ({"api": "tei"}, "/rerank", {"query": "a colour?", "texts": ["red", "seven", "blue"]}),
])
def test_a_ranking_has_the_form_of_its_server(keys: dict[str, Any], target: str, body: dict[str, Any]) -> None:
    assert sent(spoken("rerank", **keys), RANKED) == (target, body)


def test_a_prompt_of_one_text_is_a_batch_of_one() -> None:
    assert sent(spoken("embeddings"), Prompt("p", "s", text="hello"))[1]["input"] == ["hello"]


def test_embeddings_are_never_streamed_and_to_ask_for_it_is_told() -> None:
    assert spoken("embeddings").streamed is False
    with pytest.raises(ValidationError, match="whole answers only"):
        EndpointSpec.model_validate({"name": "e", "protocol": "rerank", "url": "http://h", "stream": True})


def test_a_dumped_endpoint_reads_again() -> None:
    spec = EndpointSpec.model_validate({"name": "e", "protocol": "embeddings", "url": "http://h", "dimension": 3})
    assert EndpointSpec.model_validate(spec.model_dump(by_alias=True)).options.dimension == 3


# -- prompts that cannot be asked --


@pytest.mark.parametrize(("form", "prompt", "told"), [
    ("cohere_rerank", TWO, "needs a query"), ("openai_embeddings", RANKED, "no query"),
    ("titan_embed", TWO, "takes 1 at most"),
    ("cohere_embed", Prompt("p", "s", inputs=["x"] * 97), "takes 96 at most"),
])
def test_what_a_form_cannot_ask_is_told_before_the_load(form: str, prompt: Prompt, told: str) -> None:
    with pytest.raises(FmloadError, match=told):
        InputsCodec("e", form, {}).check(prompt)


# -- answers --

OPENAI = {"data": [{"index": 0, "embedding": [0.25, -1e-5, 3]}, {"index": 1, "embedding": [1, 2, 3.5]}],
          "usage": {"prompt_tokens": 4, "total_tokens": 4}}
F32 = base64.b64encode(struct.pack("<3f", 0.25, -1.0, 3.0)).decode()


@pytest.mark.parametrize(("body", "dimensions"), [
    (OPENAI, [3, 3]), ([[0.1, 0.2], [0.3, 0.4]], [2, 2]), ({"embeddings": [[0.1, 0.2]]}, [2]),
    ({"embeddings": {"float": [[0.1, 0.2]], "int8": [[1, 2]]}}, [2]),
    ({"embeddings": {"base64": [F32, F32]}}, [3, 3]),
    ({"embedding": [0.5, 1.5]}, [2]), ({"embedding": [[0.5, 1.5]]}, [2]),
    ({"embeddingsByType": {"binary": [0, 1, 1]}}, [3]),
    ({"data": [{"embedding": F32, "index": 0}]}, [3]),
    ([{"index": 0, "embedding": [[0.5, 1.5]]}], [2]), ([0.5, 1.5], [2]),
])
def test_vectors_are_counted_in_every_form_that_servers_send(body: Any, dimensions: list[int]) -> None:
    reading = vectors(body)
    assert reading.failure is None
    assert reading.batch is not None
    assert (reading.batch.held, list(reading.batch.dimensions)) == (len(dimensions), dimensions)


@pytest.mark.parametrize(("body", "tokens"), [
    (OPENAI, 4), ({"embedding": [0.5], "inputTextTokenCount": 7}, 7),
    ({"embeddings": [[0.5]], "meta": {"billed_units": {"input_tokens": 9}}}, 9),
    ({"data": [{"embedding": [0.5]}], "usage": {"total_tokens": 5}}, 5), ({"embedding": [0.5]}, None),
    ({"embedding": [0.5], "usage": {"prompt_tokens": -3, "total_tokens": "many"}}, None),
    ({"embedding": [0.5], "usage": {"prompt_tokens": 1 << 40}}, None),
])
def test_tokens_are_read_wherever_the_server_tells_them(body: Any, tokens: int | None) -> None:
    reading = vectors(body)
    assert (reading.input_tokens, reading.output_tokens) == (tokens, None)


def test_teis_and_bedrocks_headers_tell_the_tokens() -> None:
    assert vectors([[0.5]], x_compute_tokens="11").input_tokens == 11
    assert vectors({"embeddings": [[1.5]]}, x_amzn_bedrock_input_token_count="12").input_tokens == 12


WANTED = Expected("vectors", 2, 2, 3)


@pytest.mark.parametrize(("body", "told"), [
    (OPENAI, ""),
    ({"data": OPENAI["data"][:1]}, "decode: 1 vectors for 2 inputs"),  # type: ignore[index]
    ({"data": []}, "empty: the response holds no vector"),
    ([[1, 2, 3], [1, 2]], "decode: vectors of 2 and of 3 numbers in one response"),
    ([[1, 2], [1, 2]], "decode: vectors of 2 numbers; 3 were asked for"),
    (b"[[0.1,NaN,0.3],[1,2,3]]", "decode: a vector holds NaN, which is no number"),
    ([[1, 2, None], [1, 2, 3]], "decode: a vector holds null, which is no number"),
    (b'[[0.1,-Infinity,0.3],[1,2,3]]', "decode: a vector holds -Infinity, which is no number"),
    (b"[[1,,2],[1,2,3]]", "decode: a vector holds nothing, which is no number"),
    (b"[[1.5, , 2],[1,2,3]]", "decode: a vector holds nothing, which is no number"),
    (b"[[1,2,3,],[1,2,3]]", "decode: a vector holds nothing, which is no number"),
    (b"[[1, 2, 3],[1,\n2,\t3]]", ""), (b"[[ -0.5e-3,1E+2,0 ],[1,2,3]]", ""),
    (b"[[-0,1.0,12345678901234567890123],[1,2,3]]", ""),
    (b"[[1,2,true],[1,2,3]]", "decode: '[1, 2, True]' where a vector should be"),
    (b"[[1,2,null],[1,2,\"3\"]]", "decode: a vector holds null, which is no number"),
    ({"data": [{"embedding": []}, {"embedding": []}]}, "decode: a vector without numbers"),
    ({"data": [{"embedding": "x?"}]}, "decode: a vector in base64"),
    ({"data": [{"embedding": 5}]}, "decode: '5' where a vector should be"),
    ({"data": [{"embedding": ["a", "b"]}]}, "decode: \"['a', 'b']\" where a vector should be"),
    ({"data": [{"index": 0, "embedding": [1, 2, 3]}, {"index": 0, "embedding": [1, 2, 3]}]},
     "decode: two of the vectors are of the same input"),
    ({"data": [{"index": 0, "embedding": [1, 2, 3]}, {"index": 9, "embedding": [1, 2, 3]}]},
     "decode: one of the vectors is of input 9; there were 2"),
    ({"error": {"message": "too long"}}, "stream_error: too long"),
    ({"detail": "Not authenticated"}, "stream_error: Not authenticated"),
    ({"data": None, "error": "busy"}, "stream_error: busy"),
    ({"message": "loading"}, "stream_error: loading"),
    (b"<html>", "decode: not a response of this protocol"), (b"", "decode: not a response"),
    (b"null", "decode: not a response"), (b"[" * 50_000, "decode: not a response"),
    (b"[[[[1,2]]]]", "decode: "), ({"data": {"a": 1}}, "decode: "), ({"data": [None, None]}, "decode: "),
])
def test_an_answer_that_is_not_one_to_its_request_has_failed(body: Any, told: str) -> None:
    found = failed(vectors(body), WANTED)
    assert found.startswith(told) if told else found == ""


@pytest.mark.parametrize("word", [
    "1.2.3", "1e", "--1", "1-2", "1e5.3", "1e-", "1e--5", "1e5e5", "+1", "-", ".", ".5", "5.", "-.5", "1 2", "01",
    "-01", "e5", "1e999", "-1e999", "1" + 99 * ".1"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_vector_with_a_malformed_number_is_no_vector(word: str, place: int) -> None:
    found = ["0.5", "-1e-5", "7"]
    found[place] = word
    told = failed(vectors(f"[[1,2,3],[{','.join(found)}]]".encode()), WANTED)
    begins = word[0] in "-0123456789" or place
    assert told == (f"decode: a vector holds {word[:40]}, which is no number" if begins else told)
    assert told.startswith("decode: ")


@pytest.mark.parametrize("text", ["[1af2a3f4a5f6] hexadecimal", "[nan]", "[NaN, 1], [null]", "a [1,2]"])
def test_a_text_that_is_echoed_with_brackets_in_it_is_no_vector(text: str) -> None:
    body = {"texts": [text, text], "embeddings": {"float": [[1, 2, 3], [4, 5, 6]]}, "input": [[None], [1]]}
    assert failed(vectors(body), WANTED) == ""


def test_base64_that_holds_nan_has_failed() -> None:
    data = base64.b64encode(struct.pack("<2f", 0.25, float("nan"))).decode()
    assert "NaN" in failed(vectors({"data": [{"embedding": data}]}), Expected("vectors", 1, 1))


def test_an_answer_that_breaks_off_is_truncated_and_holds_nothing() -> None:
    reading = vectors(orjson.dumps(OPENAI)[:-9], complete=False)
    assert reading.failure is not None
    assert (reading.failure.outcome, reading.batch) == ("truncated", None)


RESULTS = {"results": [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.5},
                       {"index": 1, "relevance_score": -3}], "usage": {"total_tokens": 20},
           "meta": {"billed_units": {"search_units": 1}}}


@pytest.mark.parametrize(("body", "told"), [
    (RESULTS, ""), ([{"index": i, "score": 0.5} for i in (1, 0, 2)], ""),
    ({"data": [{"index": i, "relevance_score": 0.5} for i in (1, 0, 2)]}, ""),
    ({"results": RESULTS["results"][:2]}, "decode: 2 results for 3 inputs"),  # type: ignore[index]
    ({"results": []}, "empty: the response holds no result"),
    ([{"index": 3, "score": 0.5}, {"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}],
     "decode: one of the results is of input 3; there were 3"),
    ([{"index": -1, "score": 0.5}, {"index": 0, "score": 0.5}, {"index": 1, "score": 0.5}],
     "decode: one of the results is of input -1"),
    ([{"index": 0, "score": 0.5}] * 3, "decode: two of the results are of the same input"),
    (b'[{"index":0,"score":NaN}]', "decode: a result's score is nan"),
    ([{"index": 0, "score": "high"}], "decode: a result's score is high"),
    ([{"index": 0}], "decode: a result's score is None"), ([{"score": 0.5}], "decode: a result of input None"),
    ([{"index": 1.5, "score": 0.5}], "decode: a result of input 1.5"), ([5], "decode: not a response"),
    ({"error": "no model"}, "stream_error: no model"), ({}, "decode: not a response"),
])
def test_a_ranking_is_held_against_its_documents(body: Any, told: str) -> None:
    found = failed(read_results(exchange(body)), Expected("results", 3, 3))
    assert found.startswith(told) if told else found == ""


def test_a_ranking_of_the_best_two_has_two_results() -> None:
    endpoint = spoken("rerank", parameters={"top_n": 2})
    assert endpoint.expects(RANKED) == Expected("results", 3, 2)
    assert spoken("rerank", parameters={"top_n": 9}).expects(RANKED) == Expected("results", 3, 3)
    assert "2 of them asked for" in (mismatch(Batch(3, (0, 1, 2)), Expected("results", 3, 2)) or failed_none()).message


def failed_none() -> Any:
    raise AssertionError("no failure")


def test_what_is_billed_for_a_ranking_is_kept() -> None:
    reading = read_results(exchange(RESULTS))
    assert (reading.input_tokens, reading.detail["search_units"]) == (20, 1)


def test_asked_dimensions_are_those_that_an_answer_must_have() -> None:
    assert spoken("embeddings", parameters={"dimensions": 256}).expects(TWO).dimension == 256
    assert spoken("embeddings", dimension=64).expects(TWO).dimension == 64


@pytest.mark.parametrize(("parameters", "numbers"), [
    ({"output_dimension": 256}, 256), ({"output_dimension": 256, "output_dtype": "int8"}, 256),
    ({"output_dimension": 256, "output_dtype": "binary"}, 32),
    ({"output_dimension": 256, "output_dtype": "ubinary"}, 32),
    ({"output_dimension": 256, "embedding_types": ["float"]}, 256),
    ({"output_dimension": 256, "embedding_types": ["ubinary", "binary"]}, 32),
    ({"output_dimension": 256, "embedding_types": ["float", "binary"]}, None),
    ({"output_dtype": "binary"}, None), ({"output_dimension": "256"}, None)])
def test_an_asked_output_dimension_is_held_to_the_numbers_of_its_type(parameters: dict[str, Any],
                                                                      numbers: int | None) -> None:
    assert spoken("embeddings", parameters=parameters).expects(TWO).dimension == numbers


# -- vectors are counted, not parsed --

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9), min_size=1, max_size=9)


@given(st.lists(NUMBERS, min_size=1, max_size=5), st.text(max_size=20))
def test_a_skeleton_has_the_length_of_each_vector_and_all_else(found: list[list[float]], text: str) -> None:
    body = orjson.dumps({"model": text, "data": [{"embedding": one} for one in found]})
    skeleton = skeleton_of(body)
    assert skeleton.strange == ()
    assert orjson.loads(skeleton.skeleton)["data"] == [{"embedding": -len(one)} for one in found]


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:-1Nal', max_size=200).map(str.encode))
def test_whatever_bytes_come_reading_raises_nothing(body: bytes) -> None:
    for read in (read_vectors, read_results):
        reading = read(exchange(body))
        assert (reading.failure is None) == (reading.batch is not None) or reading.failure is not None


def test_brackets_without_end_take_linear_time() -> None:
    assert skeleton_of(b"]" * 2_000_000).skeleton == b"]" * 2_000_000
    assert len(skeleton_of(b'"[",' * 500_000 + b"]").skeleton) == 2_000_001


# -- AWS --


class RecordingWire:
    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.requests.append(request)
        return Exchange(str(address), status=200, complete=True)


def invoked(endpoint: Any, prompt: Prompt) -> tuple[str, dict[str, Any]]:
    wire = RecordingWire()
    endpoint.send(prompt, "request-1", wire, endpoint.addresses()[0])
    return wire.requests[0].target, orjson.loads(wire.requests[0].body)


def bedrock(model: str, **keys: Any) -> Any:
    return Bedrock.from_spec(EndpointSpec.model_validate(
        {"name": "b", "protocol": "bedrock", "model": model, "region": "us-east-1", **keys}))


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize(("model", "prompt", "body"), [
    ("amazon.titan-embed-text-v2:0", Prompt("p", "s", text="red"), {"inputText": "red"}),
    ("cohere.embed-english-v3", TWO, {"texts": ["red", "blue"], "input_type": "search_document",
                                      "embedding_types": ["float"]}),
    ("us.cohere.embed-v4:0", TWO, {"texts": ["red", "blue"], "input_type": "search_document",
                                   "embedding_types": ["float"]}),
    ("cohere.rerank-v3-5:0", RANKED, {"query": "a colour?", "documents": ["red", "seven", "blue"], "top_n": 3,
                                      "api_version": 2}),
    ("amazon.rerank-v1:0", RANKED, {"query": "a colour?", "documents": ["red", "seven", "blue"], "top_n": 3}),
])
def test_a_model_of_bedrock_that_embeds_or_ranks_is_invoked_in_its_own_form(
        model: str, prompt: Prompt, body: dict[str, Any]) -> None:
    endpoint = bedrock(model)
    target, sent_body = invoked(endpoint, prompt)
    assert target.endswith("/invoke")
    assert (sent_body, endpoint.streamed) == (body, False)


@pytest.mark.usefixtures("aws_environment")
def test_the_form_of_a_model_whose_name_does_not_tell_is_given() -> None:
    endpoint = bedrock("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123", api="invoke",
                       family="titan_embed")
    assert invoked(endpoint, Prompt("p", "s", text="red"))[1] == {"inputText": "red"}


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize("form", sorted(set(FORMS) - {"bedrock_cohere_rerank"}))
def test_every_form_goes_through_sagemaker(form: str) -> None:
    endpoint: Any = SageMaker.from_spec(EndpointSpec.model_validate({
        "name": "s", "protocol": "sagemaker", "region": "us-east-1", "payload_format": form, "dimension": 8,
        "inference_id": True}))
    prompt = RANKED if "rerank" in form else Prompt("p", "s", inputs=["red"])
    target, body = invoked(endpoint, prompt)
    assert target == "/endpoints/s/invocations"
    assert "model" not in body
    assert endpoint.expects(prompt).dimension == (None if "rerank" in form else 8)
    throttled = Exchange("a", status=429, body=b"{}", headers={"x-amzn-errortype": "ThrottlingException"})
    assert endpoint.read(throttled).failure.outcome == "throttled"
