"""Sound in answers: raw bytes of a format, OpenAI's events with base64, or JSON with base64; and what is none."""

from __future__ import annotations

import re
import string
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from fmload.audio import framed, lengths, played, wav
from fmload.audio.played import NotSound, Played, Short
from fmload.base.base64_text import decoded
from fmload.base.redaction import shortened
from fmload.endpoints import usage
from fmload.endpoints.answer import MALFORMED_OR_DEEP, note_told
from fmload.endpoints.failures import error_text, failure_of_error
from fmload.endpoints.lenient_json import loads
from fmload.endpoints.streams import DONE, PINGS
from fmload.model.outcome import Failure
from fmload.model.reading import Reading, Speech
from fmload.wire.exchange import Exchange
from fmload.wire.sse import events

_OF_JSON = ("audio", "audioContent", "audio_content", "data")
_TAIL = 4096  # bytes at the end in which a server that broke off may have written why
_WORDS_FROM, _MOST_WORDS = 4, 200  # bytes that tell words from sound, and characters of them that are told
_PRINTABLE = frozenset(string.printable.encode())
_MOST_JSON = 1 << 20  # of a body that is tried as JSON though its type says otherwise
_OF_PCM = re.compile(r";\s*(rate|channels)=\"?(\d{1,6})\b").findall
_NAMED = {"mp3": "audio/mpeg", "wav": "audio/wav", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac"}


class Asked(NamedTuple):
    """The format that was asked for, and what PCM does not tell of itself."""

    form: str
    rate: int = 24000
    channels: int = 1

    def told(self, kind: str) -> Asked:
        """With what the type of the answer says of PCM: `audio/pcm;rate=16000;channels=2`."""
        found = {name: int(count) for name, count in _OF_PCM(kind.lower())}
        rate, channels = found.get("rate", 0), found.get("channels", 0)
        return self._replace(rate=rate if 1000 <= rate <= 768_000 else self.rate,
                             channels=channels if 1 <= channels <= 8 else self.channels)


@dataclass(slots=True)
class _Heard:
    """Sound out of a body: its bytes, and (sound, body) offsets at which each piece was complete; none: they are the
    body's own."""

    sound: bytes
    pieces: list[tuple[int, int]] = field(default_factory=list)
    ended: bool = True
    told: list[usage.Counts] = field(default_factory=list)
    failure: Failure | None = None

    def body_end(self, sound_end: int) -> int:
        """The offset in the body at which so much sound had come."""
        if not self.pieces:
            return sound_end
        return next((body for sound, body in self.pieces if sound >= sound_end), self.pieces[-1][1])

    def sound_end(self, body_end: int) -> int:
        """How much sound had come at an offset of the body."""
        if not self.pieces:
            return body_end
        place = bisect_right(self.pieces, body_end, key=lambda piece: piece[1])
        return self.pieces[place - 1][0] if place else 0


def read(exchange: Exchange, asked: Asked) -> Reading:
    """The reading of a response of status 2xx."""
    kind = exchange.headers.get("content-type", "")
    heard, asked = _heard(exchange.body, kind, asked, exchange.complete), asked.told(kind)
    reading = Reading(failure=heard.failure)
    note_told(reading, heard.told, len(exchange.body))
    if heard.sound:
        _note_sound(reading, heard, exchange, asked)
    if exchange.failure is None and reading.failure is None:
        if not exchange.complete:
            reading.failure = Failure("truncated", "the connection closed inside the response")
        elif not heard.ended and exchange.body:
            reading.failure = Failure("truncated", "the response ended without speech.audio.done")
    return reading


def _note_sound(reading: Reading, heard: _Heard, exchange: Exchange, asked: Asked) -> None:
    whole = exchange.complete and exchange.failure is None and reading.failure is None
    kind = "" if heard.pieces else exchange.headers.get("content-type", "")
    try:
        found = _played(heard.sound, kind, asked, whole)
    except Short as error:
        reading.failure = reading.failure or Failure("truncated", f"the sound ended early: {error}")
        found = _played(heard.sound, kind, asked, whole=False)
    except NotSound as error:
        reading.failure = reading.failure or Failure("decode", f"no sound of a known form: {error}")
        return
    if found is None:
        return
    at, seconds_at = heard.sound_end, found.seconds_at
    reading.speech = Speech(heard.body_end(found.first), heard.body_end(found.last), found.seconds,
                            None if seconds_at is None else lambda end: seconds_at(at(end)))
    reading.detail = {"form": found.form}
    if found.unplayed:
        reading.remark = f"{found.unplayed} bytes after the end that the sound's own header tells are not counted"
    elif found.form != asked.form and not {found.form, asked.form} <= {"ogg", "opus"}:
        reading.remark = f"{asked.form} was asked for, and {found.form} came"


def has_sound(body: bytes, asked: Asked) -> bool:
    """Whether sound has come in a partial body."""
    heard = _heard(body, "", asked, complete=False)
    try:
        return bool(heard.sound) and _played(heard.sound, "", asked, whole=False) is not None
    except NotSound:
        return False


# -- what the body holds --


def _heard(body: bytes, kind: str, asked: Asked, complete: bool) -> _Heard:
    """The sound of a body, however it is wrapped; the last event of one that is not complete may be a part."""
    if "event-stream" in kind or (not kind.startswith("audio/") and body[:6] in (b"data: ", b"event:", b"data:{")):
        return _of_events(body, complete)
    if "json" in kind or (body[:1] == b"{" and len(body) <= _MOST_JSON):
        found = _of_json(body, told="json" in kind)
        if found is not None:
            return found
    if kind.startswith("text/") or body[:9].lower().startswith((b"<!doctype", b"<html")):
        return _Heard(b"", failure=Failure("decode", f"{kind.partition(';')[0] or 'HTML'} where sound should be"))
    if _is_text(body):
        words = " ".join(body[:_TAIL].decode("ascii").split())
        return _Heard(b"", failure=Failure("decode", f"a text where sound should be: {shortened(words, _MOST_WORDS)}"))
    return _Heard(body, failure=_error_at_the_end(body))


def _is_text(body: bytes) -> bool:
    """Whether a body is plain words, whatever its type says: no sound is made of the bytes of letters alone."""
    return len(body) >= _WORDS_FROM and _PRINTABLE.issuperset(body[:_TAIL])


def _of_events(body: bytes, complete: bool) -> _Heard:
    """OpenAI's: `speech.audio.delta` with base64, `speech.audio.done` with usage."""
    parts, heard, length = list[bytes](), _Heard(b"", ended=False), 0
    for end, event, data in events(body):
        if data == DONE or event in PINGS or not data:
            continue
        try:
            message = loads(data)
            if event == "error" or message.get("error") or message.get("type") == "error":
                heard.failure = heard.failure or failure_of_error(message)
            elif message.get("audio") and not str(message.get("type") or "").endswith("done"):
                parts.append(decoded(message["audio"]))
                length += len(parts[-1])
                heard.pieces.append((length, end))
            elif str(message.get("type") or "").endswith(".done"):
                heard.ended = True
            if isinstance(message.get("usage"), Mapping):
                heard.told.append(usage.read(message["usage"]))
        except MALFORMED_OR_DEEP:
            if complete or end < len(body):
                heard.failure = heard.failure or Failure(
                    "decode", f"the event that ends at byte {end} is not of a known form")
    heard.sound = b"".join(parts)
    return heard


def _of_json(body: bytes, told: bool) -> _Heard | None:
    """Sound as base64 in an object; an error in one. None for what is no JSON and does not say that it is."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Heard(b"", failure=Failure("decode", "broken JSON where sound should be")) if told else None
    if isinstance(document, Mapping) and not document.get("error"):
        text = next((document[key] for key in _OF_JSON if isinstance(document.get(key), str)), None)
        try:
            if text:
                sound = decoded(text)
                return _Heard(sound, [(len(sound), len(body))])
        except ValueError:
            return _Heard(b"", failure=Failure("decode", "the sound in the response is no base64"))
    return _Heard(b"", failure=_complaint(document))


def _complaint(document: Any) -> Failure:
    return Failure("stream_error", f"an error where sound should be: {error_text(document)}")


def _error_at_the_end(body: bytes) -> Failure | None:
    """Of a server that broke off, and wrote why into the sound."""
    tail = body[-_TAIL:]
    place = tail.rfind(b'{"error"')
    if place < 0:
        return None
    try:
        document = orjson.loads(tail[place:].strip())
    except orjson.JSONDecodeError:
        return None
    return Failure("stream_error", f"an error inside the sound: {error_text(document)}")


# -- what the sound is --


def _played(sound: bytes, kind: str, asked: Asked, whole: bool) -> Played | None:
    """By how the sound begins, then by what the server says it is, then by what was asked for. Raises NotSound."""
    if not sound:
        return None
    if wav.is_wav(sound):
        return wav.read(sound, whole)
    if sound[:3] == b"ID3" or sound[:4] in (b"OggS", b"fLaC"):
        return lengths.read(sound)
    form = next((name for name, each in _NAMED.items() if each in kind), asked.form)
    if form == "pcm" or "audio/pcm" in kind or "audio/l16" in kind.lower():
        return played.pcm(len(sound), asked.rate, asked.channels)
    if form == "wav":
        if not whole and len(sound) < 12:
            return None
        raise NotSound("it does not begin as a WAV does")
    if form == "mp3":
        return framed.read_mp3(sound)
    return framed.read_adts(sound) if form == "aac" else Played(form, 1, len(sound))
