"""Transcriptions and translations of sound over HTTP, in OpenAI's form: vLLM, speaches, whisper.cpp, OpenAI."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints import transcript_answer
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.multipart import Multipart
from fmload.endpoints.sounds import kind_of, sounds
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.model.reading import ExpectedTranscript, Reading
from fmload.wire.exchange import Exchange

Json = dict[str, Any]
SAMPLE = Audio(0.1, samples=1600)  # what stands for the sound of a prompt that has none, in first requests


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: transcription`."""

    task: Literal["transcribe", "translate"] = Field(
        "transcribe", description="translate: into English, by /v1/audio/translations")
    file_field: str = Field("file", description="the form's field with the sound")


class TranscriptionCodec:
    """How one endpoint is asked, and its answers read. The bytes of recordings are held by the process."""

    def __init__(self, spec: EndpointSpec, file_field: str = "file") -> None:
        self._endpoint, self._stream, self._file_field = spec.name, spec.stream, file_field
        self._fixed: Json = {**({} if spec.model is None else {"model": spec.model}), **spec.parameters}
        self._form = Multipart()

    @property
    def content_type(self) -> str:
        """The header of its requests."""
        return self._form.content_type

    def body(self, prompt: Prompt) -> Json:
        """The form's fields: the endpoint's parameters, and over them the prompt's."""
        fields = {**self._fixed, **prompt.parameters}
        return {**fields, "stream": True} if self._stream else fields

    def encode(self, fields: Json, prompt: Prompt) -> bytes:
        """The form itself, with the sound."""
        audio = audio_of(prompt)
        suffix, kind = kind_of(audio)
        return self._form.body(fields, self._file_field, f"audio{suffix}", kind, sounds().of(audio))

    def read(self, exchange: Exchange) -> Reading:
        """The reading of a response of status 2xx."""
        return transcript_answer.read(exchange)

    def expects(self, prompt: Prompt) -> ExpectedTranscript:
        """What the answer to a prompt has to be."""
        return expected(prompt)

    def carries_token(self, body: bytes) -> bool:
        """Whether a text has come."""
        return transcript_answer.has_text(body)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt without sound, or with one that cannot be had."""
        check(prompt, self._endpoint)


def check(prompt: Prompt, endpoint: str) -> None:
    """Has the sound at hand. Raises FmloadError for a prompt without any, or with one that cannot be had."""
    if prompt.audio is None:
        raise FmloadError(f"prompt set '{prompt.prompt_set}', endpoint '{endpoint}': a transcription needs sound",
                          hint="take source: recordings, or source: tones for made-up sound")
    sounds().ready(Audio.of(prompt.audio))


def audio_of(prompt: Prompt) -> Audio:
    """The recipe of a prompt's sound; of one that has none, a tenth of a second."""
    return SAMPLE if prompt.audio is None else Audio.of(prompt.audio)


def expected(prompt: Prompt) -> ExpectedTranscript:
    """What the answer to a prompt has to be."""
    audio = audio_of(prompt)
    return ExpectedTranscript(audio.seconds, audio.speech)


def _path(base: str, spec: EndpointSpec) -> str:
    own = "/audio/translations" if spec.options.task == "translate" else "/audio/transcriptions"
    return base if base.endswith(own) else (base or "/v1") + own


TRANSCRIPTION = HttpProtocol(Options, lambda spec: TranscriptionCodec(spec, spec.options.file_field), _path,
                             headers={"Accept": "*/*"}, BASE_PATH="/v1")
