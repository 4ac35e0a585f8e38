"""Compressed sound in frames or pages that say how long they play: MP3, AAC in ADTS, Ogg (Opus, Vorbis)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from fmload.audio.played import Played, of_pieces

_MP3_KBIT = {  # by (MPEG-1, layer); the index of the bit rate
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LEAST_FRAMED = 0.9  # of the bytes; else it is not what it seems
_MOST_LOST = 64 * 1024  # bytes between frames that are looked through
_OPUS_RATE = 48000


class Frame(NamedTuple):
    """`length` in bytes, seconds that it plays (0: it only describes the others)."""

    length: int
    seconds: float


def read_mp3(data: bytes) -> Played | None:
    """Frames of MPEG audio, tags left out. None where there is no whole one."""
    return _framed("mp3", data, _mp3_frame)


def read_adts(data: bytes) -> Played | None:
    """AAC frames with ADTS headers. None where there is no whole one."""
    return _framed("aac", data, _aac_frame)


def _framed(form: str, data: bytes, frame_at: Callable[[bytes, int], Frame | None]) -> Played | None:
    """Raises nothing: where too little of it are frames, how long it plays is not told."""
    ends, seconds, framed, at, total, lost = list[int](), list[float](), 0, 0, 0.0, 0
    while 0 <= at < len(data) - 4 and lost < _MOST_LOST:
        frame = frame_at(data, at)
        if frame is None:
            following = data.find(b"\xff", at + 1, at + _MOST_LOST)
            lost, at = lost + following - at, following
            continue
        framed, at = framed + min(frame.length, len(data) - at), at + frame.length
        if at <= len(data) and frame.seconds:
            total += frame.seconds
            ends.append(at)
            seconds.append(total)
    if framed < _LEAST_FRAMED * len(data):
        return Played(form, min(1, len(data)), len(data)) if data else None
    return of_pieces(form, ends, seconds)


def _tag(data: bytes, at: int) -> Frame | None:
    """An ID3 tag, which holds no sound."""
    if data[at:at + 3] == b"ID3" and at + 10 <= len(data):
        a, b, c, d = data[at + 6:at + 10]
        return Frame(10 + (a << 21 | b << 14 | c << 7 | d), 0.0)
    return Frame(128, 0.0) if data[at:at + 3] == b"TAG" and len(data) - at == 128 else None


def _mp3_frame(data: bytes, at: int) -> Frame | None:
    if tag := _tag(data, at):
        return tag
    first, second, third = data[at], data[at + 1], data[at + 2]
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    kbits = _MP3_KBIT.get((version == 3, layer))
    if first != 0xFF or second & 0xE0 != 0xE0 or version == 1 or kbits is None:
        return None
    if third >> 4 in (0, 15) or third >> 2 & 3 == 3:
        return None
    rate, samples = _MP3_RATES[version][third >> 2 & 3], 576 if layer == 3 and version != 3 else 1152
    length = samples // 8 * kbits[third >> 4] * 1000 // rate + (third >> 1 & 1)
    describes = any(mark in data[at + 4:at + 44] for mark in (b"Xing", b"Info", b"VBRI"))
    return Frame(length, 0.0 if describes else samples / rate)


def _aac_frame(data: bytes, at: int) -> Frame | None:
    if tag := _tag(data, at):
        return tag
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0 or data[at + 2] >> 2 & 15 > 12:
        return None
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    return Frame(length, 1024 * ((data[at + 6] & 3) + 1) / _AAC_RATES[data[at + 2] >> 2 & 15]) if length >= 7 else None


def read_ogg(data: bytes) -> Played | None:
    """Pages of Ogg with Opus or Vorbis: each tells how many samples play up to its end. None where none does."""
    ends, seconds, at, skipped, rate = list[int](), list[float](), 0, 0, 0
    while data[at:at + 4] == b"OggS" and at + 27 <= len(data):
        granule, count = struct.unpack_from("<q", data, at + 6)[0], data[at + 26]
        body = at + 27 + count
        end = body + sum(data[at + 27:body])
        if end > len(data) or body > len(data):
            break
        if data[body:body + 8] == b"OpusHead":
            rate, skipped = _OPUS_RATE, struct.unpack_from("<H", data, body + 10)[0]
        elif data[body:body + 7] == b"\x01vorbis":
            rate = struct.unpack_from("<I", data, body + 12)[0]
        elif rate and granule > skipped:
            ends.append(end)
            seconds.append((granule - skipped) / rate)
        at = end
    if not rate:
        return Played("ogg", min(1, len(data)), len(data)) if data else None
    return of_pieces("ogg", ends, seconds)
