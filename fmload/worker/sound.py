"""Sound in a record: when the first of it came, how much there was, and whether playback would have run dry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fmload.model.reading import Reading, Speech, Transcript
from fmload.model.record import Record
from fmload.wire.exchange import Exchange, ReadMark

BUFFER_S = 0.1  # of sound, with which playback begins: what players hold at least


def note(record: Record, reading: Reading, exchange: Exchange) -> None:
    """What a transcript or an answer that speaks says of its request."""
    if not exchange.marks:
        return
    if reading.transcript is not None:
        _note_transcript(record, reading, reading.transcript, exchange)
    if reading.speech is not None:
        _note_speech(record, reading.speech, exchange)


def _note_transcript(record: Record, reading: Reading, found: Transcript, exchange: Exchange) -> None:
    record.characters = found.characters
    if found.first_end is None:
        record.last_token_ns = exchange.marks[-1].ns
        return
    record.first_output_ns = exchange.came_ns(found.first_end)
    record.last_token_ns = exchange.came_ns(reading.chunks[-1].end)


def _note_speech(record: Record, found: Speech, exchange: Exchange) -> None:
    record.first_output_ns, record.last_token_ns = exchange.came_ns(found.first_end), exchange.came_ns(found.last_end)
    record.audio_out_s = found.seconds
    if found.seconds_at is not None:
        record.stalls, record.stalled_ns = stalls(exchange.marks, found.seconds_at, found.seconds or 0.0)


def stalls(marks: Sequence[ReadMark], seconds_at: Callable[[int], float], seconds: float) -> tuple[int, int]:
    """How often playback would have run dry, and for how long in all, in nanoseconds.

    It begins with the read that brings BUFFER_S of the sound, or all of it, plays at its own pace, stands still when
    all that has come is played, and goes on with the next read that brings more.
    """
    dry, still_ns = 0, 0
    until_ns: int | None = None  # what has come is played until then
    played = 0.0
    for mark in marks:
        there = seconds_at(mark.end)
        if until_ns is None:
            if there >= min(BUFFER_S, seconds) and there > 0:
                until_ns, played = mark.ns + round(there * 1e9), there
            continue
        if there <= played:
            continue
        if mark.ns > until_ns:
            dry, still_ns, until_ns = dry + 1, still_ns + mark.ns - until_ns, mark.ns
        until_ns, played = until_ns + round((there - played) * 1e9), there
    return dry, still_ns
