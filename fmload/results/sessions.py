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

_NUMBERS = ("begin_ns", "end_ns", "in_requests_ns", "in_tools_ns", "thinking_ns")
_COUNTS = ("stage", "requests", "failed")
COLUMNS = tuple(field.name for field in fields(Session))
SCHEMA = pa.schema([(name, pa.int64() if name in _NUMBERS else pa.int32() if name in _COUNTS else pa.string())
                    for name in COLUMNS])


def pack(session: Session) -> bytes:
    """The frame of a session."""
    return msgpack.packb({name: getattr(session, name) for name in COLUMNS})  # type: ignore[no-any-return]


def is_session(row: dict[str, Any]) -> bool:
    """Whether an unpacked map is one of these; else it is an answer or its text."""
    return "session" in row
