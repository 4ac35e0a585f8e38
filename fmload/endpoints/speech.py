"""Speech made of text over HTTP, in OpenAI's form: vLLM-Omni, Kokoro, speaches, Orpheus, LocalAI, OpenAI."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints import speech_answer
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.speech_answer import Asked
from fmload.model.prompt import Prompt
from fmload.model.reading import ExpectedSpeech, Reading
from fmload.wire.exchange import Exchange

Json = dict[str, Any]


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: speech`."""

    voice: str | None = Field("alloy", description="the server's name for a voice")
    sample_rate: int = Field(24000, ge=1000, le=768_000,
                             description="samples a second of `response_format: pcm`, which does not tell it itself")
    channels: int = Field(1, ge=1, le=8, description="of `response_format: pcm`")


class SpeechCodec:
    """How one endpoint is asked to speak a text, and what it sends is heard. Pure."""

    def __init__(self, endpoint: str, fixed: Json, rate: int = 24000, channels: int = 1) -> None:
        """`fixed`: what every body has; `rate`, `channels`: of sound that does not tell them."""
        self._endpoint, self._fixed = endpoint, {"response_format": "wav", **fixed}
        form = self._fixed["response_format"]
        self._asked = Asked(form if isinstance(form, str) else "wav", rate, channels)

    def body(self, prompt: Prompt) -> Json:
        """The JSON to send: the endpoint's parameters, and over them the prompt's."""
        return {**self._fixed, **prompt.parameters, "input": prompt.as_text()}

    def read(self, exchange: Exchange) -> Reading:
        """The reading of a response of status 2xx."""
        return speech_answer.read(exchange, self._asked)

    def expects(self, prompt: Prompt) -> ExpectedSpeech:
        """What the answer to a prompt has to be."""
        return ExpectedSpeech(len(prompt.as_text()))

    def carries_token(self, body: bytes) -> bool:
        """Whether sound has come, and not only a header."""
        return speech_answer.has_sound(body, self._asked)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be spoken."""
        where = f"prompt set '{prompt.prompt_set}', endpoint '{self._endpoint}'"
        if prompt.audio is not None or prompt.inputs is not None:
            raise FmloadError(f"{where}: speech is made of one text a request",
                              hint="take a source of texts, such as synthetic, without batch")


def _codec(spec: EndpointSpec) -> SpeechCodec:
    own = {"model": spec.model, "voice": spec.options.voice}
    return SpeechCodec(spec.name, {**{key: value for key, value in own.items() if value is not None},
                                   **spec.parameters}, spec.options.sample_rate, spec.options.channels)


def _path(base: str, spec: EndpointSpec) -> str:
    return base if base.endswith("/audio/speech") else (base or "/v1") + "/audio/speech"


SPEECH = HttpProtocol(Options, _codec, _path, headers={"Accept": "*/*"}, BASE_PATH="/v1", MAKES="sound")
