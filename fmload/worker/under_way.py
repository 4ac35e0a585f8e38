"""What is known of requests that have not ended: their first tokens and the gaps after them, looked at once a second.

For the screen alone. It reads the instants that the wire has kept anyway, so that a stamp costs what it did; what a
request's record says takes the place of it once the request has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fmload.live.counts import Counts
from fmload.live.state import Group, Tallied, plain
from fmload.metrics.histogram import buckets

MOST = 16  # requests of a worker that are looked at: all in one turn of the loop, which holds up every read


class Answer(Protocol):
    """An answer on its way; `fmload.wire.flight` is the real one."""

    def token_reads(self) -> npt.ArrayLike:
        """Instants of its reads, ns, from the one with the first token on."""
        ...


@dataclass(slots=True)
class Seen:
    """How far an answer has been looked at, and what was found."""

    reads: int = 0
    counts: Counts = field(default_factory=Counts)
    seconds: dict[int, Counts] = field(default_factory=dict)


class UnderWay:
    """The answers that are on their way, by what was seen of each."""

    def __init__(self) -> None:
        self._seen: dict[Answer, Seen] = {}

    def look(self, answers: Iterable[tuple[Group, int, Answer]], offset_ns: int) -> Tallied:
        """The counts of all of these, as plain values for a message. Of each its group, `t_send` in ns, and the answer.

        Gaps count as ICL: how many tokens a read holds is known when the answer has ended. Seconds are of the master's
        clock.
        """
        groups: dict[Group, Counts] = {}
        seconds: dict[int, Counts] = {}
        kept: dict[Answer, Seen] = {}
        for (group, send_ns, answer), _ in zip(answers, range(MOST), strict=False):
            seen = kept[answer] = self._seen.get(answer) or Seen()
            _follow(seen, np.asarray(answer.token_reads(), np.int64), send_ns, offset_ns)
            if seen.reads:
                groups.setdefault(group, Counts()).add(seen.counts)
                for second, counts in seen.seconds.items():
                    seconds.setdefault(second, Counts()).add(counts)
        self._seen = kept
        return plain(groups, seconds)


def _follow(seen: Seen, instants: npt.NDArray[np.int64], send_ns: int, offset_ns: int) -> None:
    """Add the reads that came since the last look."""
    before, seen.reads = seen.reads, len(instants)
    if len(instants) == before:
        return
    if before == 0:
        _count(seen, "ttft", instants[:1] - send_ns, instants[:1] - offset_ns)
    gaps = np.diff(instants[max(before - 1, 0):])
    if len(gaps):
        _count(seen, "icl", gaps, instants[max(before, 1):] - offset_ns)
    for second, tokens in Counter(((instants[before:] - offset_ns) // 10**9).tolist()).items():
        seen.seconds.setdefault(second, Counts()).output_tokens += tokens
        seen.counts.output_tokens += tokens


def _count(seen: Seen, metric: str, values_ns: npt.NDArray[np.int64], at_ns: npt.NDArray[np.int64]) -> None:
    seen.counts.add(Counts(histograms={metric: buckets(values_ns)}))
    each = at_ns // 10**9
    for second in np.unique(each).tolist():
        found = Counts(histograms={metric: buckets(values_ns[each == second])})
        seen.seconds.setdefault(second, Counts()).add(found)
