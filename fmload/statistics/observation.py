"""What the master knows of the requests of the running stages while they run: values by the metrics' own definitions.

The records that workers send are journaled first; here they become columns, so that a stage can be judged before the
run is analysed. Nothing is kept of stages that nobody watches.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter

import numpy as np

from fmload.metrics import definitions as metrics
from fmload.metrics import per_record
from fmload.metrics.definitions import METRICS, Bools, Columns, Floats, Ints
from fmload.model.outcome import NEITHER
from fmload.model.record import MEDIA, Record, unpack
from fmload.results import answers, sessions
from fmload.statistics.observed_sessions import SeenSessions
from fmload.statistics.observed_sessions import Told as ToldSession

Told = tuple[Record, int]  # a record, and how far its worker's clock is ahead of the master's


@dataclass(frozen=True)
class Seen:
    """Requests of one stage in order of their start; instants in nanoseconds of the master's clock."""

    told: Sequence[Told]

    def __len__(self) -> int:
        return len(self.told)

    @cached_property
    def begun_ns(self) -> Floats:
        """When each was sent; when it was due, for one that never got so far."""
        return np.array([float(begun_ns(*one)) for one in self.told])

    @cached_property
    def ended_ns(self) -> Floats:
        """When its stream closed; +∞ where no end was seen."""
        return np.array([math.inf if (end := record.end_ns or record.last_token_ns) is None else float(end - offset_ns)
                         for record, offset_ns in self.told])

    @cached_property
    def ok(self) -> Bools:
        return np.array([record.outcome == "ok" for record, _ in self.told], dtype=bool)

    @cached_property
    def failed(self) -> Bools:
        """Those that failed, or were not answered within the drain; not those that the client itself stopped."""
        return np.array([record.outcome not in ("ok", *NEITHER) for record, _ in self.told], dtype=bool)

    @cached_property
    def columns(self) -> Columns:
        return columns_of(self.told)

    def values(self, metric: str) -> Floats:
        """A request metric: one value a request, NaN where it has none."""
        found: Floats = METRICS[metric].function(self.columns)
        return found

    def samples(self, metric: str) -> tuple[Floats, Ints, Ints]:
        """A token metric over the gaps that are known exactly: value, how often it counts, and the request's row."""
        gaps = metrics.gaps(self.columns)
        values, weights = METRICS[metric].function(gaps)
        kept = gaps.known & ~np.isnan(values)
        return values[kept], weights[kept], gaps.row[kept]

    def settled(self, since_ns: float, now_ns: float) -> Seen:
        """The requests that began since then, and early enough to have ended by now were they as long as the longest:
        of those that began later, only the short ones are here."""
        began = Seen([one for one in self.told if begun_ns(*one) >= since_ns])
        lasted = began.ended_ns - began.begun_ns
        return began.begun_within(since_ns, now_ns - float(lasted[np.isfinite(lasted)].max(initial=0.0)))

    def begun_within(self, from_ns: float, to_ns: float = math.inf) -> Seen:
        """The requests that began in [from, to)."""
        return Seen([one for one in self.told if from_ns <= begun_ns(*one) < to_ns])


@dataclass(slots=True)
class _Watched:
    keep: bool
    told: list[Told] = field(default_factory=list)
    ended_ns: list[int] = field(default_factory=list)  # ascending
    outcomes: Counter[str] = field(default_factory=Counter)
    sessions: list[ToldSession] = field(default_factory=list)


class Observation:
    """The requests of the stages that are watched. `watch` begins anew, with other stages."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}

    def watch(self, counted: Iterable[int], kept: Iterable[int] = ()) -> None:
        """Forget all. From now on count the requests of these stages, and keep those of `kept` as well."""
        self._watched = {**{stage: _Watched(keep=False) for stage in counted},
                         **{stage: _Watched(keep=True) for stage in kept}}

    def take(self, packed: Sequence[bytes], offset_ns: int) -> None:
        """What a worker sent; its clock is `offset_ns` ahead of the master's."""
        if not self._watched:
            return
        for frame in packed:
            if answers.is_answer(frame):
                self._take_session(frame, offset_ns)
            else:
                record = unpack(frame)
                if (watched := self._watched.get(record.stage)) is not None:
                    _note(watched, record, offset_ns)

    def _take_session(self, frame: bytes, offset_ns: int) -> None:
        session = sessions.unpack(frame)
        watched = self._watched.get(session.stage) if session is not None else None
        if session is not None and watched is not None and watched.keep:
            watched.sessions.append((session, offset_ns))

    def sessions(self, stage: int) -> SeenSessions:
        """The sessions of a stage that have ended so far and are here, if its requests are kept."""
        return SeenSessions(self._watched[stage].sessions if stage in self._watched else [])

    def seen(self, stage: int) -> Seen:
        """The requests of a stage that have ended so far and are here, if they are kept."""
        told = self._watched[stage].told if stage in self._watched else []
        return Seen(sorted(told, key=lambda one: begun_ns(*one)))

    def ended_since(self, stage: int, since_ns: int) -> int:
        """Requests of a stage that have ended since then, whatever became of them, as far as they are here."""
        ended = self._watched[stage].ended_ns if stage in self._watched else []
        return len(ended) - bisect_left(ended, since_ns)

    def outcomes(self, stage: int) -> Counter[str]:
        """What became of the requests of a stage that have ended so far."""
        return self._watched[stage].outcomes if stage in self._watched else Counter()

    def last_end_ns(self, stage: int) -> int | None:
        """When the last request of a stage ended, as far as they are here."""
        ended = self._watched[stage].ended_ns if stage in self._watched else []
        return ended[-1] if ended else None


def _note(watched: _Watched, record: Record, offset_ns: int) -> None:
    last_ns = record.end_ns or record.last_token_ns or record.send_ns or record.scheduled_ns
    insort(watched.ended_ns, last_ns - offset_ns)
    watched.outcomes[record.outcome] += 1
    if watched.keep:
        watched.told.append((record, offset_ns))


def begun_ns(record: Record, offset_ns: int) -> int:
    """When a request began, on the master's clock: sent, or due if it was never sent."""
    return (record.scheduled_ns if record.send_ns is None else record.send_ns) - offset_ns


def columns_of(told: Sequence[Told]) -> Columns:
    """Records with their clock offsets as columns; instants count from the first record's schedule."""
    origin = told[0][0].scheduled_ns - told[0][1] if told else 0

    def instants(name: str) -> Floats:
        return np.array([np.nan if (value := getattr(record, name)) is None else float(value - offset - origin)
                         for record, offset in told])

    def computed(of: Callable[[Record], float | None]) -> Floats:
        return np.array([np.nan if (value := of(record)) is None else float(value) for record, _ in told])

    def numbers(name: str) -> Floats:
        return computed(attrgetter(name))

    counts = np.array([len(record.chunk_ns) for record, _ in told], dtype=np.int64)
    shifts = np.repeat(np.array([offset + origin for _, offset in told], dtype=np.int64), counts)
    return Columns(
        scheduled_ns=instants("scheduled_ns"), send_ns=instants("send_ns"), first_token_ns=instants("first_token_ns"),
        first_answer_ns=instants("first_answer_ns"), last_token_ns=instants("last_token_ns"),
        end_ns=instants("end_ns"), input_tokens=computed(per_record.input_tokens),
        output_tokens=numbers("output_tokens"), cached_tokens=numbers("cached_tokens"),
        streamed=np.array([record.streamed for record, _ in told], dtype=bool),
        chunk_offsets=np.concatenate([[0], np.cumsum(counts)]),
        chunk_ns=_flat([record.chunk_ns for record, _ in told], np.int64) - shifts,
        chunk_tokens=_flat([record.chunk_tokens for record, _ in told], np.int32),
        chunk_censored=_flat([record.chunk_censored for record, _ in told], np.int8).astype(bool),
        chunk_tokens_known=np.array([record.chunk_tokens_known for record, _ in told], dtype=bool),
        choices=np.array([record.choices for record, _ in told], dtype=np.int64),
        reasoning_tokens=numbers("reasoning_tokens"), inputs=numbers("inputs"), images=numbers("images"),
        first_output_ns=instants("first_output_ns"), media={name: numbers(name) for name in MEDIA})


def _flat(lists: Sequence[Sequence[int]], kind: type[np.signedinteger]) -> Ints:
    parts = [np.frombuffer(part, kind) for part in lists if len(part)]  # type: ignore[call-overload]
    return np.concatenate(parts).astype(np.int64) if parts else np.array([], dtype=np.int64)
