"""Odd transcripts, and odd answers that speak. Messages of sound are bytes: a WAV header, pieces, the end."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

from fmload.audio import wav
from fmload.emulator.odd import Message, Part, form

_RATE = 24_000


@form(of="transcript")
def transcription_chunks(message: Message, part: Part) -> Iterable[Any]:
    """vLLM's: like chunks of a chat, and a [DONE]."""
    kind = message.get("type")
    if kind == "transcript.text.delta":
        yield {"object": "transcription.chunk", "choices": [{"delta": {"content": message["delta"]},
                                                             "finish_reason": None}]}
    elif kind == "transcript.text.done":
        yield {"object": "transcription.chunk", "choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]}
        yield {"object": "transcription.chunk", "choices": [], "usage": {
            "prompt_tokens": part.usage.input_tokens, "completion_tokens": part.usage.output_tokens}}
        yield b"data: [DONE]\n\n"
    else:
        yield message


@form(of="transcript", told=False)
def segment_texts(message: Message, part: Part) -> Iterable[Any]:
    """Those of faster-whisper servers: an event a segment, no end of its own."""
    if message.get("type") == "transcript.text.delta":
        yield {"text": message["delta"]}
    elif message.get("type") != "transcript.text.done":
        yield message


@form(of="transcript")
def empty_transcript(message: Message, part: Part) -> Iterable[Any]:
    """No text: right for sound without speech, and no transcript of speech."""
    if message.get("type") != "transcript.text.delta":
        yield {**message, "text": ""}


@form(of="transcript", told=False)
def duration_usage(message: Message, part: Part) -> Iterable[Any]:
    """Seconds in the place of tokens, rounded up."""
    yield {**message, "usage": {"type": "duration", "seconds": -(-part.usage.input_tokens // 50)}} if (
        "usage" in message) else message


@form(of="transcript", outcome="decode", told=False)
def half_heard(message: Message, part: Part) -> Iterable[Any]:
    """The server heard the first part alone, and was fast."""
    yield {**message, "usage": {"type": "duration", "seconds": 0.2}} if "usage" in message else message


@form(of="transcript", outcome="truncated")
def no_transcript_done(message: Message, part: Part) -> Iterable[Any]:
    """A stream that ends as if nothing were missing."""
    if message.get("type") != "transcript.text.done":
        yield message


@form(of="transcript", outcome="stream_error", told=False)
def transcript_error(message: Message, part: Part) -> Iterable[Any]:
    """An error with status 200, or in the stream."""
    yield {"error": {"message": "the model ran out of memory", "type": "internal_error", "code": 500}}


@form(of="transcript", told=False)
def deltas_without_text(message: Message, part: Part) -> Iterable[Any]:
    """All of the text with the end: what came before was empty."""
    yield {**message, "delta": ""} if message.get("type") == "transcript.text.delta" else message


def _header(message: Any, length: int) -> bytes:
    return wav.header(length, _RATE) if wav.is_wav(message) else message


@form(of="speech")
def wav_length_zero(message: Any, part: Part) -> Iterable[Any]:
    """A header that tells no length."""
    yield _header(message, 0)


@form(of="speech")
def wav_a_piece(message: Any, part: Part) -> Iterable[Any]:
    """A WAV of its own for every piece, one after another."""
    if part.moment == "token" and message:
        yield wav.header(len(message), _RATE) + message
    elif part.moment != "opening":
        yield message


@form(of="speech")
def wav_tags_after(message: Any, part: Part) -> Iterable[Any]:
    """The same, each with tags after its sound."""
    if part.moment == "token" and message:
        yield wav.header(len(message), _RATE) + message + b"LIST" + struct.pack("<I", 4) + b"INFO"
    elif part.moment != "opening":
        yield message


@form(of="speech", outcome="truncated", told=False)
def wav_short(message: Any, part: Part) -> Iterable[Any]:
    """The header promises an hour."""
    yield _header(message, 2 * _RATE * 3600)


@form(of="speech", outcome="empty", told=False)
def header_alone(message: Any, part: Part) -> Iterable[Any]:
    """A WAV without a sample."""
    yield message if part.moment != "token" else b""


@form(of="speech", outcome="stream_error", told=False)
def speech_error(message: Any, part: Part) -> Iterable[Any]:
    """An error with status 200 in the place of sound."""
    yield b'{"error": {"message": "no such voice"}}' if part.moment == "closing" else b""


@form(of="speech", outcome="stream_error", told=False)
def error_in_sound(message: Any, part: Part) -> Iterable[Any]:
    """A server that breaks off, and writes why into the sound."""
    yield message if part.moment != "closing" else b'{"error": "CUDA out of memory"}\n'


@form(of="speech", outcome="decode", told=False)
def page_for_sound(message: Any, part: Part) -> Iterable[Any]:
    """A page of HTML from something on the way."""
    yield b"<!DOCTYPE html><html><body>Sign in</body></html>" if part.moment == "closing" else b""


@form(of="speech", outcome="decode", told=False)
def wav_contradicts_itself(message: Any, part: Part) -> Iterable[Any]:
    """A header of no samples a second."""
    yield message[:24] + bytes(4) + message[28:] if wav.is_wav(message) else message
