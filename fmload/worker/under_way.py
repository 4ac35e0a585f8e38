"""What is known of requests that have not ended: their first tokens and the gaps after them, looked at once a second.

For the screen alone. It reads the instants that the wire has kept anyway, so that a stamp costs what it did; what a
request's record says takes the place of it once the request has ended.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import gevent
import numpy as np
import numpy.typing as npt

from fmload.live.counts import Counts
from fmload.live.state import Group, Tallied, plain
from fmload.metrics.histogram import numbers

TURN_ANSWERS, TURN_READS = 16, 2048  # looked at in one turn of the loop, under a millisecond: reads wait for it
MOST_SOUGHT = 16  # answers a look whose first token is sought, the oldest first: that reads their text
MOST_NS = 20_000_000  # of CPU a look takes; answers beyond that are not on the screen until they have ended
_BITS = 18  # of a bucket's number

Instants = npt.NDArray[np.int64]
Turn = dict[Group, tuple[list[int], list[Instants]]]
Found = dict[tuple[Group, str], Counter[int]]  # by group and metric: how often each second and bucket


class Answer(Protocol):
    """An answer on its way; `fmload.wire.flight` is the real one."""

    @property
    def looked_through(self) -> bool:
        """Whether its first token is known, or nothing has come since it was looked for: what costs most."""
        ...

    def token_reads(self) -> npt.ArrayLike:
        """Instants of its reads, ns, from the one with the first token on."""
        ...


def look(answers: Iterable[tuple[Group, int, Answer]], offset_ns: int, pause: Callable[[], object] = gevent.sleep,
         clock_ns: Callable[[], int] = time.thread_time_ns) -> Tallied:
    """The counts of all of these, as plain values for a message. Of each its group, `t_send` in ns, and the answer.

    Gaps count as ICL: how many tokens a read holds is known when the answer has ended. Seconds are of the master's
    clock. The loop goes on (`pause`) after every few answers; one that ends meanwhile counts as one that goes on.
    """
    found: Found = {}
    began_ns, paused_ns = clock_ns(), 0
    for turn in _turns(list(answers)):
        for group, (sent_ns, reads) in turn.items():
            _add(found, group, np.array(sent_ns, np.int64), reads, offset_ns)
        before_ns = clock_ns()
        if before_ns - began_ns - paused_ns > MOST_NS:
            break
        pause()
        paused_ns += clock_ns() - before_ns
    return _tallied(found)


def _turns(answers: list[tuple[Group, int, Answer]]) -> Iterator[Turn]:
    """The answers by group, so many at a time; without those whose first token has not come, or was not sought yet."""
    turn: Turn = {}
    looked = size = sought = 0
    for group, send_ns, answer in answers:
        if not answer.looked_through:
            sought += 1
            if sought > MOST_SOUGHT:
                continue
        reads = np.asarray(answer.token_reads(), np.int64)
        if len(reads):
            sent, kept = turn.setdefault(group, ([], []))
            sent.append(send_ns)
            kept.append(reads)
        looked, size = looked + 1, size + len(reads)
        if looked >= TURN_ANSWERS or size >= TURN_READS:
            yield turn
            turn, looked, size = {}, 0, 0
    yield turn


def _add(found: Found, group: Group, sent_ns: Instants, reads: list[Instants], offset_ns: int) -> None:
    instants = np.concatenate(reads)
    seconds = (instants - offset_ns) // 10**9
    first = np.zeros(len(instants), bool)
    first[np.cumsum([0, *map(len, reads[:-1])])] = True
    gaps, later = np.diff(instants), ~first[1:]
    _count(found, (group, "ttft"), instants[first] - sent_ns, seconds[first])
    _count(found, (group, "icl"), gaps[later], seconds[1:][later])
    _count(found, (group, "tokens"), np.ones_like(instants), seconds)


def _count(found: Found, what: tuple[Group, str], values_ns: Instants, seconds: Instants) -> None:
    keys, counts = np.unique((seconds << _BITS) | numbers(values_ns), return_counts=True)
    mine = found.setdefault(what, Counter())
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        mine[key] += count


def _tallied(found: Found) -> Tallied:
    groups: dict[Group, Counts] = {}
    by_second: dict[int, Counts] = {}
    for (group, metric), each in found.items():
        total = groups.setdefault(group, Counts())
        for key, count in each.items():
            second = by_second.setdefault(key >> _BITS, Counts())
            for counts in (total, second):
                _put(counts, metric, key & ((1 << _BITS) - 1), count)
    return plain(groups, by_second)


def _put(counts: Counts, metric: str, bucket: int, count: int) -> None:
    if metric == "tokens":
        counts.output_tokens += count
    else:
        counts.histograms.setdefault(metric, Counter())[bucket] += count
