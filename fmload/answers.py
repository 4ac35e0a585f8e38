"""Answers: what the endpoints said, kept where the run file asks for it (`keep_answers`).

They travel as frames of their own through the same journals, batches and acknowledgements as the records: a record's
frame is a msgpack array, an answer's a map, which its first byte tells. Texts beyond LIMIT_BYTES are cut, and say so.
"""

from __future__ import annotations

from typing import Any

import msgpack
import pyarrow as pa

from fmload.endpoints.base import Channel, Reading
from fmload.record import Record

SCHEMA = pa.schema([("request_id", pa.string()), ("stage", pa.int32()), ("endpoint", pa.string()),
                    ("prompt_set", pa.string()), ("prompt_id", pa.string()), ("text", pa.string()),
                    ("reasoning", pa.string()), ("cut", pa.bool_())])
LIMIT_BYTES = 64 * 1024  # of UTF-8: of the answer, and of the reasoning
_FIXMAP = range(0x80, 0x90)


def pack(record: Record, reading: Reading) -> bytes:
    """The answer of one request: its text, and the text of its reasoning beside it (None when there is none)."""
    text, text_cut = _limited(_said(reading, "answer"))
    reasoning, reasoning_cut = _limited(_said(reading, "reasoning"))
    return msgpack.packb({  # type: ignore[no-any-return]
        "request_id": record.request_id, "stage": record.stage, "endpoint": record.endpoint,
        "prompt_set": record.prompt_set, "prompt_id": record.prompt_id, "text": text,
        "reasoning": reasoning or None, "cut": text_cut or reasoning_cut})


def _said(reading: Reading, channel: Channel) -> str:
    return "".join(chunk.text for chunk in reading.chunks if chunk.channel == channel)


def _limited(text: str) -> tuple[str, bool]:
    """The text, at most LIMIT_BYTES of it, and whether that is not all."""
    if len(text) * 4 <= LIMIT_BYTES:  # no character takes more than four bytes
        return text, False
    encoded = text.encode()
    return encoded[:LIMIT_BYTES].decode(errors="ignore"), len(encoded) > LIMIT_BYTES


def is_answer(packed: bytes) -> bool:
    """Whether a frame is an answer; else it is a record."""
    return packed[:1] != b"" and packed[0] in _FIXMAP


def unpack(packed: bytes) -> dict[str, Any]:
    """The row of SCHEMA that `pack` wrote."""
    row: dict[str, Any] = msgpack.unpackb(packed)
    return row
