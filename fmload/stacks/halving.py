"""Successive halving with bounds: short trials of all, longer ones of those that may still be the best.

After Jamieson & Talwalkar (AISTATS 2016), with one change: a candidate is dropped when its interval lies wholly on the
wrong side of another's, by `slack` and more, and never for its rank alone. So many may come through a round, and the
best is not lost to chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.values import Share
from fmload.model.stack import Figure, Trial, longest_of
from fmload.stacks.strategy import Ask, Space, near_of, shuffled


class HalvingOptions(Strict):
    """Keys of `stacks: {strategy: halving, …}`."""

    rounds: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default=[0.1, 0.3, 1.0], min_length=1, max_length=16,
        description="lengths of the trials of each round, as shares of the window; the last is usually 1")
    slack: Share = Field(
        0.02, description="two trials of one candidate may differ by so much; none is dropped for less")


class Halving:
    """`strategy: halving`."""

    Options = HalvingOptions

    def __init__(self, options: HalvingOptions, space: Space) -> None:
        self._rounds, self._slack = sorted(options.rounds), options.slack
        self._space, self._order = space, [one.name for one in shuffled(space)]

    def next(self, trials: Sequence[Trial]) -> list[Ask]:
        alive = self.alive(trials)
        rounds = self._rounds if len(alive) > 1 or len(self._order) == 1 else self._rounds[-1:]
        if not any(trial.over for trial in trials):
            rounds = self._rounds
        for share in rounds:
            begun = {trial.candidate for trial in trials if trial.share >= share}
            waiting = [name for name in alive if name not in begun]
            if waiting:
                return [Ask(name, share, near_of(name, self._space, trials))
                        for name in self._promising(waiting, trials)]
            if any(not trial.over for trial in trials if trial.candidate in alive):
                return []
        return []

    def at_most(self) -> list[Ask]:
        return [Ask(name, share) for share in self._rounds for name in self._order]

    def alive(self, trials: Sequence[Trial]) -> list[str]:
        """The candidates that may still be the best."""
        found = longest_of(trials)
        bounds = [bound for trial in found.values() if trial.status == "measured"
                  and (bound := self._worst(trial.figure)) is not None]
        least = min(bounds, default=math.inf)
        return [name for name in self._order if name not in found or (
            found[name].status == "measured" and self._best(found[name].figure) <= least + abs(least) * self._slack)]

    def _worst(self, figure: Figure) -> float | None:
        """The end of the interval that is worst, lower being better."""
        if self._space.lower_is_better:
            return figure.high
        return None if figure.low is None else -figure.low

    def _best(self, figure: Figure) -> float:
        end = figure.low if self._space.lower_is_better else figure.high
        if end is None:
            return -math.inf
        return end if self._space.lower_is_better else -end

    def _promising(self, names: Sequence[str], trials: Sequence[Trial]) -> list[str]:
        """Those with the best figures first: they settle most of the others."""
        found = longest_of(trials)

        def rank(name: str) -> float:
            value = found[name].figure.value if name in found else None
            return math.inf if value is None else value if self._space.lower_is_better else -value

        return sorted(names, key=rank)
