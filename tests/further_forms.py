"""What endpoints say beside the protocols of texts over HTTP: vectors, rankings, transcripts, sound, images, and AWS's
runtimes; each with the emulator's answer, and with what has to be recorded of it.

A form is held to the tests of raw sockets by standing in FURTHER.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from tests.protocols import DIMENSION, PROMPT, TOKENS, WORDS
from tests.spoken import spoken

TEXT = "".join(WORDS[:TOKENS])
STEPS, PIECE_S = 20, 0.12  # the emulator's own: of an image, of sound
Shape = Literal["events", "document", "text", "sound", "frames"]
Right = Callable[[Record, Reading], None]


@dataclass(frozen=True)
class Form:
    """One thing to ask for. `shape`: how its answer stands in the body: events or lines; one JSON; plain text; bytes of
    sound; AWS's frames. `counts`: where the server tells tokens."""

    protocol: str
    shape: Shape
    right: Right
    keys: Mapping[str, Any] = field(default_factory=dict)
    prompt: Prompt = field(default_factory=lambda: PROMPT)
    counts: Literal["body", "headers"] | None = "body"
    tokens: int = TOKENS

    def endpoint(self, **keys: Any) -> Any:
        return spoken(self.protocol, **{**self.keys, **keys})


def text(record: Record, reading: Reading) -> None:
    assert (reading.said("answer"), record.output_tokens, len(record.chunk_ns)) == (TEXT, TOKENS, TOKENS)


def whole_text(record: Record, reading: Reading) -> None:
    assert (reading.said("answer"), len(record.chunk_ns)) == (TEXT, 1)


def vectors(record: Record, reading: Reading) -> None:
    assert reading.batch is not None
    assert record.inputs == reading.batch.held == len(reading.batch.dimensions)
    assert set(reading.batch.dimensions) == {DIMENSION}
    assert record.last_token_ns is not None and not record.chunk_ns


def ranking(record: Record, reading: Reading) -> None:
    assert reading.batch is not None
    assert (record.inputs, sorted(reading.batch.indices)) == (3, [0, 1, 2])


def transcript(record: Record, reading: Reading) -> None:
    assert reading.said("answer").strip() == TEXT.strip()
    assert reading.transcript is not None and reading.transcript.characters == len(TEXT.strip())


def speech(record: Record, reading: Reading) -> None:
    assert record.audio_out_s == pytest.approx(2 * PIECE_S)
    assert record.first_output_ns is not None


def image(record: Record, reading: Reading) -> None:
    assert reading.batch is not None
    assert (record.images, reading.batch.held, list(reading.batch.sizes)) == (1, 1, [(32, 32)])


SAID = Prompt("p", "s", text="", audio=Audio(1.0, samples=16_000).recipe())
SPOKEN = Prompt("p", "s", text="hello there")
THREE = Prompt("p", "s", inputs=["red", "blue", "seven"])
RANKED = Prompt("p", "s", text="a colour?", inputs=["red", "blue", "seven"])
SMALL = {"size": "32x32"}


def _aws(protocol: str, shape: Shape, right: Right, keys: Mapping[str, Any], **more: Any) -> Form:
    own = {"region": "us-east-1", "emulated": "x", **({} if protocol == "bedrock" else {"model": None}), **keys}
    return Form(protocol, shape, right, {key: value for key, value in own.items() if value is not None}, **more)


def _texts_of_aws(protocol: str, keys: Mapping[str, Any], counts_of_whole: Any = "body") -> tuple[Form, Form]:
    """Streamed, and whole."""
    return (_aws(protocol, "frames", text, keys),
            _aws(protocol, "document", whole_text, {**keys, "stream": False}, counts=counts_of_whole))


def _named(**pairs: tuple[Form, Form]) -> dict[str, Form]:
    return {f"{name.replace('_', ' ')}{way}": form for name, pair in pairs.items()
            for form, way in zip(pair, ("", " whole"), strict=True)}


def _invoked(model: str) -> tuple[Form, Form]:
    return _texts_of_aws("bedrock", {"api": "invoke", "model": model}, "headers")


FURTHER: Mapping[str, Form] = {
    "embeddings": Form("embeddings", "document", vectors, prompt=THREE),
    "embeddings base64": Form("embeddings", "document", vectors, {"parameters": {"encoding_format": "base64"}}, THREE),
    "embeddings cohere": Form("embeddings", "document", vectors, {"api": "cohere"}, THREE),
    "embeddings tei": Form("embeddings", "document", vectors, {"api": "tei"}, THREE, "headers"),
    "rerank": Form("rerank", "document", ranking, prompt=RANKED),
    "rerank tei": Form("rerank", "document", ranking, {"api": "tei"}, RANKED, "headers"),
    "transcription": Form("transcription", "events", transcript, prompt=SAID),
    "transcription whole": Form("transcription", "document", transcript, {"stream": False}, SAID),
    "transcription text": Form("transcription", "text", transcript, {
        "stream": False, "parameters": {"response_format": "text"}}, SAID, None),
    "speech mp3": Form("speech", "sound", speech, {"parameters": {"response_format": "mp3"}}, SPOKEN, None, 2),
    "speech wav": Form("speech", "sound", speech, {"stream": False}, SPOKEN, None, 2),
    "speech events": Form("speech", "events", speech, {
        "parameters": {"response_format": "mp3", "stream_format": "sse"}}, SPOKEN, tokens=2),
    "images": Form("images", "document", image, {"stream": False, "parameters": SMALL}, tokens=STEPS),
    "images streamed": Form("images", "events", image, {"stream": True, "parameters": {**SMALL, "partial_images": 1}},
                            tokens=STEPS),
    **_named(
        sagemaker_openai=_texts_of_aws("sagemaker", {"payload_format": "openai"}),
        sagemaker_tgi=_texts_of_aws("sagemaker", {"payload_format": "tgi"}),
        converse=_texts_of_aws("bedrock", {"model": "amazon.nova-lite-v1:0"}),
        invoke_anthropic=_invoked("anthropic.claude-3-haiku-20240307-v1:0"),
        invoke_nova=_invoked("amazon.nova-lite-v1:0"),
        invoke_llama=_invoked("meta.llama3-8b-instruct-v1:0"),
        invoke_titan=_invoked("amazon.titan-text-lite-v1"),
        invoke_mistral=_invoked("mistral.mistral-7b-instruct-v0:2"),
        invoke_cohere=_invoked("cohere.command-r-v1:0"),
        invoke_openai=_invoked("openai.gpt-oss-20b-1:0"),
    ),
    "sagemaker embeddings": _aws("sagemaker", "document", vectors, {"payload_format": "openai_embeddings"},
                                 prompt=THREE),
    "sagemaker rerank": _aws("sagemaker", "document", ranking, {"payload_format": "cohere_rerank"}, prompt=RANKED),
    "sagemaker transcription": _aws("sagemaker", "document", transcript, {"payload_format": "raw_audio"}, prompt=SAID),
    "sagemaker speech": _aws("sagemaker", "sound", speech, {"payload_format": "openai_speech"}, prompt=SPOKEN,
                             counts=None, tokens=2),
    "invoke titan embeddings": _aws("bedrock", "document", vectors, {"model": "amazon.titan-embed-text-v2:0"},
                                    prompt=Prompt("p", "s", text="red"), counts="headers"),
    "invoke cohere embeddings": _aws("bedrock", "document", vectors, {"model": "cohere.embed-english-v3"},
                                     prompt=THREE, counts="headers"),
    "invoke cohere rerank": _aws("bedrock", "document", ranking, {"model": "cohere.rerank-v3-5:0"}, prompt=RANKED,
                                 counts="headers"),
    "invoke canvas": _aws("bedrock", "document", image, {"model": "amazon.nova-canvas-v1:0", "parameters": {
        "imageGenerationConfig": {"width": 32, "height": 32}}}, counts=None, tokens=STEPS),
}
