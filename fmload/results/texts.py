"""Texts of answers that their server did not count: kept so that a tokenizer can count them after the run.

They travel as frames of their own through the same journals, batches and acknowledgements as the records (a map, as
kept answers are). `count_answers` of the run file bounds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack
import pyarrow as pa

from fmload.base.redaction import blanked
from fmload.model.reading import Reading
from fmload.model.record import Record

SCHEMA = pa.schema([("request_id", pa.string()), ("stage", pa.int32()), ("endpoint", pa.string()),
                    ("uncounted", pa.string()), ("lengths", pa.list_(pa.int32()))])
TEXTS_FULL = "texts_full"  # the event of a worker that keeps no more


@dataclass(slots=True)
class TextKeeper:
    """What one worker keeps of uncounted answers: whole texts of at most `each_bytes`, as long as `left_bytes` last."""

    each_bytes: int
    left_bytes: int

    def keep(self, record: Record, reading: Reading) -> bytes | None:
        """The frame of an answer whose tokens nobody told; None where there is nothing to count or no room."""
        if record.tokens_source != "chunks" or record.outcome != "ok" or self.left_bytes <= 0:
            return None
        if sum(len(chunk.text) for chunk in reading.chunks) > self.each_bytes:  # before it is searched for secrets
            return None
        packed = pack(record, reading)
        if len(packed) > self.each_bytes:
            return None
        self.left_bytes -= len(packed)
        return packed

    @property
    def full(self) -> bool:
        """Whether there is room no more."""
        return self.left_bytes <= 0


def pack(record: Record, reading: Reading) -> bytes:
    """All that the answer said, in every channel, and the length of each chunk's part of it in characters."""
    parts = [chunk.text + getattr(chunk, "thought", "") for chunk in reading.chunks]
    return msgpack.packb({"request_id": record.request_id, "stage": record.stage, "endpoint": record.endpoint,  # type: ignore[no-any-return]
                          "uncounted": blanked("".join(parts)), "lengths": [len(part) for part in parts]})


def is_text(row: dict[str, Any]) -> bool:
    """Whether an unpacked map is one of these; else it is a kept answer."""
    return "uncounted" in row
