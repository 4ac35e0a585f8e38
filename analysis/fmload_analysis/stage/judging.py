"""The objectives against the requests of one window: by the bounds of each figure, as searches judge them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.base.units import DURATIONS
from fmload.config.objectives import Objective
from fmload.metrics.definitions import Floats, Ints
from fmload.model.verdict import Judged
from fmload.statistics import estimates, intervals
from fmload.statistics.intervals import CONFIDENCE
from fmload.statistics.limits import error_rate, of_samples
from fmload_analysis.stage.samples import Samples
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.timeline import Requests


def judged(objectives: Iterable[Objective], requests: Requests, table: Mapping[str, Any],
           tokens: Mapping[str, Samples]) -> dict[str, Judged]:
    """By name, the objectives whose value is that of a sample: percentiles, means and the error rate; over the requests
    that started inside the window, failures as +∞. The others (rates, prices) are judged by their value.

    `table` has of each token objective the gaps `above` its limit and `gaps` in all, one value a request.
    """
    order = _order(requests)
    found = {}
    for objective in objectives:
        if objective.name == "error_rate":
            found[objective.name] = error_rate(objective, requests.failed[order], CONFIDENCE)
        elif objective.level == "request" and (objective.percentile is not None or objective.stat == "mean"):
            found[objective.name] = of_samples(objective, _one_each(finite(_values(objective, requests)[order])),
                                               CONFIDENCE)
        elif objective.level == "token" and objective.percentile is not None:
            found[objective.name] = _of_gaps(objective, _gaps(objective, requests, table, order), len(order),
                                             tokens[objective.metric])
    return found


def judged_sessions(objectives: Iterable[Objective], values_s: Floats) -> dict[str, Judged]:
    """By name, the objectives on percentiles and means of session metrics; `values_s` in order of the sessions' ends,
    +∞ for one that failed."""
    return {objective.name: of_samples(objective, _one_each(values_s), CONFIDENCE) for objective in objectives
            if objective.level == "session" and (objective.percentile is not None or objective.stat == "mean")}


def _one_each(values: Floats) -> estimates.Samples:
    """Samples of which each is a request, or a session, of its own."""
    return values, np.broadcast_to(np.int64(1), len(values)), None


def _values(objective: Objective, requests: Requests) -> Floats:
    """A failed request counts as +∞ in what is measured in seconds."""
    lost = np.inf if objective.unit in DURATIONS else np.nan
    values = np.where(requests.ok, requests.metrics[objective.metric], np.nan)
    values[requests.failed] = lost
    return values


@dataclass(frozen=True, slots=True)
class _Gaps:
    """The gaps that an objective is about, n in all; each failed request is one gap of +∞, and above the limit."""

    objective: Objective
    n: int
    above: int
    effect: float

    @property
    def share(self) -> float:
        return (self.objective.percentile or 0.0) / 100

    @property
    def ranks(self) -> tuple[float, float, float]:
        """Of the percentile, and of its lower and upper bound."""
        worth = max(1, int(self.n / self.effect))
        low, high = intervals.binomial_ranks(worth, self.share, 2 * CONFIDENCE - 1)
        return self.share * self.n, low * self.n / worth, high * self.n / worth


def _gaps(objective: Objective, requests: Requests, table: Mapping[str, Any], order: Ints) -> _Gaps | None:
    """None without a gap."""
    above, gaps = (_counted(table[name], requests)[order] for name in (above_of(objective), gaps_of(objective)))
    n = int(gaps.sum())
    if not n:
        return None
    k = int(above.sum())
    gaps *= k / n
    above -= gaps
    del gaps
    return _Gaps(objective, n, k, intervals.design_effect(above, n * k / n * (1 - k / n)))


def _counted(gaps: Floats, requests: Requests) -> Floats:
    """Of each request, its gaps if it ended well; one of a failed one."""
    found = np.where(requests.ok, gaps, 0)
    found += requests.failed
    return found


def ranks_of(objectives: Iterable[Objective], requests: Requests, table: Mapping[str, Any]) -> dict[str, list[float]]:
    """By metric, the ranks among its gaps that `judged` will ask for."""
    found: dict[str, list[float]] = {}
    for objective in token_objectives(objectives):
        if (gaps := _gaps(objective, requests, table, _order(requests))) is not None:
            found.setdefault(objective.metric, []).extend(gaps.ranks)
    return found


def _of_gaps(objective: Objective, gaps: _Gaps | None, requests: int, samples: Samples) -> Judged:
    """A percentile of gaps by the share of them above its limit."""
    if gaps is None:
        return Judged(objective.name, objective.limit, "unclear")
    p, k, n, effect = gaps.share, gaps.above, gaps.n, gaps.effect
    keeps, breaks = intervals.share_above(k, n, 1 - p, effect)
    result = "meets" if keeps <= 1 - CONFIDENCE else "fails" if breaks <= 1 - CONFIDENCE else "unclear"
    more = None if result != "unclear" else intervals.more_for_share(k, n, 1 - p, effect, 1 - CONFIDENCE)
    at, low, high = (samples.at_rank(rank) for rank in gaps.ranks)
    return Judged(objective.name, objective.limit, result, at, low, high, n, effect,  # type: ignore[arg-type]
                  None if more is None else int(np.ceil(more * requests / n)))


def _order(requests: Requests) -> Ints:
    """The requests of the window that count, in order of start."""
    order = np.argsort(requests.begun_s, kind="stable")
    return order[requests.in_window[order] & (requests.ok | requests.failed)[order]]


def above_of(objective: Objective) -> str:
    """The column of the gaps above an objective's limit."""
    return f"above {objective.name}"


def gaps_of(objective: Objective) -> str:
    """The column of the gaps that an objective on tokens is about."""
    return f"gaps {objective.metric}"


def token_objectives(objectives: Iterable[Objective]) -> list[Objective]:
    """Those for which gaps are counted by request."""
    return [objective for objective in objectives if objective.level == "token" and objective.percentile is not None]
