"""A metric of one request: the time to half of its tokens, in the report and live."""

from __future__ import annotations

import numpy as np

from fmload.metrics.definitions import NS, Columns, Floats, Metric
from fmload.model.record import Record


def first_half(columns: Columns) -> Floats:
    """`t_⌈k/2⌉ − t_send`: from sending the request to the arrival of the first half of k chunks; null for none."""
    found = np.full(columns.rows, np.nan)
    some = columns.chunk_counts > 0
    middle = columns.chunk_offsets[:-1][some] + (columns.chunk_counts[some] - 1) // 2
    found[some] = (columns.chunk_ns[middle] - columns.send_ns[some]) / NS
    return found


def first_half_ns(record: Record) -> int | None:
    """The same of one record, for the live view."""
    chunks = record.chunk_ns
    return chunks[(len(chunks) - 1) // 2] - record.send_ns if chunks and record.send_ns is not None else None


FIRST_HALF = Metric("first_half", "Time to half of the tokens", "s", "ms", "request", "lower", first_half,
                    live=first_half_ns, family="time_to_half_of_the_tokens")
