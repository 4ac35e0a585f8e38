"""Sessions: how each one ended, how long it took, and where the time went.

They travel as frames of their own through the same journals, batches and acknowledgements as the records (a map, as
kept answers are), and become sessions.parquet.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import msgpack
import pyarrow as pa

from fmload.model.session import Session

_COUNTS = ("stage", "requests", "failed", "context_tokens")
COLUMNS = tuple(field.name for field in fields(Session))
SCHEMA = pa.schema([(name, pa.int64() if name.endswith("_ns") else pa.int32() if name in _COUNTS else pa.string())
                    for name in COLUMNS])


def pack(session: Session) -> bytes:
    """The frame of a session."""
    return msgpack.packb({name: getattr(session, name) for name in COLUMNS})  # type: ignore[no-any-return]


def unpack(packed: bytes) -> Session | None:
    """The session that a map of the journals holds; None for an answer or its text. What an earlier version did not
    write has its default."""
    row = msgpack.unpackb(packed)
    if not isinstance(row, dict) or not is_session(row):
        return None
    return Session(**{name: row[name] for name in COLUMNS if name in row})


def is_session(row: dict[str, Any]) -> bool:
    """Whether an unpacked map is one of these; else it is an answer or its text."""
    return "session" in row
