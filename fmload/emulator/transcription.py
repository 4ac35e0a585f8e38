"""Transcriptions as OpenAI and its kin answer them: JSON, text, subtitles, or events as the words come.

Sound is read like a prompt of 50 tokens a second, and makes 3 words a second; what is said in it nobody listens to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fmload.audio import lengths
from fmload.audio.played import NotSound
from fmload.emulator import multipart, openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.odd import sse
from fmload.emulator.plane import Opened, Plane, bearer_key
from fmload.emulator.settings import Settings

IN_PER_S, WORDS_PER_S = 50, 3
_PATHS = ("/v1/audio/transcriptions", "/v1/audio/translations")
_FORMATS = ("json", "text", "srt", "vtt", "verbose_json")


class Transcribed:
    """Writes one transcript. `usage` tells tokens, and of `whisper-1` the seconds of sound."""

    finish_with_last = usage_each = False
    headers: Mapping[str, str] = {}

    def __init__(self, model: str, form: str, seconds: float, stream: bool) -> None:
        self._model, self._form, self._seconds = model, form, seconds
        self._said: list[str] = []
        self.content_type = "text/event-stream" if stream else _type(form)

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        text = text if self._said else text.lstrip()
        self._said.append(text)
        return sse({"type": "transcript.text.delta", "delta": text})

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return sse({"type": "transcript.text.done", "text": "".join(self._said), "usage": self._usage(usage)})

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return sse({"error": {"message": message, "type": aws or "internal_error", "code": 500}})

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        text = text.strip()
        if self._form == "text":
            return Whole(text.encode() + b"\n", self.content_type)
        if self._form in ("srt", "vtt"):
            return Whole(_subtitles(text, self._seconds, self._form).encode(), self.content_type)
        told: dict[str, Any] = {"text": text, "usage": self._usage(usage)}
        if self._form == "verbose_json":
            told |= {"task": "transcribe", "language": "english", "duration": round(self._seconds, 2),
                     "segments": [{"id": 0, "start": 0.0, "end": round(self._seconds, 2), "text": text, "seek": 0,
                                   "tokens": [], "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0,
                                   "no_speech_prob": 0.0}]}
        return Whole(orjson.dumps(told), self.content_type)

    def _usage(self, usage: Usage) -> dict[str, Any]:
        if self._form == "verbose_json" or self._model.startswith("whisper"):
            return {"type": "duration", "seconds": max(1, round(self._seconds))}
        return {"type": "tokens", "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
                "input_token_details": {"text_tokens": 0, "audio_tokens": usage.input_tokens},
                "total_tokens": usage.input_tokens + usage.output_tokens}


def _type(form: str) -> str:
    return "application/json" if form.endswith("json") else f"text/{'vtt' if form == 'vtt' else 'plain'}; charset=utf-8"


def _subtitles(text: str, seconds: float, form: str) -> str:
    point = "," if form == "srt" else "."
    last = f"00:{int(seconds // 60):02d}:{int(seconds % 60):02d}{point}000"
    cue = f"00:00:00{point}000 --> {last}\n{text}\n\n"
    return f"1\n{cue}" if form == "srt" else f"WEBVTT\n\n{cue}"


def opened(sound: bytes, fields: Mapping[str, Sequence[str]], request: Request, settings: Settings) -> Opened:
    """The request of any plane. Raises Unfit."""
    try:
        played = lengths.read(sound)
    except NotSound as error:
        raise Unfit(f"Invalid file: {error}") from error
    if played is None or not played.seconds:
        raise Unfit("Invalid file format, or there is no sound in it")
    form, model = _one(fields, "response_format", "json"), _one(fields, "model", "")
    if form not in _FORMATS:
        raise Unfit(f"response_format must be one of {', '.join(_FORMATS)}")
    stream = _one(fields, "stream", "false").lower() == "true"
    seconds = played.seconds
    ask = Ask([], model=model, stream=stream, max_tokens=max(1, round(seconds * WORDS_PER_S)), audio_s=seconds,
              input_tokens=max(1, round(seconds * IN_PER_S)))
    return Opened(ask, odd_of(request, settings, Transcribed(model, form, seconds, stream)))


def _one(fields: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    return next(iter(fields.get(name, ())), default)


def _open(request: Request, number: int, settings: Settings) -> Opened:
    fields, files = multipart.read(request)
    if "file" not in files:
        raise Unfit("the form has no file")
    openai.require_model(_one(fields, "model", ""), settings)
    return opened(files["file"], fields, request, settings)


PLANE = Plane("transcription", lambda path: path in _PATHS, _open, openai.refusal, bearer_key)
