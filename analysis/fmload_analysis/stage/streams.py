"""How the streams of a stage came: first tokens in late reads, stalls of all streams at once, users in lock-step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS, Bools, Columns, Floats, Ints
from fmload_analysis.stage.stats import nearest_rank
from fmload_analysis.stage.table import in_blocks
from fmload_analysis.stage.timeline import BEYOND_S, Requests

BIN_NS = 50_000_000  # the grain in which stalls are looked for
STALL_S = 0.5  # a shorter silence of all streams is none
STALL_GAPS = 10.0  # and none is shorter than so many median gaps between chunks
_SECOND_NS = 1_000_000_000
_BINS_A_SECOND = _SECOND_NS // BIN_NS
_BEYOND_NS = (BEYOND_S + 1) * _SECOND_NS
LIKE_OTHERS = 1.2  # p95 of the other requests' TTFT: who waited longer through a silence did not wait for a prompt
LEAST_USERS = 4
LEAST_ROUNDS = 5  # requests a user, before lock-step is looked for


@dataclass(frozen=True, slots=True)
class Stall:
    """A silence of all streams: no chunk came though some answer was half way. In seconds after the window's start.
    `by_prompt`: it is the reading of a prompt, which holds up all other answers where prefill is not chunked."""

    at_s: float
    length_s: float
    by_prompt: bool = False


def first_late(columns: Columns) -> Bools:
    """Of each request, whether its first token came in a read with later ones: known only to have come before it."""
    late = np.zeros(columns.rows, dtype=bool)
    some = columns.chunk_counts > 0
    late[some] = columns.chunk_censored[columns.chunk_offsets[:-1][some]]
    return late


def earliest_first_ns(columns: Columns, headers_ns: Floats) -> Floats:
    """The earliest instant at which each first token can have come: its stamp, or of a late one the headers' instant
    (the send's where that is not known)."""
    begun = np.fmax(columns.send_ns, headers_ns)
    return np.where(first_late(columns), np.fmin(begun, columns.first_token_ns), columns.first_token_ns)


class Arrivals:
    """When chunks came: how many in each bin of BIN_NS of the window, and how many tokens in each second."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.came = np.zeros(bins_of(window_ns), dtype=np.int64)
        self.tokens_by_second: defaultdict[int, float] = defaultdict(float)

    def take(self, chunk_ns: Ints, tokens: Ints, ones: bool) -> None:
        """More chunks, in any order; `ones`: each holds one token."""
        if not len(chunk_ns):
            return
        first_ns, last_ns = int(chunk_ns.min()), int(chunk_ns.max())
        if first_ns < -_BEYOND_NS or last_ns >= self.window_ns + _BEYOND_NS:
            near = (chunk_ns >= -_BEYOND_NS) & (chunk_ns < self.window_ns + _BEYOND_NS)  # no plot reaches farther
            return self.take(chunk_ns[near], tokens[near], ones)
        first_s = first_ns // _SECOND_NS
        bins = chunk_ns - first_s * _SECOND_NS
        bins //= BIN_NS
        counts = np.bincount(bins)
        self._count(counts, first_s * _BINS_A_SECOND, chunk_ns)
        sums = counts if ones else np.bincount(bins, weights=tokens)
        by_second = np.add.reduceat(sums, np.arange(0, len(sums), _BINS_A_SECOND))
        for second, total in enumerate(by_second.tolist(), first_s):
            if total:
                self.tokens_by_second[second] += total

    def _count(self, counts: Ints, first: int, chunk_ns: Ints) -> None:
        """A chunk that came in the last bin, yet after the window's end, does not count."""
        low, high = max(first, 0), min(first + len(counts), len(self.came))
        if low >= high:
            return
        self.came[low:high] += counts[low - first:high - first]
        if high == len(self.came):
            self.came[-1] -= int(((chunk_ns >= self.window_ns) & (chunk_ns < high * BIN_NS)).sum())


def bins_of(window_ns: int) -> int:
    """How many bins a window has; the last one may reach beyond it."""
    return -(-window_ns // BIN_NS)


def stalls(came: Ints, table: Mapping[str, Any], gap_s: float | None) -> tuple[Stall, ...]:
    """Silences of all streams, `came` being the chunks by bins and `gap_s` the median gap between chunks of a stream.

    Streams between their first and their last token would have brought some: a silence of 0.5 s, and of ten gaps."""
    if not len(came):
        return ()
    edges = np.arange(len(came)) * BIN_NS
    begun, over = (np.searchsorted(np.sort(_of_streams(table, end)), edges + after, side="left")
                   for end, after in ((0, 0), (1, BIN_NS)))
    under_way = begun - over
    silent = np.concatenate([[False], (came == 0) & (under_way > 0), [False]])
    begins, ends = np.flatnonzero(~silent[:-1] & silent[1:]), np.flatnonzero(silent[:-1] & ~silent[1:])
    least = max(STALL_S, STALL_GAPS * (gap_s or 0.0)) * NS / BIN_NS
    long = ends - begins >= least
    if not long.any():
        return ()
    sent, first = table["sent"], _of_streams(table, 0)
    sent, first = sent[np.isfinite(first)], first[np.isfinite(first)]
    return tuple(Stall(begin * BIN_NS / NS, (end - begin) * BIN_NS / NS,
                       _reads_prompt(begin * BIN_NS, end * BIN_NS, sent, first))
                 for begin, end in zip(begins[long].tolist(), ends[long].tolist(), strict=True))


def _of_streams(table: Mapping[str, Any], end: int) -> Floats:
    """When the first token of each stream came, or its last one (`end` 1); NaN where no later one came, or no token."""
    def instants_ns(some: Mapping[str, Any]) -> Floats:
        first, last = some["first_token"], some["sent"] + some["e2e"] * NS
        return np.where(some["streamed"] & np.isfinite(first) & (last > first), (first, last)[end], np.nan)

    return in_blocks(table, instants_ns)


def _reads_prompt(begin_ns: float, end_ns: float, sent_ns: Floats, first_ns: Floats) -> bool:
    """Whether a silence ends with the first token of a request that waited through it, and for no longer than other
    requests, at other times, waited for theirs."""
    waited_ns = first_ns - sent_ns
    through = (sent_ns <= begin_ns + BIN_NS) & (first_ns >= end_ns) & (first_ns < end_ns + BIN_NS)
    elsewhere = (sent_ns >= end_ns) | (first_ns <= begin_ns)
    longest_ns = nearest_rank(np.sort(waited_ns[elsewhere]), 95)
    return longest_ns is not None and bool((waited_ns[through] <= LIKE_OTHERS * longest_ns).any())


def lock_step(requests: Requests, users: int | None) -> float | None:
    """How far users send together: the share of the time between the first send of the window and the last that lies in
    the longest 1 ÷ users of the gaps between sends. 1 where all send at once, round after round; where they send
    independently about (1 + ln users) ÷ users (gaps of a Poisson process). None with fewer than four users, or fewer
    than five requests a user, or in an open loop."""
    sent = np.sort(requests.begun_s[requests.in_window])
    if users is None or users < LEAST_USERS or len(sent) < LEAST_ROUNDS * users:
        return None
    gaps = np.sort(np.diff(sent))[::-1]
    total = float(gaps.sum())
    return float(gaps[:max(1, round(len(gaps) / users))].sum()) / total if total else None
