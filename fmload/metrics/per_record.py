"""The metrics of one request, straight from its record: the fast path of the live view and of searches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fmload.model.record import Record


def request_metrics_ns(record: Record) -> dict[str, npt.NDArray[np.int64]]:
    """TTFT, ITL, TPOT and E2E of one request by the definitions of docs/metrics, as far as it has them."""
    found: dict[str, npt.NDArray[np.int64]] = {}
    if record.send_ns is None or record.first_token_ns is None or record.last_token_ns is None:
        return found
    found["ttft"] = np.array([record.first_token_ns - record.send_ns])
    found["e2e"] = np.array([record.last_token_ns - record.send_ns])
    tokens = np.frombuffer(record.chunk_tokens, np.int32)
    if len(tokens) > 1:
        gaps = np.diff(np.frombuffer(record.chunk_ns, np.int64))
        found["itl"] = np.repeat(gaps // np.maximum(tokens[1:], 1), tokens[1:])
        after_first = (record.output_tokens or int(tokens.sum())) - int(tokens[0])
        if record.streamed and after_first > 0:
            found["tpot"] = (found["e2e"] - found["ttft"]) // after_first
    return found
