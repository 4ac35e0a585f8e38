"""The nouns of a search over serving stacks: candidate, trial, and the figure that ranks them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["running", "measured", "missed", "failed"]


@dataclass(frozen=True, slots=True)
class Figure:
    """What ranks a candidate, with its interval (95 %), in the unit of the metric. None for the value: not known yet;
    for an end: it may be anything on that side."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to serve a model. `base` is the entry of `endpoints` that it was made of, `settings` its values of that
    entry's `vary` as people read them. `is_default`: all of them are the first ones."""

    name: str
    base: str
    settings: Mapping[str, str]
    is_default: bool = False

    @property
    def text(self) -> str:
        """`threads=2, parallel=4`; its name where nothing varies."""
        return ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in self.settings.items()) or self.name


@dataclass(frozen=True, slots=True)
class Found:
    """What a trial found, as its records say: of `Trial`, what is read of its folder. `usd` is None where no price is
    known."""

    status: Status
    figure: Figure
    reason: str = ""
    measured_s: float = 0.0
    usd: float | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Trial:
    """A candidate stood up and measured, `share` of the run file's windows long.

    `measured`: it has a figure, which may be open. `missed`: the lowest load was shown to miss the objectives.
    `failed`: it did not start, fell over, or its numbers may not be used. `reason` says why of the last two, `words`
    are the last ones of its logs. `usd` and `took_s` count from its start to its end, start-up and removal included;
    `measured_s` are its windows alone. `facts`: what the report shows of it. `near`: where its search began.
    """

    number: int
    candidate: str
    share: float
    folder: str
    status: Status = "running"
    started_utc: str = ""
    took_s: float = 0.0
    measured_s: float = 0.0
    usd: float | None = None
    figure: Figure = Figure()
    reason: str = ""
    words: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    near: float | None = None

    @property
    def over(self) -> bool:
        return self.status != "running"

    @property
    def is_open(self) -> bool:
        """Measured, without a figure."""
        return self.status == "measured" and self.figure.value is None


@dataclass(slots=True)
class StackSearch:
    """A whole search: what may be tried, what was, and why it ended (empty: it has not). `by` is the figure; `emulated`
    the candidates that imitate something, with what."""

    name: str
    by: str
    strategy: str
    seed: int
    candidates: list[Candidate]
    trials: list[Trial] = field(default_factory=list)
    ended: str = ""
    max_cost: float | None = None
    emulated: dict[str, str] = field(default_factory=dict)
    idle_usd: float = 0.0  # of machines that trials take over: between trials, and while they were taken down

    @property
    def lower_is_better(self) -> bool:
        """Of prices the lowest is the best, of rates the highest."""
        return self.by.startswith("price")

    def best_trials(self) -> dict[str, Trial]:
        """See `longest_of`."""
        return longest_of(self.trials)


def longest_of(trials: Iterable[Trial]) -> dict[str, Trial]:
    """By candidate, the longest of its trials that are over; of equal ones the last. One whose figure is still open
    does not hide the figure of a shorter one."""
    found: dict[str, Trial] = {}
    for trial in trials:
        before = found.get(trial.candidate)
        if trial.over and (before is None or _says_more(trial, before)):
            found[trial.candidate] = trial
    return found


def _says_more(trial: Trial, other: Trial) -> bool:
    if trial.is_open != other.is_open and "missed" not in (trial.status, other.status):
        return other.is_open
    return trial.share >= other.share
