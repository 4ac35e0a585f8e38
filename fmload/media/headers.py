"""What a file of an image, sound or video is, told from its first bytes and its boxes: its kind, size and length. Pure.

Nothing is decoded: width, height and seconds are what the file's own header says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["image", "audio", "video"]

_LARGEST_SECONDS = 1e7  # what a header says beyond it is no length


class Header(NamedTuple):
    """What a file says of itself. `format` is the name of its format (png, jpeg, wav, mp4 …); `size` the width and
    height in pixels of an image or video, `seconds` the length of sound or video; None: it does not say."""

    kind: Kind
    format: str
    size: tuple[int, int] | None = None
    seconds: float | None = None

    @property
    def mime(self) -> str:
        """Its media type: `image/png`, `audio/mpeg`."""
        return f"{self.kind}/{_MIME.get(self.format, self.format)}"


_MIME = {"mp3": "mpeg", "mov": "quicktime", "mkv": "x-matroska"}


def header_of(data: bytes) -> Header | None:
    """None for what is none of the formats that are known, or has no whole header."""
    try:
        return next((read(data) for begins, read in _FORMATS if begins(data)), None)
    except (struct.error, IndexError):
        return None


def is_cut(data: bytes, format: str) -> bool:
    """Whether an image lacks its end: the last chunk of a PNG, the end mark of a JPEG. False for other formats."""
    if format == "png":
        return b"IEND\xaeB`\x82" not in data  # bytes behind it are no fault of the image
    return format == "jpeg" and b"\xff\xd9" not in data[-64:]


# -- images --


def _png(data: bytes) -> Header | None:
    return Header("image", "png", _positive(*struct.unpack_from(">II", data, 16)))


def _gif(data: bytes) -> Header | None:
    return Header("image", "gif", _positive(*struct.unpack_from("<HH", data, 6)))


_NO_FRAME = (0xC4, 0xC8, 0xCC)  # of 0xC0 to 0xCF: tables, and what is reserved


def _jpeg(data: bytes) -> Header | None:
    """The size stands in the frame header, behind any number of other segments."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill bytes
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Header("image", "jpeg", _positive(width, height))
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _webp(data: bytes) -> Header | None:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at:at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", data, 26))
    return Header("image", "webp", _positive(width, height))


def _positive(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if width > 0 and height > 0 else None


# -- sound --


def _wav(data: bytes) -> Header | None:
    at, rate = 12, 0
    while at + 8 <= len(data):
        name, size = data[at:at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            rate = struct.unpack_from("<I", data, at + 16)[0]
        elif name == b"data":
            return Header("audio", "wav", seconds=_length(min(size, len(data) - at - 8), rate))
        at += 8 + size + size % 2
    return Header("audio", "wav")


def _flac(data: bytes) -> Header | None:
    packed = int.from_bytes(data[18:26], "big")
    return Header("audio", "flac", seconds=_length(packed & 0xFFFFFFFFF, packed >> 44))


_MP3_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)  # MPEG 1, layer III
_MP3_KBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)  # MPEG 2 and 2.5, layer III
_MP3_HZ = (44_100, 48_000, 32_000, 1)


def _mp3(data: bytes) -> Header | None:
    """Frames of one bit rate are as long as their bytes say; a Xing or Info header tells their number."""
    at = _behind_id3(data)
    first = data[at:at + 4]
    if len(first) < 4 or first[0] != 0xFF or first[1] & 0xE6 != 0xE2:
        return Header("audio", "mp3")
    version = first[1] >> 3 & 3
    rate = _MP3_HZ[first[2] >> 2 & 3] // {3: 1, 2: 2}.get(version, 4)
    kbits = (_MP3_KBITS if version == 3 else _MP3_KBITS_LOW)[first[2] >> 4]
    begin = data[at:at + 200]
    place = max(begin.find(b"Xing"), begin.find(b"Info"))
    if place >= 0 and begin[place + 7] & 1:
        frames = struct.unpack_from(">I", begin, place + 8)[0]
        return Header("audio", "mp3", seconds=_length(frames * (1152 if version == 3 else 576), rate))
    return Header("audio", "mp3", seconds=_length(len(data) - at, kbits * 125))


def _behind_id3(data: bytes) -> int:
    if data[:3] != b"ID3":
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _length(count: float, per_s: float) -> float | None:
    seconds = count / per_s if per_s else 0.0
    return seconds if 0 < seconds < _LARGEST_SECONDS else None


# -- video --


def _mp4(data: bytes) -> Header | None:
    """Length and size of ISO media (mp4, mov, m4a), of its movie header and its first track with a picture."""
    seconds, size = None, None
    for name, at in _boxes(data, 0, len(data)):
        if name == b"mvhd":
            seconds = _movie_seconds(data, at)
        elif name == b"tkhd" and size is None:
            size = _track_size(data, at)
    brand = data[8:12]
    if brand in (b"M4A ", b"M4B ") or (size is None and seconds is not None):
        return Header("audio", "m4a", seconds=seconds)
    return Header("video", "mov" if brand == b"qt  " else "mp4", size, seconds)


_HOLDERS = (b"moov", b"trak")


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int]]:
    """(name, offset of its content) of the boxes, and of those in what holds others."""
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        if size < head:
            return
        if name in _HOLDERS:
            yield from _boxes(data, at + head, min(end, at + size))
        else:
            yield name, at + head
        at += size


def _movie_seconds(data: bytes, at: int) -> float | None:
    rate, length = struct.unpack_from(">IQ", data, at + 20) if data[at] == 1 else struct.unpack_from(
        ">II", data, at + 12)
    return _length(length, rate)


def _track_size(data: bytes, at: int) -> tuple[int, int] | None:
    width, height = struct.unpack_from(">II", data, at + (88 if data[at] == 1 else 76))
    return _positive(width >> 16, height >> 16)


def _matroska(data: bytes) -> Header | None:
    return Header("video", "webm" if b"webm" in data[:64] else "mkv")


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], Header | None]], ...] = (
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", _png),
    (lambda data: data[:3] == b"\xff\xd8\xff", _jpeg),
    (lambda data: data[:4] == b"GIF8", _gif),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WAVE", _wav),
    (lambda data: data[4:8] == b"ftyp", _mp4),
    (lambda data: data[:4] == b"\x1aE\xdf\xa3", _matroska),
    (lambda data: data[:4] == b"fLaC", _flac),
    (lambda data: data[:4] == b"OggS", lambda data: Header("audio", "ogg")),
    (lambda data: data[:3] == b"ID3" or (len(data) > 3 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2), _mp3),
)
