"""The chunks of a batch some neighbouring requests at a time: what is made of them stays in the processor's cache, in
memory that is taken from the system once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from fmload.metrics.definitions import Columns

PART_CHUNKS = 100_000
_OF_CHUNKS = ("chunk_ns", "chunk_tokens", "chunk_censored")


def parts(columns: Columns) -> Iterator[tuple[slice, Columns]]:
    """The requests in their order, of at most PART_CHUNKS chunks a part or a single one, without sound and media; and
    which rows they are."""
    offsets = columns.chunk_offsets
    if offsets[-1] <= PART_CHUNKS:
        yield slice(0, columns.rows), columns
        return
    first = 0
    while first < columns.rows:
        reached = int(np.searchsorted(offsets, offsets[first] + PART_CHUNKS, side="right")) - 1
        rows = slice(first, max(first + 1, reached))
        yield rows, _part(columns, rows)
        first = rows.stop


def _part(columns: Columns, rows: slice) -> Columns:
    offsets = columns.chunk_offsets[rows.start:rows.stop + 1]
    chunks = slice(offsets[0], offsets[-1])
    given: dict[str, Any] = {"chunk_offsets": offsets - offsets[0]}
    for name in (one.name for one in fields(Columns) if one.name not in given):
        values = getattr(columns, name)
        if isinstance(values, np.ndarray):
            given[name] = values[chunks if name in _OF_CHUNKS else rows]
    return Columns(**given)
