"""Counts of answers made after the run: `counts.parquet`, and how they enter the records.

The counting is done by `fmload_analysis.counting`, in a process of its own.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fmload.model.record import Record

SCHEMA = pa.schema([("request_id", pa.string()), ("tokens", pa.int32()), ("source", pa.string()),
                    ("chunk_tokens", pa.list_(pa.int32()))])


class Count(NamedTuple):
    """Tokens of one answer; of its chunks, where they were counted, too (None: not known)."""

    tokens: int
    source: Literal["tokenizer", "approximate"]
    chunk_tokens: Sequence[int] | None = None


def read(path: Path) -> dict[str, Count]:
    """Counts by request; empty where nothing was counted."""
    if not path.exists():
        return {}
    rows = pq.read_table(path).to_pylist()
    return {row["request_id"]: Count(row["tokens"], row["source"], row["chunk_tokens"]) for row in rows}


def write(path: Path, counts: dict[str, Count]) -> None:
    """Written aside and renamed."""
    table = pa.Table.from_pylist([{"request_id": request, **count._asdict()} for request, count in counts.items()],
                                 schema=SCHEMA)
    part = path.with_suffix(".part")
    pq.write_table(table, part, compression="zstd")
    part.replace(path)


def apply(record: Record, count: Count | None) -> Record:
    """The record with the count in place of its number of chunks. A count of the server stays."""
    if count is None or record.tokens_source != "chunks":
        return record
    record.output_tokens, record.tokens_source = count.tokens, count.source
    if count.source == "tokenizer" and record.choices <= 1:
        if count.chunk_tokens is not None and len(count.chunk_tokens) == len(record.chunk_tokens):
            record.chunk_tokens, record.chunk_tokens_known = array("i", count.chunk_tokens), True
        elif count.tokens == len(record.chunk_tokens):
            record.chunk_tokens_known = True
    return record
