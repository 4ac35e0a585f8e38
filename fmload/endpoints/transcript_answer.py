"""Transcripts, streamed or whole: OpenAI's events, vLLM's chunks, segments of faster-whisper servers, JSON, text.

What an answer is, is told from its keys, so that one reader serves every server and service.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.endpoints import usage
from fmload.endpoints.answer import MALFORMED_OR_DEEP, note_told
from fmload.endpoints.endings import failure_of, is_reason
from fmload.endpoints.failures import error_text, failure_of_error
from fmload.endpoints.lenient_json import loads
from fmload.endpoints.streams import DONE, PINGS
from fmload.model.outcome import Failure
from fmload.model.reading import Chunk, Reading, Transcript
from fmload.wire.exchange import Exchange
from fmload.wire.sse import events

# Lines of subtitles that are no text: a time, with the number of its cue before it, and the first line of all.
_CUES = re.compile(r"^[^\S\n]*(?:(?:\d+[^\S\n]*\r?\n[^\S\n]*)?[\d:.,]+ --> [\d:.,]+.*|WEBVTT.*)$", re.MULTILINE)
_CUE_IN_STREAM = re.compile(rb"^(?:data:[ ]?)?[\d:.,]+ --> [\d:.,]+", re.MULTILINE)
_BEGINS_AS_STREAM = re.compile(rb"\s*(?:event:[^\n]*\n)?data: ?\{").match
_MOST_S = 1e7


@dataclass(slots=True)
class _Said:
    """What a stream has said so far. `pieces`: (end, text). `ends`: whether its form has an end of its own, and whether
    that has come."""

    pieces: list[tuple[int, str]] = field(default_factory=list)
    segments: list[tuple[int, str]] = field(default_factory=list)
    final: tuple[int, str] | None = None
    has_end: bool = False
    ended: bool = False
    heard_s: float | None = None
    told: list[usage.Counts] = field(default_factory=list)
    failure: Failure | None = None

    def account(self, told: Any) -> None:
        """OpenAI's two kinds of usage: tokens, or the seconds of sound that are billed."""
        if isinstance(told, Mapping):
            seconds = _seconds(told.get("seconds")) or _seconds(told.get("prompt_audio_seconds"))  # Mistral's name
            self.heard_s = seconds or self.heard_s
            self.told.append(usage.read(told))


def read(exchange: Exchange) -> Reading:
    """The reading of a response of status 2xx."""
    if _is_stream(exchange.headers.get("content-type", ""), exchange.body):
        said = _stream(exchange.body, exchange.complete)
        return _settled(said, exchange, streamed=True)
    if not exchange.complete:
        cut = Failure("truncated", "the connection closed inside the response")
        return Reading(failure=None if exchange.failure is not None else cut)
    said = _Said(ended=True)
    try:
        _whole(said, exchange)
    except MALFORMED_OR_DEEP:  # without the cause: it may quote the answer
        said.failure = said.failure or Failure("decode", "the response holds no transcript")
    return _settled(said, exchange, streamed=False)


def has_text(body: bytes) -> bool:
    """Whether a text has come in a partial body of a stream."""
    said = _stream(body, complete=False)
    return bool(said.pieces or said.segments or (said.final and said.final[1]))


def _is_stream(kind: str, body: bytes) -> bool:
    """Also one that is sent with another type; a plain text may begin with the word, and no object behind it."""
    if "event-stream" in kind or "text/plain" not in kind:
        return "event-stream" in kind or body.lstrip()[:5] in (b"data:", b"event")
    return _BEGINS_AS_STREAM(body) is not None


# -- streams --


def _stream(body: bytes, complete: bool) -> _Said:
    """What stands in the events; of a body that is not complete the last may be a part of one."""
    said = _Said()
    for end, event, data in _subtitles(body) if _CUE_IN_STREAM.search(body) else events(body):
        if data == DONE:
            said.ended = True
        elif event not in PINGS and data:
            try:
                _message(said, end, event, data)
            except MALFORMED_OR_DEEP:
                if complete or end < len(body):
                    said.failure = said.failure or Failure(
                        "decode", f"the event that ends at byte {end} is not of a known form")
    return said


def _subtitles(body: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Cues in a stream. Some servers write `data:` before the first line of one alone, so that the standard's reading
    would take its number for its text: here a cue goes up to the empty line, with or without the word."""
    end, between = 0, ""
    for block in re.split(rb"(?<=\n\n)", body):
        end += len(block)
        lines = [line.removeprefix(b"data:").strip() for line in block.splitlines()]
        if text := _without_cues(b"\n".join(lines).decode("utf-8", "replace")):
            yield end, "", (text if text[0] == "{" else between + text).encode()
            between = "\n"  # as between the cues of a whole answer


def _without_cues(text: str) -> str:
    return "\n".join(line for line in _CUES.sub("", text).splitlines() if line.strip()).strip()


def _spoken(data: bytes) -> Any:
    """A message, or the text itself, which may begin like JSON: `[Music]`, `"No," he said.`"""
    if data[:1] == b"{":
        return loads(data)
    text = data.decode("utf-8", "replace")
    try:
        message = loads(data) if data[:1] == b'"' else text
    except ValueError:
        return text
    return message if isinstance(message, str) else text


def _message(said: _Said, end: int, event: str, data: bytes) -> None:
    message = _spoken(data)
    if isinstance(message, str):  # `response_format: text` of faster-whisper servers: the text itself
        said.pieces.append((end, message))
        return
    if event == "error" or message.get("error") or message.get("type") == "error" or message.get("object") == "error":
        said.failure = said.failure or failure_of_error(message)
        return
    said.account(message.get("usage"))
    kind = message.get("type") or ""
    if kind.startswith(_STEPS):
        _of_openai(said, end, kind, message)
    elif "choices" in message:
        _of_vllm(said, end, message["choices"])
    elif isinstance(message.get("text"), str):
        said.pieces.append((end, message["text"]))


_STEPS = ("transcript.text.", "transcription.")  # OpenAI's names of events; Mistral's


def _of_openai(said: _Said, end: int, kind: str, message: Mapping[str, Any]) -> None:
    said.has_end = True
    step = kind.rpartition(".")[2]
    if step == "delta":
        _add(said.pieces, end, message.get("delta") or message.get("text"))
    elif step == "segment":
        _add(said.segments, end, message.get("text"))
    elif step == "done":
        said.ended = True
        said.final = end, _text(message.get("text"))


def _of_vllm(said: _Said, end: int, choices: Any) -> None:
    said.has_end = True
    for choice in choices:
        _add(said.pieces, end, (choice.get("delta") or {}).get("content"))
        if is_reason(reason := choice.get("finish_reason")):
            said.ended = True
            said.failure = said.failure or failure_of(reason)


def _add(pieces: list[tuple[int, str]], end: int, text: Any) -> None:
    if text := _text(text):
        pieces.append((end, text))


def _text(value: Any) -> str:
    """Raises TypeError for what is no text."""
    if not isinstance(value, str | None):
        raise TypeError("a text was expected")
    return value or ""


# -- whole answers --


def _whole(said: _Said, exchange: Exchange) -> None:
    body, kind = exchange.body.strip(), exchange.headers.get("content-type", "")
    if body[:1] == b"<" and ("html" in kind or body[:9].lower().startswith((b"<!doctype", b"<html"))):
        said.failure = Failure("decode", "a page of HTML where a transcript should be")
        return
    if body[:1] in b"{[" and body:
        document = _document(body, kind)
        if document is not None:
            _of_document(said, document, len(exchange.body))
            return
    elif "json" in kind:
        raise ValueError("no JSON")
    said.final = len(exchange.body), _without_cues(body.decode())


def _document(body: bytes, kind: str) -> Any:
    """None for a text that only begins like JSON. Raises ValueError for JSON that is broken."""
    try:
        return loads(body)
    except ValueError:
        if "text/" in kind or ("json" not in kind and body[:1] == b"["):  # [BLANK_AUDIO]; whisper.cpp says text/html
            return None
        raise


def _of_document(said: _Said, document: Any, end: int) -> None:
    if isinstance(document, list):  # SageMaker's containers answer with one of each input
        document = document[0]
    if isinstance(document, str):
        said.final = end, document
        return
    if "text" not in document:
        complaint = any(document.get(key) for key in ("error", "detail", "message", "errors"))
        said.failure = Failure("stream_error", error_text(document)) if complaint else Failure(
            "decode", "the response holds no `text`")
        return
    text = document["text"]
    said.account(document.get("usage"))
    said.heard_s = _seconds(document.get("duration")) or said.heard_s
    said.final = end, "\n".join(map(_text, text)) if isinstance(text, list) else _text(text)


def _seconds(value: Any) -> float | None:
    """A number of seconds, or text of one, as OpenAI once wrote it."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except ValueError:
        return None
    return seconds if 0 < seconds < _MOST_S else None


# -- both --


def _settled(said: _Said, exchange: Exchange, streamed: bool) -> Reading:
    reading = Reading(failure=said.failure)
    note_told(reading, said.told, len(exchange.body))
    pieces = list(_pieces(said))
    if pieces or said.final is not None or said.ended:
        text = "".join(text for _, text in pieces)
        reading.chunks = [Chunk(pieces[-1][0], text=text)] if pieces else []
        reading.transcript = Transcript(len(text.strip()), pieces[0][0] if pieces and streamed else None, said.heard_s)
    if exchange.failure is None and reading.failure is None:
        if not exchange.complete:
            reading.failure = Failure("truncated", "the connection closed inside the response")
        elif said.has_end and not said.ended:
            reading.failure = Failure("truncated", "the response ended without its end mark")
    if said.heard_s is not None:
        reading.detail = {"heard_s": said.heard_s}
    return reading


def _pieces(said: _Said) -> Iterator[tuple[int, str]]:
    """What was said: the pieces, or whole segments where there are none; the rest comes with the last text of all."""
    pieces = said.pieces or said.segments
    told = "".join(text for _, text in pieces)
    if said.final is None or said.final[1].strip() == told.strip():
        yield from pieces
        return
    end, text = said.final
    if pieces and text:  # what came before stands in it, in other words or not at all
        yield pieces[0][0], ""
    if text:
        yield end, text
