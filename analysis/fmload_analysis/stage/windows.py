"""Which requests and tokens a measurement window holds, and how many requests were in flight inside it.

Instants are nanoseconds after the window's start: the window is [0, window_ns).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmload.metrics.definitions import Bools, Columns, Floats, Ints


def begun_ns(columns: Columns) -> Floats:
    """`t_send`; the instant at which it was due for a request that never got so far as to be sent."""
    return np.where(np.isnan(columns.send_ns), columns.scheduled_ns, columns.send_ns)


def ended_ns(columns: Columns) -> Floats:
    """`t_end`, else the last token; +∞ for a request of which no end was seen."""
    last = np.where(np.isnan(columns.end_ns), columns.last_token_ns, columns.end_ns)
    return np.where(np.isnan(last), np.inf, last)


def inside(instants_ns: Floats, window_ns: int) -> Bools:
    """True where an instant lies in the window; False for NaN."""
    found: Bools = (instants_ns >= 0) & (instants_ns < window_ns)
    return found


def overlap_ns(begun: Floats, ended: Floats, window_ns: int) -> Floats:
    """Of each request, the time it was in flight inside the window; their sum is the area under the curve."""
    area: Floats = np.maximum(np.minimum(ended, window_ns) - np.maximum(begun, 0), 0)
    return area


def at_edges(begun: Floats, ended: Floats, window_ns: int) -> Bools:
    """True of requests in flight when the window opens or closes."""
    found: Bools = (begun < 0) & (ended >= 0) | (begun < window_ns) & (ended >= window_ns)
    return found


def sums(values: NDArray[np.signedinteger[Any]], columns: Columns) -> Ints:
    """Of each request, the sum over its chunks of whole numbers, one a chunk."""
    found, some = np.zeros(columns.rows, dtype=np.int64), columns.chunk_counts > 0
    if some.any():
        found[some] = np.add.reduceat(values, columns.chunk_offsets[:-1][some], dtype=np.int64)
    return found


def counted_tokens(columns: Columns) -> Floats:
    """Of each request, the tokens that its chunks add up to."""
    return sums(columns.chunk_tokens, columns).astype(np.float64)


def delivered_tokens(columns: Columns, counted: Floats) -> Floats:
    """Of each request, its output tokens; the sum over its chunks, which is `counted`, where no count is known, as of
    broken streams."""
    return np.where(np.isnan(columns.output_tokens), counted, columns.output_tokens)


def tokens_inside(columns: Columns, window_ns: int, counted: Floats | None = None) -> Floats:
    """Of each request, the output tokens whose chunk arrived inside the window. Chunks are weighted so that they add up
    to the request's own token count, where that is known; `counted` is what they add up to by themselves."""
    counted = counted_tokens(columns) if counted is None else counted
    known = ~np.isnan(columns.output_tokens) & (counted > 0)
    scaled = known & (columns.output_tokens != counted)
    if not scaled.any() and _all_inside(columns.chunk_ns, window_ns):
        return counted
    arrived = (columns.chunk_ns >= 0) & (columns.chunk_ns < window_ns)
    found = sums(np.where(arrived, columns.chunk_tokens, 0), columns).astype(np.float64)
    return np.where(scaled, _scaled(columns, arrived, scaled, counted), found) if scaled.any() else found


def _all_inside(chunk_ns: Ints, window_ns: int) -> bool:
    return not len(chunk_ns) or bool(chunk_ns.min() >= 0 and chunk_ns.max() < window_ns)


def _scaled(columns: Columns, arrived: Bools, scaled: Bools, counted: Floats) -> Floats:
    rows = np.repeat(np.arange(columns.rows), columns.chunk_counts)
    taken = arrived & scaled[rows]
    scale = np.divide(columns.output_tokens, counted, out=np.ones(columns.rows), where=scaled)
    weights = columns.chunk_tokens[taken].astype(np.float64) * scale[rows[taken]]
    return np.asarray(np.bincount(rows[taken], weights, columns.rows), dtype=np.float64)
