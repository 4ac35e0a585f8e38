"""The emulator's images: every form is read by the readers, odd ones as they should."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from fmload.emulator import images
from fmload.emulator.dialect import Usage
from fmload.emulator.http import Request, Unfit
from fmload.emulator.odd import Form, Odd
from fmload.emulator.profiles import PROFILES
from fmload.emulator.settings import Settings
from fmload.endpoints.image_forms import ImagesCodec
from fmload.media.headers import header_of
from fmload.model.prompt import Prompt
from fmload.plugins import FORMS
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome

A_CAT = Prompt("p", "s", text="a cat")
WHOLE = ("image-missing", "image-twice", "no-images", "image-cut-off", "no-image-at-all", "no-base64", "smaller-image",
         "images-blocked", "image-error-with-200", "images-uncounted")
STREAMED = ("image-cut-off", "no-image-at-all", "no-base64", "images-blocked", "image-error-with-200",
            "images-uncounted", "never-completed", "smaller-image")
SIZE = {"openai_images": {"size": "64x32"}, "canvas": {"size": "64x32"}, "stability": {}, "stability_xl": {
    "width": 64, "height": 32}}


def asked_of(form: str, body: dict[str, Any]) -> images.Asked:
    if form == "stability":
        return images.asked_of_stability(body)
    found = images.asked_of_bedrock(body) if form != "openai_images" else images.Asked(
        body["prompt"], body.get("n", 1), (64, 32), images._openai, body.get("partial_images", 0))
    assert found is not None
    return found


def read(form: str, odd: str | None = None, stream: bool = False, steps: int = 4,
         **parameters: Any) -> tuple[Any, str, Any]:
    """Batch, outcome and output tokens of the emulator's answer to a request in this form."""
    codec = ImagesCodec("e", form, {**SIZE[form], **parameters}, streamed=stream)
    body = orjson.loads(orjson.dumps(codec.body(A_CAT)))
    asked = asked_of(form, body)
    dialect: Any = images.Painted(asked, body, steps, 0)
    if odd:
        dialect = Odd(dialect, FORMS.load(odd))
    if stream:
        said = b"".join(dialect.token(" step", False, None, Usage(7, place)) for place in range(steps * asked.number))
    else:
        said = dialect.whole("", "", "stop", Usage(7, 0)).body
    exchange = Exchange("a", status=200, body=said, complete=True)
    reading = codec.read(exchange)
    failure = outcome(exchange, reading, codec.expects(A_CAT))
    return reading.batch, failure.outcome if failure else "ok", reading.output_tokens


@pytest.mark.parametrize("form", SIZE)
def test_every_form_is_answered_with_what_was_asked(form: str) -> None:
    number = {"openai_images": 3, "canvas": 2}.get(form, 1)
    batch, ended, tokens = read(form, **({"n": number} if number > 1 else {}))
    assert (batch.held, ended) == (number, "ok")
    assert tokens == (3 * 2 * 1 if form == "openai_images" else None)  # 64 x 32 pixels are two tiles


@pytest.mark.parametrize(("partial", "number"), [(0, 1), (2, 1), (3, 2)])
def test_a_stream_shows_as_many_partial_images_as_asked(partial: int, number: int) -> None:
    batch, ended, tokens = read("openai_images", stream=True, n=number, partial_images=partial)
    assert (batch.held, len(batch.parts), ended, tokens) == (number, number * (1 + partial), "ok", 2 * number)


def test_an_image_is_of_the_size_and_format_that_was_asked_for() -> None:
    asked = images.Asked("a cat", 1, (48, 24), images._openai, format="jpeg")
    whole = orjson.loads(images.Painted(asked, {}, 1, 0).whole("", "", "stop", Usage(7, 0)).body)
    found = header_of(base64.b64decode(whole["data"][0]["b64_json"]))
    assert found is not None
    assert (found.format, found.size) == ("jpeg", (48, 24))


@pytest.mark.parametrize("odd", WHOLE)
@pytest.mark.parametrize("form", ["openai_images", "canvas"])
def test_every_odd_answer_is_read_as_it_should(form: str, odd: str) -> None:
    wanted: Form = FORMS.load(odd)
    assert read(form, odd, n=2)[1] == wanted.outcome


@pytest.mark.parametrize("form", ["stability", "stability_xl"])
def test_a_filter_is_told_in_the_words_of_each_model(form: str) -> None:
    assert read(form, "images-blocked")[1] == "blocked"


@pytest.mark.parametrize("odd", STREAMED)
def test_every_odd_stream_is_read_as_it_should(odd: str) -> None:
    wanted: Form = FORMS.load(odd)
    assert read("openai_images", odd, stream=True, partial_images=2)[1] == wanted.outcome


def test_all_odd_forms_are_known() -> None:
    assert {name for name in FORMS.names() if FORMS.load(name).of == "images"} == {*WHOLE, *STREAMED}


def test_images_by_their_address_are_images() -> None:
    batch, ended, _ = read("openai_images", n=2, response_format="url")
    assert (batch.held, list(batch.sizes), ended) == (2, [], "ok")


def opened(**body: Any) -> Any:
    request = Request("POST", "/v1/images/generations", {}, orjson.dumps(body), 0)
    return images.PLANE.open(request, 0, Settings(PROFILES["instant"], image_steps=5))


def test_an_image_takes_its_steps_of_the_engine() -> None:
    ask = opened(prompt="a cat", n=3).ask
    assert (ask.images, ask.max_tokens, ask.stream) == (3, 15, False)


@pytest.mark.parametrize(("body", "words"), [
    ({"prompt": " "}, "not empty"), ({"prompt": "x", "n": 0}, "at least 1"), ({"prompt": "x", "n": 11}, "10 at most"),
    ({"prompt": "x", "size": "8x8"}, "no size"), ({"prompt": "x", "size": "big"}, "WIDTHxHEIGHT"),
    ({"prompt": "x", "size": "99999x99999"}, "no size"), ({"prompt": "x", "partial_images": 4}, "between 0 and 3"),
    ({"prompt": "x", "output_format": "bmp"}, "one of png"),
])
def test_a_request_that_no_server_takes_is_refused(body: dict[str, Any], words: str) -> None:
    with pytest.raises(Unfit, match=words):
        opened(**body)
