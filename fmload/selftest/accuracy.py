"""How far what a client saw is from what the emulator did: errors of TTFT and of the gaps between tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fmload.emulator.truth import Truth
from fmload.model.outcome import NEITHER
from fmload.model.record import Record

Instants = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measured:
    """What a client saw of one request: instants in ns; `censored` is all False where the client cannot know."""

    request_id: str
    send_ns: int
    token_ns: Instants
    censored: npt.NDArray[np.bool_]
    outcome: str

    @classmethod
    def of(cls, record: Record) -> Measured:
        """The same from one of our records."""
        return cls(record.request_id, record.send_ns or 0, np.frombuffer(record.chunk_ns, np.int64),
                   np.frombuffer(record.chunk_censored, np.bool_), record.outcome)


@dataclass(frozen=True, slots=True)
class Errors:
    """|measured − true| in ns over what came in a window, one entry a request and one a gap; and the counts there.

    A request's true TTFT runs from the kernel's receive stamp of its first bytes to the write of its first token, so
    the way there and back over the loopback is part of the error.
    """

    ttft_ns: Instants
    gap_ns: Instants
    tokens: int
    requests: int
    censored: int
    failed: int


def compare(seen: Iterable[Measured], truths: Sequence[Truth], start_ns: int, end_ns: int) -> Errors:
    """Errors of the tokens that arrived between two instants. Only requests that ended well on both sides count."""
    by_id = {item.request_id: item for item in truths}
    ttft: list[int] = []
    gaps: list[Instants] = [np.array([], np.int64)]
    tokens = requests = censored = failed = 0
    for one in seen:
        inside = (one.token_ns >= start_ns) & (one.token_ns <= end_ns)
        failed += one.outcome not in ("ok", "censored", *NEITHER)
        tokens += int(inside.sum())
        censored += int(one.censored[inside].sum())
        requests += bool(inside.size and inside[-1])
        true = by_id.get(one.request_id)
        if true is None or one.outcome != "ok" or not inside.any() or len(true.token_ns) != len(one.token_ns):
            continue
        sent = np.frombuffer(true.token_ns, np.int64)
        if inside[0]:
            ttft.append(abs(int((one.token_ns[0] - one.send_ns) - (sent[0] - true.received_ns))))
        gaps.append(np.abs(np.diff(one.token_ns) - np.diff(sent))[inside[1:]])
    return Errors(np.array(ttft, np.int64), np.concatenate(gaps), tokens, requests, censored, failed)


def percentile_ms(values_ns: Instants, q: float) -> float | None:
    """A percentile in milliseconds; None of nothing."""
    return float(np.percentile(values_ns, q)) / 1e6 if len(values_ns) else None
