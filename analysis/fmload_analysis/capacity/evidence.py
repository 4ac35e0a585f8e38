"""What a run saw of one replica: the requests of a stage at one address, and the gaps between their chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS
from fmload.model.stage import Stage
from fmload_analysis.records.columns import Batch
from fmload_analysis.run import Run

Floats = np.ndarray[Any, np.dtype[np.float64]]
MOST_GAPS = 4_000  # of a stage: more say nothing new


@dataclass(frozen=True, slots=True)
class Gaps:
    """Times between two chunks of one answer, and what the replica did meanwhile, as the client saw it."""

    seconds: Floats
    batch: Floats  # requests that got a chunk in this step
    held: Floats  # tokens that they held before it
    prompts: Floats  # whose first token came meanwhile
    prompt_tokens: Floats  # of those, uncached
    following: Floats  # seconds of the next gap of the same answer; NaN where it is not known exactly


@dataclass(frozen=True, slots=True)
class Seen:
    """The requests that were answered, by the instant at which they were sent; seconds after the window's start.

    `alone`: whether nothing else was in flight when it was sent.
    """

    stage: Stage
    address: str
    window_s: float
    send_s: Floats
    first_s: Floats
    end_s: Floats
    input_tokens: Floats
    uncached: Floats
    output_tokens: Floats
    steps: Floats
    alone: np.ndarray[Any, np.dtype[np.bool_]]
    gaps: Gaps
    largest: int  # most requests that got chunks at the same time
    full: bool  # whether others waited while so many did
    unanswered: int
    uncounted: int = 0  # whose prompt nobody counted: it is taken as 0 tokens

    @property
    def users(self) -> int | None:
        """Users of a closed loop; None for arrivals."""
        return round(self.stage.load.value) if self.stage.load.kind == "concurrency" else None


def seen(run: Run, endpoint: str) -> list[Seen]:
    """Every stage of the endpoint that was measured, once for each address; stages without an answer are left out."""
    stages = [stage for stage in run.stages if stage.endpoint == endpoint and stage.window_end_ns
              and stage.status in ("done", "interrupted")]
    return [one for stage in stages for one in _of_stage(stage, run.batches(stage))]


def _of_stage(stage: Stage, batches: Iterable[Batch]) -> Iterator[Seen]:
    parts: dict[str, list[_Part]] = {}
    unanswered: dict[str, int] = {}
    for batch in batches:
        for address in dict.fromkeys(batch.address.tolist()):
            mine = batch.address == address
            good = mine & (batch.outcome == "ok") & batch.columns.streamed & batch.columns.single & (
                batch.columns.chunk_counts > 0)
            unanswered[address] = unanswered.get(address, 0) + int(mine.sum() - good.sum())
            parts.setdefault(address, []).append(_Part.of(batch, good))
    for address, some in parts.items():
        whole = _Part.joined(some)
        if len(whole.send):
            yield _seen(stage, address or "", whole, unanswered[address])


@dataclass(frozen=True, slots=True)
class _Part:
    """Columns of good requests; `chunks` are all their stamps one after the other."""

    send: Floats
    first: Floats
    last: Floats
    end: Floats
    tokens_in: Floats
    cached: Floats
    tokens_out: Floats
    counts: Floats
    chunks: Floats
    exact: Floats  # 0 where a stamp is censored

    @classmethod
    def of(cls, batch: Batch, good: np.ndarray[Any, np.dtype[np.bool_]]) -> _Part:
        columns = batch.columns
        inside = np.repeat(good, columns.chunk_counts)
        named = (columns.send_ns / NS, columns.first_token_ns / NS, columns.last_token_ns / NS, columns.end_ns / NS,
                 columns.input_tokens, np.nan_to_num(columns.cached_tokens), columns.output_tokens,
                 columns.chunk_counts.astype(float))
        stamps = (columns.chunk_ns[inside] / NS, (~columns.chunk_censored[inside]).astype(float))
        return cls(*(*(one[good] for one in named), *stamps))

    @classmethod
    def joined(cls, parts: list[_Part]) -> _Part:
        return cls(*(np.concatenate([getattr(one, name) for one in parts]) for name in cls.__slots__))


def _seen(stage: Stage, address: str, part: _Part, unanswered: int) -> Seen:
    uncounted = int(np.isnan(part.tokens_in).sum())
    part = replace(part, tokens_in=np.nan_to_num(part.tokens_in))
    order = np.argsort(part.send, kind="stable")
    send, ends = part.send[order], np.sort(part.end)
    in_flight = np.arange(len(send)) - np.searchsorted(ends, send, "right")
    output = np.where(part.tokens_out > 0, part.tokens_out, part.counts)  # some servers tell 0 beside an answer
    largest, full = _slots(part)
    return Seen(stage, address, (stage.window_end_ns - stage.window_start_ns) / NS, send, part.first[order],
                part.end[order], part.tokens_in[order], np.maximum(part.tokens_in - part.cached, 0)[order],
                output[order], part.counts[order], in_flight <= 0, _gaps(part), largest, full, unanswered,
                uncounted)


def _slots(part: _Part) -> tuple[int, bool]:
    """The most requests between their first and last chunk at the same time, and whether others waited meanwhile for
    longer than prompts take: as many as a quarter of those, and three."""
    firsts, lasts, sends, ends = (np.sort(one) for one in (part.first, part.last, part.send, part.end))
    decoded = np.arange(1, len(firsts) + 1) - np.searchsorted(lasts, firsts, "left")
    waiting = np.searchsorted(sends, firsts, "right") - np.searchsorted(ends, firsts, "right") - decoded
    largest = int(decoded.max())
    crowd = waiting[decoded >= 0.95 * largest]
    return largest, bool(len(crowd) >= 3 and np.median(crowd) >= max(3.0, largest / 4))


def _gaps(part: _Part) -> Gaps:
    """A sample of the gaps, evenly over the stage; those whose stamps are both exact."""
    ends_of = np.cumsum(part.counts).astype(int)
    within = np.ones(max(len(part.chunks) - 1, 0), dtype=bool)
    within[ends_of[:-1] - 1] = False  # from one answer's last chunk to the next one's first
    within &= (part.exact[1:] > 0) & (part.exact[:-1] > 0)
    places = np.flatnonzero(within)
    places = places[np.linspace(0, len(places) - 1, min(len(places), MOST_GAPS)).astype(int)] if len(places) else places
    before, after = part.chunks[places], part.chunks[places + 1]
    lasting = np.where(within, np.diff(part.chunks), np.nan)
    following = np.append(lasting[1:], np.nan)[places] if len(places) else np.array([])
    near = 0.25 * float(np.median(after - before)) if len(places) else 0.0  # chunks of one step come within this
    return _meanwhile(part, before + near, after + near, after - before, following)


def _meanwhile(part: _Part, from_s: Floats, to_s: Floats, seconds: Floats, following: Floats) -> Gaps:
    by_first, by_last = np.argsort(part.first), np.argsort(part.last)
    firsts, lasts, chunks = part.first[by_first], part.last[by_last], np.sort(part.chunks)
    begun, joined = np.searchsorted(firsts, from_s, "right"), np.searchsorted(firsts, to_s, "right")
    gone = np.searchsorted(lasts, from_s, "right")
    uncached = _sums(np.maximum(part.tokens_in - part.cached, 0)[by_first])
    held = (_sums(part.tokens_in[by_first])[begun] - _sums((part.tokens_in + part.counts)[by_last])[gone]
            + np.searchsorted(chunks, from_s, "right"))
    return Gaps(seconds, (joined - gone).astype(float), np.maximum(held, 0.0), (joined - begun).astype(float),
                uncached[joined] - uncached[begun], following)


def _sums(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])
