"""Answers: what the endpoints said, kept where the run file asks for it (`keep_answers`).

They travel as frames of their own through the same journals, batches and acknowledgements as the records: a record's
frame is a msgpack array, an answer's a map, which its first byte tells. Long texts are cut, and say so; beyond a
worker's share of the run's limit no more are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack
import pyarrow as pa

from fmload.base.redaction import without_secrets
from fmload.model.reading import Reading
from fmload.model.record import Record

SCHEMA = pa.schema([("request_id", pa.string()), ("stage", pa.int32()), ("endpoint", pa.string()),
                    ("prompt_set", pa.string()), ("prompt_id", pa.string()), ("text", pa.string()),
                    ("reasoning", pa.string()), ("cut", pa.bool_()), ("tools", pa.string())])
ANSWERS_FULL = "answers_full"  # the event of a worker that keeps no more
_MAPS = (*range(0x80, 0x90), 0xDE, 0xDF)  # first bytes of msgpack's maps: up to 15 entries, and more


@dataclass(slots=True)
class Keeper:
    """What one worker keeps: of each text at most `each_bytes` of UTF-8, as long as `left_bytes` of frames last.

    Once an answer is too much none is kept any more: shorter ones that would fit are no fair choice.
    """

    each_bytes: int
    left_bytes: int

    def keep(self, record: Record, reading: Reading) -> bytes | None:
        """The frame of an answer; None when there is no room for it."""
        packed = pack(record, reading, self.each_bytes)
        self.left_bytes -= len(packed)
        return packed if self.left_bytes >= 0 else None


def pack(record: Record, reading: Reading, each_bytes: int) -> bytes:
    """The answer of one request: its text, and beside it that of its reasoning, and the names and arguments of its calls
    of tools (None when there is none)."""
    text, text_cut = _kept(reading.said("answer"), each_bytes)
    reasoning, reasoning_cut = _kept(reading.said("reasoning"), each_bytes)
    tools, tools_cut = _kept(reading.said("tool"), each_bytes)
    return msgpack.packb({  # type: ignore[no-any-return]
        "request_id": record.request_id, "stage": record.stage, "endpoint": record.endpoint,
        "prompt_set": record.prompt_set, "prompt_id": record.prompt_id, "text": text,
        "reasoning": reasoning or None, "cut": text_cut or reasoning_cut or tools_cut, "tools": tools or None})


def _kept(said: str, limit_bytes: int) -> tuple[str, bool]:
    """As `_limited`, without secrets. Cut before it is searched, as searching takes its time; and once more, as a
    mask may be longer than what it hides."""
    text, cut = _limited(said, limit_bytes)
    text, cut_again = _limited(without_secrets(text), limit_bytes)
    return text, cut or cut_again


def _limited(text: str, limit_bytes: int) -> tuple[str, bool]:
    """The text, at most so much of it, and whether that is not all."""
    if len(text) * 4 <= limit_bytes:  # no character takes more than four bytes
        return text, False
    encoded = text.encode()
    return encoded[:limit_bytes].decode(errors="ignore"), len(encoded) > limit_bytes


def is_answer(packed: bytes) -> bool:
    """Whether a frame is an answer, or another map that travels beside the records; else it is a record."""
    return packed[:1] != b"" and packed[0] in _MAPS


def is_kept(row: dict[str, Any]) -> bool:
    """Whether an unpacked map is a kept answer; else it is a text to be counted, or a session."""
    return "text" in row


def unpack(packed: bytes) -> dict[str, Any]:
    """The row of SCHEMA that `pack` wrote."""
    row: dict[str, Any] = msgpack.unpackb(packed)
    return row
