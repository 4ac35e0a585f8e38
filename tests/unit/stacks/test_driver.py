"""The loop of a search: limits, order, and what a crash leaves."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path

import pytest

from fmload.model.stack import Candidate, Figure, StackSearch, Trial
from fmload.plugins import STRATEGIES
from fmload.results import search_file
from fmload.stacks.driver import Cost, Driver, Limits
from fmload.stacks.strategy import Ask, Space

NO_LIMITS = Limits()


class Killed(BaseException):
    """The process is gone."""


class Rig:
    """A bench without machines: candidate n costs n + 1 ± what the trial's length allows, and 1 USD and 100 s at full
    length. `kill_at`: the calls at which the process dies."""

    def __init__(self, kill_at: int | None = None, factor: float = 1.0) -> None:
        self.begun: list[tuple[int, str, float | None]] = []
        self.running: list[Trial] = []
        self.most_at_once = 0
        self.spent = self.most_promised = 0.0
        self._calls, self._kill_at, self._factor = 0, kill_at, factor
        self._left: dict[int, float] = {}
        self.machines: dict[str, str] = {}

    def begin(self, trial: Trial, left_usd: float | None) -> None:
        self._tick()
        self.begun.append((trial.number, trial.candidate, left_usd))
        self._left[trial.number] = left_usd or 0.0
        self.most_promised = max(self.most_promised, self.spent + sum(self._left.values()))
        self.running.append(trial)
        self.most_at_once = max(self.most_at_once, len(self.running))

    def wait(self) -> Trial:
        self._tick()
        trial = self.running.pop(0)
        del self._left[trial.number]
        self.spent += trial.share * self._factor
        value = float(trial.candidate.partition("-")[2]) + 1
        reach, times = 0.1 / trial.share, trial.share * self._factor
        return replace(trial, status="measured", figure=Figure(value, value - reach, value + reach), took_s=100 * times,
                       usd=times, measured_s=80 * times)

    def expected(self, ask: Ask) -> Cost:
        return Cost(100 * ask.share, ask.share)

    def machine_of(self, candidate: str) -> str | None:
        return self.machines.get(candidate)

    def _tick(self) -> None:
        self._calls += 1
        if self._calls == self._kill_at:
            raise Killed


def search_of(count: int = 8) -> StackSearch:
    return StackSearch("s", "price_per_1m_output_tokens", "halving", 5,
                       [Candidate(f"c-{n}", "c", {"n": str(n)}, n == 0) for n in range(count)])


def drive(search: StackSearch, rig: Rig, limits: Limits = NO_LIMITS, name: str = "halving",
          folder: Path | None = None) -> StackSearch:
    kind = STRATEGIES.load(name)
    strategy = kind(kind.Options(), Space(search.candidates, True, search.seed))
    saved = [] if folder is None else [folder]
    return Driver(search, strategy, rig, limits, lambda one: [search_file.write(root, one) for root in saved][:0]).run()


def facts(search: StackSearch) -> list[tuple[str, float, str, Figure]]:
    return [(one.candidate, one.share, one.status, one.figure) for one in search.trials]


def test_the_search_ends_when_the_strategy_asks_for_no_more() -> None:
    search = drive(search_of(), Rig(), name="grid")
    assert search.ended == "nothing is left that could be better" and len(search.trials) == 8


def test_no_more_trials_run_at_once_than_allowed() -> None:
    rig = Rig()
    drive(search_of(), rig, Limits(at_once=3), name="grid")
    assert rig.most_at_once == 3


def test_no_trial_begins_that_would_pass_max_cost() -> None:
    search = drive(search_of(), Rig(), Limits(max_cost=3.5), name="grid")
    assert len(search.trials) == 3 and "max_cost" in search.ended and "0.5 of 3.5 are left" in search.ended


def test_what_trials_really_took_corrects_what_is_expected() -> None:
    """They cost twice what was expected: after the first, 2 are expected of the next."""
    search = drive(search_of(), Rig(factor=2.0), Limits(max_cost=5.5), name="grid")
    assert len(search.trials) == 2


def test_trials_side_by_side_cannot_spend_more_than_max_cost_together() -> None:
    rig = Rig()
    drive(search_of(), rig, Limits(at_once=4, max_cost=3.0), name="grid")
    assert 2 < rig.most_promised <= 3.0


def test_a_shorter_trial_that_fits_goes_first() -> None:
    search = drive(search_of(), Rig(), Limits(max_cost=1.2))
    assert [one.share for one in search.trials] == [0.1] * 8 + [0.3]
    assert "max_cost" in search.ended


def test_no_trial_begins_that_would_end_after_max_time() -> None:
    search = drive(search_of(), Rig(), Limits(max_time_s=250), name="grid")
    assert len(search.trials) == 2 and "max_time" in search.ended


def test_a_search_killed_at_any_moment_comes_to_the_same_answer(tmp_path: Path) -> None:
    whole = drive(search_of(), Rig())
    draw = random.Random(1)
    for _ in range(10):
        search = search_of()
        search_file.write(tmp_path, search)
        kills = 0
        while True:
            try:
                found = drive(search_file.read(tmp_path), Rig(kill_at=draw.randint(1, 12)), folder=tmp_path)
                break
            except Killed:
                kills += 1
        assert kills > 0 and facts(found) == facts(whole)


def test_search_json_gives_back_what_was_written(tmp_path: Path) -> None:
    search = drive(search_of(), Rig(), folder=tmp_path)
    assert search_file.read(tmp_path) == search


def test_a_damaged_search_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text('{"schema": 1, "name":')
    with pytest.raises(Exception, match=r"search\.json cannot be read"):
        search_file.read(tmp_path)


def test_a_search_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "search.json").write_text('{"schema": 99}')
    with pytest.raises(Exception, match="later version"):
        search_file.read(tmp_path)


def test_candidates_of_the_machine_that_stands_go_first() -> None:
    rig = Rig()
    rig.machines = {f"c-{n}": "even" if n % 2 == 0 else "odd" for n in range(8)}
    search = drive(search_of(), rig, name="grid")
    assert [one.candidate for one in search.trials] == ["c-0", "c-2", "c-4", "c-6", "c-1", "c-3", "c-5", "c-7"]


def test_what_machines_cost_between_trials_is_of_max_cost() -> None:
    search = search_of()
    search.idle_usd = 1.0
    assert len(drive(search, Rig(), Limits(max_cost=3.5), name="grid").trials) == 2


def test_a_trial_that_runs_is_gone_on_with_first() -> None:
    search = search_of()
    search.trials = [Trial(0, "c-3", 0.1, "trials/000-c-3")]
    rig = Rig()
    drive(copy.deepcopy(search), rig)
    assert rig.begun[0][:2] == (0, "c-3")
