"""Sound by InvokeEndpoint (SageMaker): the bytes themselves to a container that transcribes, OpenAI's body to one that
speaks."""

from __future__ import annotations

from typing import Any, Literal

from fmload.config.schema import EndpointSpec
from fmload.endpoints import transcript_answer
from fmload.endpoints.sounds import kind_of, sounds
from fmload.endpoints.speech import SpeechCodec
from fmload.endpoints.transcription import audio_of, check, expected
from fmload.model.prompt import Prompt
from fmload.model.reading import ExpectedTranscript, Reading
from fmload.wire.exchange import Exchange

SoundForm = Literal["raw_audio", "openai_speech"]
SOUND_FORMS: tuple[SoundForm, ...] = ("raw_audio", "openai_speech")


class RawAudio:
    """The sound is the body, as Whisper's containers take it (Hugging Face, JumpStart)."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def body(self, prompt: Prompt) -> dict[str, Any]:
        """Nothing goes beside the sound."""
        return {}

    def encode(self, fields: dict[str, Any], prompt: Prompt) -> bytes:
        """The bytes of the file."""
        return sounds().of(audio_of(prompt))

    def arguments(self, prompt: Prompt) -> dict[str, str]:
        """What the call says of the body."""
        return {"ContentType": kind_of(audio_of(prompt))[1], "Accept": "application/json"}

    def read(self, exchange: Exchange) -> Reading:
        """The reading of a response of status 2xx."""
        return transcript_answer.read(exchange)

    def expects(self, prompt: Prompt) -> ExpectedTranscript:
        """What the answer to a prompt has to be."""
        return expected(prompt)

    def carries_token(self, body: bytes) -> bool:
        """Never: the answer is whole."""
        return False

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt without sound, or with one that cannot be had."""
        check(prompt, self._endpoint)


def sound_codec(form: SoundForm, spec: EndpointSpec) -> RawAudio | SpeechCodec:
    """How a container is asked in this form; parameters go into bodies of JSON."""
    return RawAudio(spec.name) if form == "raw_audio" else SpeechCodec(spec.name, {"voice": "alloy", **spec.parameters})
