"""What the master knows of the sessions of the running stages while they run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fmload.config.objectives import Objective
from fmload.metrics.definitions import Bools, Floats, Ints, session_duration
from fmload.model.session import Session

Told = tuple[Session, int]  # a session, and how far its worker's clock is ahead of the master's


@dataclass(frozen=True)
class SeenSessions:
    """Sessions of one stage that have ended."""

    told: Sequence[Told]

    def ended_within(self, from_ns: float, to_ns: float) -> SeenSessions:
        """Those that ended in [from, to) by themselves, in order of their ends. In a steady load they are a fair
        choice; those that began there are not, since the long ones of them have not ended."""
        kept = [(session, offset) for session, offset in self.told if session.outcome != "cut"
                and session.end_ns is not None and from_ns <= session.end_ns - offset < to_ns]
        return SeenSessions(sorted(kept, key=lambda one: (one[0].end_ns or 0) - one[1]))

    def __len__(self) -> int:
        return len(self.told)

    @property
    def durations_s(self) -> Floats:
        """Of those that finished, in the order in which they are told."""
        return self.samples_of(None)[0][self.finished]

    @property
    def finished(self) -> Bools:
        """Whether each came to its end and lost no request."""
        return np.array([session.outcome == "finished" for session, _ in self.told], dtype=bool)

    @property
    def ended_ns(self) -> Floats:
        """When each ended."""
        return np.array([float((session.end_ns or 0) - offset) for session, offset in self.told])

    def samples_of(self, objective: Objective | None) -> tuple[Floats, Ints, Ints]:
        """The values of `session_duration`, the one metric of a session; +∞ for a session that failed."""
        assert objective is None or objective.metric == "session_duration"
        begun, ended = (np.array([getattr(session, name) or 0 for session, _ in self.told], dtype=np.float64)
                        for name in ("begin_ns", "end_ns"))
        values = np.where(self.finished, session_duration(begun, ended), np.inf)
        return values, np.ones(len(values), dtype=np.int64), np.arange(len(values))
