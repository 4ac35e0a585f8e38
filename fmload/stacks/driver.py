"""The loop of a search over stacks: begin what the strategy asks for, within limits, until nothing is left.

Pure but for what the bench does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from fmload.base.units import format_duration
from fmload.model.stack import StackSearch, Trial
from fmload.stacks.strategy import Ask, Strategy


@dataclass(frozen=True, slots=True)
class Cost:
    """What a trial takes, in seconds and USD; None where the price is unknown."""

    took_s: float
    usd: float | None


class Bench(Protocol):
    """Where trials are stood up and measured."""

    def begin(self, trial: Trial, left_usd: float | None) -> None:
        """Start it, or go on with it where it was broken off; it may spend `left_usd` at most."""
        ...

    def wait(self) -> Trial:
        """Wait for one of those begun; returned with all that is known of it."""
        ...

    def expected(self, ask: Ask) -> Cost:
        """What it will probably take."""
        ...

    def machine_of(self, candidate: str) -> str | None:
        """Candidates of one machine are served by it in turn; None: everything is stood up anew."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a whole search."""

    at_once: int = 1
    max_cost: float | None = None
    max_time_s: float | None = None


class Driver:
    """Runs one search to its end; `save` is called whenever `search` has changed."""

    def __init__(self, search: StackSearch, strategy: Strategy, bench: Bench, limits: Limits,
                 save: Callable[[StackSearch], None]) -> None:
        self._search, self._strategy, self._bench, self._limits, self._save = search, strategy, bench, limits, save
        self._running: dict[int, Cost] = {}

    def run(self) -> StackSearch:
        """Until nothing is left to try, or a limit is reached: `search.ended` says which. Trials that were broken off
        are gone on with first."""
        search, search.ended = self._search, ""
        for trial in [trial for trial in search.trials if not trial.over]:
            self._begin(trial, Ask(trial.candidate, trial.share, trial.near))
        while True:
            while len(self._running) < self._limits.at_once and (ask := self._next()) is not None:
                self._begin(self._added(ask), ask)
            if not self._running:
                search.ended = search.ended or "nothing is left that could be better"
                self._save(search)
                return search
            self._take(self._bench.wait())

    def _next(self) -> Ask | None:
        """The first trial asked for that fits into what is left. None: nothing may begin now."""
        asked = self._by_machine(self._strategy.next(self._search.trials))
        fitting = next((ask for ask in asked if not self._too_much(ask)), None)
        self._search.ended = self._too_much(asked[0]) if asked and fitting is None else ""
        return fitting

    def _by_machine(self, asked: Sequence[Ask]) -> Sequence[Ask]:
        """Those that the machine of the latest trial can serve go first: it stands."""
        trials = self._search.trials
        machine = self._bench.machine_of(trials[-1].candidate) if trials else None
        if machine is None:
            return asked
        return sorted(asked, key=lambda ask: self._bench.machine_of(ask.candidate) != machine)

    def _too_much(self, ask: Ask) -> str:
        """Why a trial would pass a limit; empty when it would not."""
        expected, limits = self._expected(ask), self._limits
        left = self._left_usd()
        if left is not None and expected.usd is not None and expected.usd > left:
            return (f"max_cost: the next trial would cost about {expected.usd:.3g} USD, and {max(left, 0.0):.3g} of "
                    f"{limits.max_cost:g} are left")
        spent_s = sum(trial.took_s for trial in self._search.trials) / limits.at_once
        if limits.max_time_s is not None and spent_s + expected.took_s > limits.max_time_s:
            return (f"max_time: the next trial would take about {format_duration(expected.took_s)}, and "
                    f"{format_duration(max(0.0, limits.max_time_s - spent_s))} are left")
        return ""

    def _expected(self, ask: Ask) -> Cost:
        """As the bench expects it, times what trials so far took of what was expected of them."""
        expected = self._bench.expected(ask)
        ratios = [trial.took_s / before for trial in self._search.trials if trial.status in ("measured", "missed")
                  and (before := self._bench.expected(Ask(trial.candidate, trial.share)).took_s) > 0]
        factor = median(ratios) if ratios else 1.0
        return Cost(expected.took_s * factor, None if expected.usd is None else expected.usd * factor)

    def _left_usd(self) -> float | None:
        """Of `max_cost`, what neither trials that are over have spent nor running ones may."""
        if self._limits.max_cost is None:
            return None
        spent = self._search.idle_usd + sum(trial.usd or 0.0 for trial in self._search.trials if trial.over)
        return self._limits.max_cost - spent - sum(cost.usd or 0.0 for cost in self._running.values())

    def _added(self, ask: Ask) -> Trial:
        number = len(self._search.trials)
        trial = Trial(number, ask.candidate, ask.share, f"trials/{number:03d}-{ask.candidate}", near=ask.near)
        self._search.trials.append(trial)
        return trial

    def _begin(self, trial: Trial, ask: Ask) -> None:
        left, expected = self._left_usd(), self._expected(ask)
        if left is not None and self._limits.at_once > 1:
            left = min(left, 2 * (expected.usd or left))  # the others want their part
            expected = Cost(expected.took_s, left)
        self._running[trial.number] = expected
        self._save(self._search)
        self._bench.begin(trial, left)

    def _take(self, ended: Trial) -> None:
        self._search.trials[ended.number] = ended
        self._running.pop(ended.number, None)
        self._save(self._search)


def cost_of(asks: Sequence[Ask], bench_expected: Callable[[Ask], Cost], at_once: int = 1) -> Cost:
    """All of these trials together."""
    each = [bench_expected(ask) for ask in asks]
    usd = None if any(one.usd is None for one in each) else sum(one.usd or 0.0 for one in each)
    return Cost(sum(one.took_s for one in each) / at_once, usd)
