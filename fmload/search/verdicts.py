"""What a stage's requests say about its load: every objective is met, one is missed, or it cannot be told. Pure.

`ttft_p95 ≤ 1 s` says that at most 5 % of the requests take longer than 1 s: a share, of which a one-sided binomial
test tells whether it is below or above, with an error of 1 − confidence at most. A mean or an error rate is met when
its upper bound is at or below the limit, and missed when its lower bound is above. A request that failed, or was not
answered within the drain, takes longer than any limit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from fmload.config.objectives import Objective
from fmload.model.verdict import Judged, LoadVerdict, Result
from fmload.statistics import estimates
from fmload.statistics.limits import error_rate, of_samples
from fmload.statistics.observation import Seen
from fmload.statistics.observed_sessions import SeenSessions


def judge(objectives: Iterable[Objective], seen: Seen, confidence: float,
          sessions: SeenSessions | None = None) -> LoadVerdict:
    """The verdict on requests that began in one window, and on `sessions` that ended in it. One missed objective
    decides; one unclear leaves it open."""
    judged = tuple(_judged(objective, seen, sessions or SeenSessions([]), confidence) for objective in objectives)
    results = {one.result for one in judged}
    result: Result = "fails" if "fails" in results else "unclear" if "unclear" in results else "meets"
    return LoadVerdict(result, confidence, judged, "" if len(seen) else "no request began in the window")


def looks(extend: int) -> list[int]:
    """The window's lengths, in windows, at which its requests are judged: 1, 2, 4 … `extend`."""
    return [*(2**k for k in range(extend.bit_length()) if 2**k < extend), extend]


def confidence_of_look(confidence: float, extend: int) -> float:
    """Of each look, so that all looks of a stage together have the confidence asked for (Bonferroni)."""
    return 1 - (1 - confidence) / len(looks(extend))


def met(verdict: LoadVerdict | None) -> bool:
    """Whether a stage's verdict shows that its load meets: an unclear one does not."""
    return verdict is not None and verdict.result == "meets"


def _judged(objective: Objective, seen: Seen, sessions: SeenSessions, confidence: float) -> Judged:
    if objective.level == "session":
        return of_samples(objective, sessions.samples_of(objective), confidence)
    if objective.name == "error_rate":
        return error_rate(objective, seen.failed[seen.failed | seen.ok], confidence)
    return of_samples(objective, estimates.samples_of(objective, seen, math.inf), confidence)
