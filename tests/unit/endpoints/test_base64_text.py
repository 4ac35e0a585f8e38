"""Base64 in answers: every way in which servers write it is read, and nothing else."""

from __future__ import annotations

import base64
import struct

import orjson
import pytest

from fmload.base.base64_text import decoded
from fmload.endpoints import speech_answer
from fmload.endpoints.images_answer import mismatch as other_images
from fmload.endpoints.images_answer import read as read_images
from fmload.endpoints.input_forms import InputsCodec
from fmload.endpoints.inputs_answer import mismatch
from fmload.endpoints.speech_answer import Asked
from fmload.media import pictures
from fmload.model.prompt import Prompt
from fmload.model.reading import Expected
from fmload.wire.exchange import Exchange

PNG = pictures.image(32, 16, "png", "noise", "a")
DATA = bytes(range(256)) * 2 + b"\xfb\xff"


@pytest.mark.parametrize("text", [
    base64.b64encode(DATA).decode(), base64.encodebytes(DATA).decode(), base64.b64encode(DATA).decode().rstrip("="),
    base64.urlsafe_b64encode(DATA).decode().rstrip("="), base64.encodebytes(DATA).decode().replace("\n", "\r\n")])
def test_lines_the_urls_alphabet_and_no_padding_are_read(text: str) -> None:
    assert decoded(text) == DATA


@pytest.mark.parametrize("text", ["?", "AAAAA", "AA=A", "äöü=", "<html>"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decoded(text)


def answer(body: object, kind: str = "application/json") -> Exchange:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Exchange("a", status=200, body=data, complete=True, headers={"content-type": kind})


def test_an_image_and_a_sound_in_lines_are_what_they_are() -> None:
    images = read_images(answer({"data": [{"b64_json": base64.encodebytes(PNG).decode()}]}), streamed=False)
    assert images.failure is None
    assert other_images(images.batch, Expected("images", 1, 1, size=(32, 16))) is None
    sound = speech_answer.read(answer({"audio": base64.encodebytes(bytes(48000)).decode()}), Asked("pcm"))
    assert (sound.failure, sound.speech and sound.speech.seconds) == (None, 1.0)


@pytest.mark.parametrize(("parameters", "vector"), [
    ({}, struct.pack("<3f", 1, 2, 3)), ({"output_dtype": "int8"}, b"\x7f\x80\xff"),
    ({"output_dtype": "uint8"}, b"\x00\xc0\xff"), ({"embed_dtype": "float16"}, struct.pack("<3e", 1, 2, 3)),
    ({"embed_dtype": "bfloat16"}, bytes(6)), ({"embed_dtype": "fp8_e4m3"}, bytes(3)),
    ({"embed_dtype": "float32"}, struct.pack("<3f", 1, 2, 3))])
def test_a_vector_in_base64_has_as_many_numbers_as_its_type_makes(parameters: dict[str, str], vector: bytes) -> None:
    codec = InputsCodec("e", "openai_embeddings", {"encoding_format": "base64", **parameters}, dimension=3)
    reading = codec.read(answer({"data": [{"index": 0, "embedding": base64.b64encode(vector).decode()}]}))
    assert reading.failure is None
    assert mismatch(reading.batch, codec.expects(Prompt("p", "s", text="red"))) is None


@pytest.mark.parametrize(("kind", "seconds"), [
    ("audio/pcm", 1.0), ("audio/pcm;rate=16000", 1.5), ("audio/L16; codec=pcm; rate=48000", 0.5),
    ("audio/pcm; rate=24000; channels=2", 0.5), ("audio/pcm;rate=0", 1.0), ("audio/pcm;bitrate=16000", 1.0)])
def test_pcm_plays_at_the_rate_that_the_answers_type_tells(kind: str, seconds: float) -> None:
    reading = speech_answer.read(answer(bytes(48000), kind), Asked("pcm"))
    assert reading.speech is not None
    assert reading.speech.seconds == seconds
