"""Judges a stage of a search while its window is open, and once more when all its requests are here."""

from __future__ import annotations

from fmload.config.objectives import parse_objectives
from fmload.model.stage import Stage
from fmload.model.verdict import LoadVerdict
from fmload.search.verdicts import confidence_of_look, judge, looks
from fmload.statistics.observation import Observation, Seen
from fmload.statistics.observed_sessions import SeenSessions

NS = 1e9


class Judging:
    """A closing: over once the verdict is clear. Looks when the window has its length, twice that, and so on."""

    def __init__(self, stage: Stage, observation: Observation) -> None:
        assert stage.find is not None
        self._stage, self._observation = stage, observation
        self._looks_s = [length * stage.find.window_s for length in looks(stage.find.extend)]

    def __call__(self, now_ns: int) -> str | None:
        since_ns = self._stage.window_start_ns
        if not self._looks_s or (now_ns - since_ns) / NS < self._looks_s[0]:
            return None
        self._looks_s.pop(0)
        seen = self._observation.seen(self._stage.stage).settled(since_ns, now_ns)
        ended = self._observation.sessions(self._stage.stage).ended_within(since_ns, now_ns)
        found = _judged(self._stage, seen, ended)
        self._stage.verdict = found
        return None if found.result == "unclear" else "clear"


def final(stage: Stage, observation: Observation) -> LoadVerdict:
    """The verdict on all requests that began in the window, those that ended after it and those cut off included, and
    on the sessions that ended in it."""
    window = stage.window_start_ns, stage.window_end_ns
    found = _judged(stage, observation.seen(stage.stage).begun_within(*window),
                    observation.sessions(stage.stage).ended_within(*window))
    if stage.window_closed == "saturated":
        return LoadVerdict("fails", found.confidence, found.judged, "it could not keep up with the arrivals")
    return found


def _judged(stage: Stage, seen: Seen, ended: SeenSessions) -> LoadVerdict:
    assert stage.find is not None
    confidence = confidence_of_look(stage.find.confidence, stage.find.extend)
    return judge(parse_objectives(stage.find.objective or {}), seen, confidence, ended)


def waits_for(stage: Stage) -> str:
    """What is still unclear, for the progress display."""
    assert stage.find is not None
    if stage.find.objective is None:
        return ""
    names = list(stage.find.objective)
    return f"until it is clear whether {' and '.join(names)} {'is' if len(names) == 1 else 'are'} met"
