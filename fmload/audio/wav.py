"""WAV: headers read as they are written by servers that do not know the length yet, and written for made-up sound."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from fmload.audio.played import NotSound, Played, Short, Stretch, of_stretches

_PLAIN = (1, 3, 6, 7, 0xFFFE)  # PCM, float, A-law, µ-law, extensible: every frame has the same size
_RATES = (1000, 768_000)
_BITS = (8, 16, 24, 32, 64)
_UNKNOWN = 0x7FFF_0000  # lengths from here on stand for one that was not known when the header was written
_MOST_CHANNELS = 64
_SAMPLE_BYTES = 2  # of sound that is written
_LEAST_TOLD = 8  # bytes after the end that are worth a word


@dataclass(frozen=True, slots=True)
class Header:
    """One RIFF header. `begin`: where the sound begins; `length` of it in bytes (None: to the end of the file);
    `frame_bytes` 0: compressed, and how long it plays is not told."""

    begin: int
    length: int | None
    frame_bytes: int
    rate: int


def is_wav(data: bytes) -> bool:
    """Whether bytes begin as a WAV does."""
    return data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE"


def read_header(data: bytes, at: int = 0) -> Header | None:
    """The header at an offset; None where its end has not come. Raises NotSound for one that contradicts itself."""
    place, form = at + 12, None
    while place + 8 <= len(data):
        name, size = data[place:place + 4], struct.unpack_from("<I", data, place + 4)[0]
        if name == b"data":
            if form is None:
                raise NotSound("a WAV without a format before its sound")
            length = None if size == 0 or size >= _UNKNOWN or data[at:at + 4] == b"RF64" else size
            return Header(place + 8, length, *form)
        if name == b"fmt ":
            if place + 8 + 16 > len(data):
                return None
            form = _format(data, place + 8)
        place += 8 + size + size % 2
    return None


def _format(data: bytes, at: int) -> tuple[int, int]:
    """Bytes of a frame (0: compressed) and frames a second."""
    code, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", data, at)
    if code not in _PLAIN:
        return 0, rate
    if not 1 <= channels <= _MOST_CHANNELS or bits not in _BITS or block != channels * bits // 8:
        raise NotSound(f"a WAV header of {channels} channels of {bits} bits in {block} bytes")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise NotSound(f"a WAV header of {rate} samples a second")
    return block, rate


def read(data: bytes, whole: bool = True) -> Played | None:
    """What a WAV plays; several one after another, as some servers send one a sentence, play on. None: no sound.

    Raises NotSound for what is no WAV, and Short where less came than a header says and it should be `whole`.
    """
    stretches, at = list[Stretch](), 0
    while is_wav(data[at:at + 12]):
        header = read_header(data, at)
        if header is None:
            break
        end = len(data) if header.length is None else header.begin + header.length
        if end > len(data) and whole:
            raise Short(f"{len(data) - header.begin} of the {header.length} bytes of sound that its WAV header tells")
        end = min(end, len(data))
        if not header.frame_bytes:
            return Played("wav", min(header.begin + 1, end), end) if end > header.begin else None
        stretches.append(Stretch(header.begin, end - (end - header.begin) % header.frame_bytes, header.frame_bytes,
                                 header.rate))
        at = _after(data, end + (end - header.begin) % 2 if data[end:end + 4] != b"RIFF" else end)
    if not stretches and not is_wav(data):
        raise NotSound("no WAV")
    return of_stretches("wav", stretches, len(data) - at if len(data) - at >= _LEAST_TOLD else 0)


def _after(data: bytes, at: int) -> int:
    """Beyond the chunks that follow a sound (tags, cue points): where the next WAV begins, or what is no chunk."""
    while at + 8 <= len(data) and data[at:at + 4].isascii() and data[at:at + 4] != b"RIFF":
        size = struct.unpack_from("<I", data, at + 4)[0]
        if size > len(data) - at - 8:
            break
        at += 8 + size + size % 2
    return at


def header(length: int, rate: int) -> bytes:
    """The 44 bytes before so many bytes of PCM, of one channel and 16 bits; a length of 2³²−1 is that of a stream that
    does not know its own."""
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", min(length + 36, 0xFFFF_FFFF), b"WAVE", b"fmt ", 16, 1, 1,
                       rate, rate * _SAMPLE_BYTES, _SAMPLE_BYTES, 8 * _SAMPLE_BYTES, b"data", length)
