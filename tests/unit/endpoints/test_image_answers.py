"""Images made of text: the bodies of every form, and what answers hold, hide and break off."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.bedrock import Bedrock
from fmload.endpoints.image_forms import FORMS, ImagesCodec
from fmload.endpoints.images_answer import mismatch, read, started
from fmload.media import pictures
from fmload.model.prompt import Prompt
from fmload.model.reading import Expected, Reading
from fmload.wire.exchange import Exchange
from tests.spoken import spoken

A_CAT = Prompt("p", "s", text="a cat")
PNG = pictures.image(32, 16, "png", "noise", "a")
IMAGE = base64.b64encode(PNG).decode()
TWO = Expected("images", 1, 2, size=(32, 16))
ONE = Expected("images", 1, 1, size=(32, 16))


def sent(endpoint: Any, prompt: Prompt = A_CAT) -> tuple[str, dict[str, Any]]:
    request = endpoint.request(prompt, "r", endpoint.addresses()[0])
    return request.target, orjson.loads(request.body)


def told(reading: Reading, expected: Expected = TWO) -> str:
    failure = reading.failure or mismatch(reading.batch, expected)
    return "" if failure is None else f"{failure.outcome}: {failure.message}"


def whole(body: Any, complete: bool = True, **headers: str) -> Reading:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return read(Exchange("a", status=200, body=data, complete=complete, headers=headers), streamed=False)


def event(kind: str, **values: Any) -> bytes:
    name = f"image_generation.{kind}"
    return f"event: {name}\ndata: ".encode() + orjson.dumps({"type": name, **values}) + b"\n\n"


PARTIAL, COMPLETED = event("partial_image", b64_json=IMAGE), event("completed", b64_json=IMAGE, usage={
    "input_tokens": 3, "output_tokens": 8, "total_tokens": 11})


def streamed(body: bytes, complete: bool = True) -> Reading:
    return read(Exchange("a", status=200, body=body, complete=complete), streamed=True)


# -- requests --


@pytest.mark.parametrize(("keys", "target", "body"), [
    ({}, "/v1/images/generations", {"model": "m", "prompt": "a cat"}),
    ({"parameters": {"n": 4, "size": "512x512", "prompt": "x"}}, "/v1/images/generations",
     {"model": "m", "n": 4, "size": "512x512", "prompt": "a cat"}),
    ({"stream": True, "parameters": {"partial_images": 2}}, "/v1/images/generations",
     {"model": "m", "stream": True, "partial_images": 2, "prompt": "a cat"}),
    ({"url": "https://r.openai.azure.com", "api_version": "2025-04-01"},
     "/openai/deployments/m/images/generations?api-version=2025-04-01", {"model": "m", "prompt": "a cat"}),
    ({"url": "http://h/v1/images/generations"}, "/v1/images/generations", {"model": "m", "prompt": "a cat"}),
])
def test_a_request_for_images_has_the_form_of_its_server(keys: dict[str, Any], target: str,
                                                         body: dict[str, Any]) -> None:
    assert sent(spoken("images", **keys)) == (target, body)


def test_images_come_whole_unless_a_stream_is_asked_for() -> None:
    assert (spoken("images").streamed, spoken("images", stream=True).streamed) == (False, True)


def test_a_dumped_endpoint_reads_again() -> None:
    spec = EndpointSpec.model_validate({"name": "e", "protocol": "images", "url": "http://h", "any_size": True})
    again = EndpointSpec.model_validate(spec.model_dump(by_alias=True))
    assert (again.options.any_size, again.stream) == (True, False)


@pytest.mark.parametrize(("form", "parameters", "body"), [
    ("canvas", {"n": 3, "size": "512x256", "cfgScale": 7, "imageGenerationConfig": {"quality": "premium"}},
     {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}, "imageGenerationConfig": {
         "numberOfImages": 3, "width": 512, "height": 256, "quality": "premium", "cfgScale": 7}}),
    ("canvas", {}, {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}}),
    ("stability", {"n": 1, "aspect_ratio": "1:1"}, {"aspect_ratio": "1:1", "prompt": "a cat"}),
    ("stability_xl", {"steps": 30, "size": "512x512"},
     {"steps": 30, "width": 512, "height": 512, "text_prompts": [{"text": "a cat"}]}),
])
def test_a_model_on_bedrock_is_asked_in_its_own_words(form: str, parameters: dict[str, Any],
                                                      body: dict[str, Any]) -> None:
    assert ImagesCodec("e", form, parameters).body(A_CAT) == body


@pytest.mark.parametrize(("form", "parameters", "number", "size"), [
    ("openai_images", {}, 1, None), ("openai_images", {"n": 4, "size": "512x256"}, 4, (512, 256)),
    ("openai_images", {"size": "auto"}, 1, None), ("openai_images", {"n": True}, 1, None),
    ("canvas", {"n": 2, "size": "512x512"}, 2, (512, 512)), ("canvas", {"imageGenerationConfig": {
        "numberOfImages": 5, "width": 320, "height": 320}}, 5, (320, 320)),
    ("stability", {}, 1, None), ("stability_xl", {"samples": 1, "width": 64, "height": 32}, 1, (64, 32)),
])
def test_what_an_answer_must_hold_is_what_the_body_asks_for(form: str, parameters: dict[str, Any], number: int,
                                                            size: Any) -> None:
    found = ImagesCodec("e", form, parameters).expects(A_CAT)
    assert (found.what, found.wanted, found.size) == ("images", number, size)
    assert ImagesCodec("e", form, parameters, any_size=True).expects(A_CAT).size is None


@pytest.mark.parametrize(("form", "parameters", "prompt", "words"), [
    ("canvas", {"n": 6}, A_CAT, "makes 5 at most"), ("stability", {"n": 2}, A_CAT, "makes 1 at most"),
    ("openai_images", {}, Prompt("p", "s", inputs=["a", "b"]), "made of one"),
])
def test_what_a_form_cannot_ask_is_told_before_the_load(form: str, parameters: dict[str, Any], prompt: Prompt,
                                                        words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        ImagesCodec("e", form, parameters).check(prompt)


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize(("model", "keys", "body"), [
    ("amazon.nova-canvas-v1:0", {"parameters": {"n": 2}}, {
        "taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}, "imageGenerationConfig": {
            "numberOfImages": 2}}),
    ("amazon.titan-image-generator-v2:0", {}, {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}}),
    ("us.stability.stable-image-core-v1:1", {}, {"prompt": "a cat"}),
    ("stability.stable-diffusion-xl-v1", {}, {"text_prompts": [{"text": "a cat"}]}),
    ("arn:aws:bedrock:us-east-1:123456789012:provisioned-model/abc123", {"api": "invoke", "family": "canvas"},
     {"taskType": "TEXT_IMAGE", "textToImageParams": {"text": "a cat"}}),
])
def test_a_model_of_bedrock_that_makes_images_is_invoked(model: str, keys: dict[str, Any],
                                                         body: dict[str, Any]) -> None:
    endpoint: Any = Bedrock.from_spec(EndpointSpec.model_validate(
        {"name": "b", "protocol": "bedrock", "model": model, "region": "us-east-1", **keys}))
    assert orjson.loads(endpoint.arguments(A_CAT)["body"]) == body
    assert endpoint.expects(A_CAT).what == "images"
    assert not endpoint.streamed


def test_a_price_per_image_is_no_negative_number() -> None:
    with pytest.raises(ValidationError, match="per_image"):
        EndpointSpec.model_validate({"name": "e", "protocol": "images", "url": "http://h", "price": {"per_image": -1}})


# -- answers in one piece --

OPENAI = {"created": 1, "data": [{"b64_json": IMAGE}, {"b64_json": IMAGE}],
          "usage": {"input_tokens": 5, "output_tokens": 2112, "total_tokens": 2117}}
CUT = base64.b64encode(PNG[:len(PNG) // 2]).decode()
PAGE = base64.b64encode(b"<html>busy</html>").decode()
SMALL = base64.b64encode(pictures.image(16, 16, "png", "noise", "a")).decode()


@pytest.mark.parametrize(("body", "words"), [
    (OPENAI, ""),
    ({"data": [{"url": "https://cdn/1.png"}, {"url": "https://cdn/2.png"}]}, ""),
    ({"images": [IMAGE, IMAGE]}, ""), ({"images": [IMAGE, IMAGE], "error": None}, ""),
    ({"data": [{"b64_json": f"data:image/png;base64,{IMAGE}"}, {"b64_json": IMAGE}]}, ""),
    ({"artifacts": [{"base64": IMAGE, "finishReason": "SUCCESS"}] * 2}, ""),
    ({"images": [IMAGE, IMAGE], "seeds": [1, 2], "finish_reasons": [None, None]}, ""),
    ({"data": [{"b64_json": IMAGE}]}, "decode: 1 images; 2 were asked for"),
    ({"data": [{"b64_json": IMAGE}] * 3}, "decode: 3 images; 2 were asked for"),
    ({"data": []}, "empty: the response holds no image"),
    ({"data": [{"b64_json": SMALL}, {"b64_json": IMAGE}]}, "decode: an image of 16x16; 32x16 was asked for"),
    ({"data": [{"b64_json": CUT}] * 2}, "decode: an image (png"),
    ({"data": [{"b64_json": PAGE}] * 2}, "decode: what should be an image begins with b'<html>bu'"),
    ({"data": [{"b64_json": "?"}] * 2}, "decode: an image is no base64"),
    ({"data": [{"b64_json": ""}, {"revised_prompt": "x"}]}, "decode: an entry without an image"),
    ({"data": [None, None]}, "decode: an entry without an image"),
    ({"data": None}, "decode: "), ({"data": "x"}, "decode: "), (b"<html>", "decode: "), (b"[]", "decode: "),
    ({"images": [IMAGE], "error": "Some images were blocked by our content filters."}, "blocked: Some images"),
    ({"images": None, "finish_reasons": ["Filter reason: prompt"], "seeds": []}, "blocked: an image was not made"),
    ({"images": [IMAGE, IMAGE], "finish_reasons": [None, "Filter reason: output image"]}, "blocked: an image"),
    ({"images": [], "finish_reasons": ["Inference error"]}, "stream_error: an image was not made: Inference error"),
    ({"artifacts": [{"base64": IMAGE, "finishReason": "CONTENT_FILTERED"}] * 2}, "blocked: an image was not made"),
    ({"artifacts": [{"base64": "", "finishReason": "ERROR"}]}, "stream_error: an image was not made: ERROR"),
    ({"error": {"code": "moderation_blocked", "message": "no"}}, "blocked: no"),
    ({"error": {"message": "out of memory"}}, "stream_error: out of memory"),
    ({"detail": "Not authenticated"}, "stream_error: Not authenticated"),
])
def test_an_answer_is_held_against_what_was_asked_for(body: Any, words: str) -> None:
    found = told(whole(body))
    assert found.startswith(words) if words else found == ""


def test_the_tokens_that_the_server_counts_are_kept() -> None:
    reading = whole(OPENAI)
    assert (reading.input_tokens, reading.output_tokens, reading.tokens_source) == (5, 2112, "server")
    silent = whole({"data": [{"b64_json": IMAGE}]})
    assert (silent.input_tokens, silent.output_tokens, silent.tokens_source) == (None, None, None)


def test_an_answer_that_breaks_off_is_truncated() -> None:
    assert told(whole(orjson.dumps(OPENAI)[:-9], complete=False)).startswith("truncated: ")


# -- streams --


def test_a_stream_knows_when_each_image_had_come() -> None:
    reading = streamed(PARTIAL * 2 + COMPLETED + b"data: [DONE]\n\n")
    assert reading.batch is not None
    assert told(reading, ONE) == ""
    first, second = len(PARTIAL), 2 * len(PARTIAL)
    assert (list(reading.batch.parts), reading.batch.end) == (
        [first, second, second + len(COMPLETED)], second + len(COMPLETED))
    assert (reading.input_tokens, reading.output_tokens) == (3, 8)


@pytest.mark.parametrize(("body", "complete", "words"), [
    (COMPLETED * 2, True, ""), (PARTIAL + COMPLETED, True, "decode: 1 images; 2 were asked for"),
    (PARTIAL, True, "truncated: the stream ended after 1 partial images"),
    (PARTIAL, False, "truncated: the connection closed after 1 partial images"),
    (PARTIAL + COMPLETED + PARTIAL[:-9], False, "truncated: "), (b"", True, "empty: "), (b"", False, "truncated: "),
    (PARTIAL + b'event: error\ndata: {"type":"error","error":{"code":"moderation_blocked","message":"no"}}\n\n', True,
     "blocked: no"),
    (PARTIAL + b'data: {"error":{"message":"out of memory"}}\n\n', True, "stream_error: out of memory"),
    (event("completed", b64_json=CUT) * 2, True, "decode: an image (png"),
    (b": ping\n\n" + COMPLETED * 2, True, ""), (b"data: nonsense\n\n", True, "decode: "),
    (orjson.dumps(OPENAI), True, ""),
])
def test_a_stream_is_as_good_as_its_end(body: bytes, complete: bool, words: str) -> None:
    found = told(streamed(body, complete))
    assert found.startswith(words) if words else found == ""


def test_a_stream_of_other_events_is_told_as_what_it_is() -> None:
    body = b'data: {"b64_json": "aGVsbG8="}\n\ndata: [DONE]\n\n'
    assert told(streamed(body)).startswith("decode: no event of an image, but others: b'{\"b64_json\"")
    assert told(streamed(body, complete=False)).startswith("truncated")
    assert told(streamed(b'event: ping\ndata: {"type": "ping"}\n\n')).startswith("empty")


def test_a_stream_where_none_was_asked_for_is_read() -> None:
    assert told(whole(COMPLETED * 2)) == ""


def test_an_image_has_come_once_its_event_is_whole() -> None:
    assert not started(PARTIAL[:-40])
    assert started(PARTIAL)
    assert spoken("images", stream=True).carries_token(PARTIAL)
    assert not spoken("images").carries_token(PARTIAL)


@given(st.binary(max_size=300) | st.text(alphabet='[]{}",:-1Nal', max_size=200).map(str.encode))
def test_whatever_bytes_come_reading_raises_nothing(body: bytes) -> None:
    for asked in (True, False):
        reading = read(Exchange("a", status=200, body=body, complete=True), asked)
        assert reading.failure is not None or reading.batch is not None


@pytest.mark.parametrize("form", FORMS)
def test_every_form_says_how_many_it_makes(form: str) -> None:
    assert ImagesCodec("e", form, {}).expects(A_CAT).wanted == 1
