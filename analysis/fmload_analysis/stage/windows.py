"""Which requests and tokens a measurement window holds, and how many requests were in flight inside it.

Instants are nanoseconds after the window's start: the window is [0, window_ns).
"""

from __future__ import annotations

import numpy as np

from fmload.metrics.definitions import Bools, Columns, Floats


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


def counted_tokens(columns: Columns) -> Floats:
    """Of each request, the tokens that its chunks add up to."""
    return np.asarray(np.bincount(columns.chunk_rows(), columns.chunk_tokens, columns.rows), dtype=np.float64)


def delivered_tokens(columns: Columns) -> Floats:
    """Of each request, its output tokens; the sum over its chunks where no count is known, as of broken streams."""
    return np.where(np.isnan(columns.output_tokens), counted_tokens(columns), columns.output_tokens)


def chunk_weights(columns: Columns) -> Floats:
    """Tokens of each chunk, scaled so that they add up to the request's own token count where that is known."""
    counted = counted_tokens(columns)
    known = ~np.isnan(columns.output_tokens) & (counted > 0)
    scale = np.divide(columns.output_tokens, counted, out=np.ones(columns.rows), where=known)
    weights: Floats = columns.chunk_tokens.astype(np.float64) * scale[columns.chunk_rows()]
    return weights


def tokens_inside(columns: Columns, window_ns: int) -> Floats:
    """Of each request, the output tokens whose chunk arrived inside the window."""
    arrived = (columns.chunk_ns >= 0) & (columns.chunk_ns < window_ns)
    found = np.bincount(columns.chunk_rows()[arrived], chunk_weights(columns)[arrived], columns.rows)
    return np.asarray(found, dtype=np.float64)
