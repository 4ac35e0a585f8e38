"""How long a file of sound plays, by its own header: WAV, FLAC, MP3, AAC in ADTS, Ogg."""

from __future__ import annotations

from fmload.audio import framed, wav
from fmload.audio.played import NotSound, Played

TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".mpga": "audio/mpeg",
         ".mpeg": "audio/mpeg", ".aac": "audio/aac", ".ogg": "audio/ogg", ".oga": "audio/ogg", ".opus": "audio/ogg",
         ".m4a": "audio/mp4", ".mp4": "audio/mp4", ".webm": "audio/webm"}  # by the end of a file's name


def read(data: bytes) -> Played | None:
    """What bytes of a known form play, told by how they begin; None for a form that is not known.

    Raises NotSound for what contradicts itself.
    """
    if wav.is_wav(data):
        return wav.read(data)
    if data[:4] == b"OggS":
        return framed.read_ogg(data)
    if data[:4] == b"fLaC":
        return _flac(data)
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xE0 == 0xE0):
        return framed.read_adts(data) if data[:1] == b"\xff" and data[1] & 0xF6 == 0xF0 else framed.read_mp3(data)
    return None


def _flac(data: bytes) -> Played:
    """By the samples that STREAMINFO tells."""
    if len(data) < 42 or data[4] & 0x7F != 0:
        raise NotSound("a FLAC file without its stream's description")
    rate = data[18] << 12 | data[19] << 4 | data[20] >> 4
    samples = (data[21] & 15) << 32 | int.from_bytes(data[22:26], "big")
    return Played("flac", 42, len(data), samples / rate if rate and samples else None)
