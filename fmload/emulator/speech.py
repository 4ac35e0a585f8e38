"""Speech as OpenAI and its kin answer: bytes of sound as they are made, or events with base64.

A text of 15 characters is a second of sound. Every token of the engine is a piece of 120 ms, so that a gap of 60 ms
between tokens is a real-time factor of 0.5, and one of more than 120 ms makes playback stutter.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from fmload.audio import wav
from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.odd import sse
from fmload.emulator.plane import Opened, Plane, bearer_key
from fmload.emulator.settings import Settings

PIECE_S, CHARACTERS_PER_S, RATE = 0.12, 15, 24_000
_SAMPLES = round(PIECE_S * RATE)
_MP3_HEAD, _MP3_FRAME, _MP3_FRAMES = b"\xff\xf3\x84\xc0", 192, 5  # MPEG-2, layer III, 64 kbit/s, 24 kHz: 24 ms each
_TYPES = {"wav": "audio/wav", "pcm": "audio/pcm", "mp3": "audio/mpeg"}


@lru_cache(1)
def _piece() -> bytes:
    """A tone that goes on where it ended: 25 of its waves are one piece."""
    wave = np.sin(2 * np.pi * 25 * np.arange(_SAMPLES) / _SAMPLES)
    return (8000 * wave).astype("<i2").tobytes()


def _silence() -> bytes:
    return (_MP3_HEAD + bytes(_MP3_FRAME - len(_MP3_HEAD))) * _MP3_FRAMES


_PIECES: Mapping[str, Callable[[], bytes]] = {"wav": _piece, "pcm": _piece, "mp3": _silence}


class Spoken:
    """Writes one answer. A WAV's header comes before the first sound, and does not know how long it will be."""

    finish_with_last = usage_each = False
    headers: Mapping[str, str] = {}

    def __init__(self, form: str, events: bool) -> None:
        self._form, self._events, self._piece = form, events, _PIECES[form]()
        self.content_type = "text/event-stream" if events else _TYPES[form]

    def opening(self, usage: Usage) -> bytes:
        return self._written(wav.header(0xFFFF_FFFF, RATE)) if self._form == "wav" else b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        return self._written(self._piece * text.count(" "))

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        if not self._events:
            return b""
        told = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens,
                "total_tokens": usage.input_tokens + usage.output_tokens}
        return sse({"type": "speech.audio.done", "usage": told})

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        told = openai.refusal(500, message, aws).body
        return b"data: " + told + b"\n\n" if self._events else told

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        pieces = text.count(" ")
        head = wav.header(pieces * len(self._piece), RATE) if self._form == "wav" else b""
        return Whole(head + self._piece * pieces, self.content_type)

    def _written(self, sound: bytes) -> bytes:
        return sse({"type": "speech.audio.delta", "audio": base64.b64encode(sound).decode()}) if self._events else sound


def opened(body: Mapping[str, Any], request: Request, settings: Settings, stream: bool = True) -> Opened:
    """The request of any plane. Raises Unfit."""
    text, form = body.get("input"), body.get("response_format", "mp3")
    if not isinstance(text, str) or not text:
        raise Unfit("input must be a text, and not an empty one")
    if form not in _PIECES:
        raise Unfit(f"response_format must be one of {', '.join(_PIECES)}")
    if not body.get("voice"):
        raise Unfit("a voice is missing")
    pieces = max(1, math.ceil(len(text) / CHARACTERS_PER_S / PIECE_S))
    ask = Ask([text], model=str(body.get("model") or ""), stream=stream, max_tokens=pieces, ignore_eos=True,
              audio_s=pieces * PIECE_S, characters=len(text))
    return Opened(ask, odd_of(request, settings, Spoken(form, body.get("stream_format") == "sse")))


def _open(request: Request, number: int, settings: Settings) -> Opened:
    body = openai.parse_json(request.body)
    openai.require_model(str(body.get("model") or ""), settings)
    return opened(body, request, settings)


PLANE = Plane("speech", lambda path: path == "/v1/audio/speech", _open, openai.refusal, bearer_key)
