"""Strategies: what comes next by the trials so far, and by nothing else."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.model.stack import Candidate, Figure, Trial
from fmload.plugins import STRATEGIES
from fmload.stacks.strategy import Ask, Space, near_of

UNKNOWN = Figure()


def space_of(count: int = 6, seed: int = 0, lower: bool = True) -> Space:
    candidates = [Candidate(f"c-{number}", "c", {"n": str(number)}, number == 0) for number in range(count)]
    return Space(candidates, lower, seed)


def strategy_of(name: str, space: Space, **options: Any) -> Any:
    kind = STRATEGIES.load(name)
    return kind(kind.Options.model_validate(options), space)


def trial(number: int, ask: Ask, figure: Figure = UNKNOWN, status: Any = "measured") -> Trial:
    return Trial(number, ask.candidate, ask.share, "", status, figure=figure)


def played(strategy: Any, figure_of: Any) -> list[Trial]:
    """The whole search, one trial at a time; `figure_of(ask)` is a Figure or a status."""
    trials: list[Trial] = []
    while asked := strategy.next(trials):
        found = figure_of(asked[0])
        trials.append(trial(len(trials), asked[0], found) if isinstance(found, Figure)
                      else trial(len(trials), asked[0], status=found))
        assert len(trials) < 1000
    return trials


def exact(ask: Ask, width: float = 0.1) -> Figure:
    """Candidate n costs n + 1, known the better the longer the trial."""
    value = float(ask.candidate.partition("-")[2]) + 1
    return Figure(value, value - width / ask.share, value + width / ask.share)


def test_the_grid_tries_every_candidate_once_at_full_length() -> None:
    trials = played(strategy_of("grid", space_of()), exact)
    assert [(one.candidate, one.share) for one in trials] == [(f"c-{n}", 1.0) for n in range(6)]


def test_halving_drops_whose_interval_lies_apart_and_measures_the_rest_longer() -> None:
    trials = played(strategy_of("halving", space_of(), rounds=[0.1, 1.0]), exact)
    assert sorted(one.candidate for one in trials if one.share == 0.1) == [f"c-{n}" for n in range(6)]
    # at a tenth, c-0 is known as 1 ± 1: below 2; c-2 (3 ± 1) reaches that, c-3 (4 ± 1) does not
    assert {one.candidate for one in trials if one.share == 1.0} <= {"c-0", "c-1", "c-2"}
    assert "c-0" in {one.candidate for one in trials if one.share == 1.0}


def test_halving_drops_nothing_whose_bounds_do_not_say_so() -> None:
    """However bad its rank: intervals that all overlap come through every round."""
    trials = played(strategy_of("halving", space_of(), rounds=[0.1, 1.0]), lambda ask: exact(ask, width=100.0))
    assert len(trials) == 12


def test_halving_takes_an_open_end_for_anything() -> None:
    def figure(ask: Ask) -> Figure:
        return Figure(50.0, None, 60.0) if ask.candidate == "c-5" else exact(ask)

    trials = played(strategy_of("halving", space_of(), rounds=[0.1, 1.0]), figure)
    assert ("c-5", 1.0) in {(one.candidate, one.share) for one in trials}


def test_halving_begins_with_the_default_and_goes_on_with_the_promising() -> None:
    trials = played(strategy_of("halving", space_of(seed=4), rounds=[0.1, 1.0]), lambda ask: exact(ask, width=100.0))
    assert trials[0].candidate == "c-0"
    assert [one.candidate for one in trials if one.share == 1.0] == [f"c-{n}" for n in range(6)]


def test_halving_skips_rounds_when_one_is_left() -> None:
    trials = played(strategy_of("halving", space_of(), rounds=[0.1, 0.3, 1.0]), lambda ask: exact(ask, width=0.001))
    assert [(one.candidate, one.share) for one in trials][6:] == [("c-0", 1.0)]


@pytest.mark.parametrize("status", ["failed", "missed"])
def test_what_failed_or_missed_is_not_tried_again(status: str) -> None:
    def found(ask: Ask) -> Any:
        return status if ask.candidate in ("c-0", "c-1") else exact(ask)

    trials = played(strategy_of("halving", space_of(), rounds=[0.1, 1.0]), found)
    assert sum(one.candidate in ("c-0", "c-1") for one in trials) == 2
    assert trials[-1].candidate in {"c-2", "c-3"}


def test_when_all_failed_halving_ends() -> None:
    assert len(played(strategy_of("halving", space_of()), lambda ask: "failed")) == 6


def test_of_rates_the_highest_is_the_best() -> None:
    trials = played(strategy_of("halving", space_of(lower=False), rounds=[0.1, 1.0]), exact)
    assert "c-5" in {one.candidate for one in trials if one.share == 1.0}
    assert "c-0" not in {one.candidate for one in trials if one.share == 1.0}


def test_halving_waits_for_a_round_before_the_next() -> None:
    strategy = strategy_of("halving", space_of(2), rounds=[0.1, 1.0])
    first = trial(0, Ask("c-0", 0.1), exact(Ask("c-0", 0.1)))
    assert strategy.next([first, trial(1, Ask("c-1", 0.1), status="running")]) == []


@pytest.mark.parametrize("name", ["grid", "halving", "optuna"])
def test_a_search_that_is_cut_anywhere_goes_on_as_it_would_have(name: str) -> None:
    space = space_of(12, seed=9)
    whole = played(strategy_of(name, space), exact)
    for cut in range(len(whole)):
        assert strategy_of(name, space).next(whole[:cut])[0] == Ask(whole[cut].candidate, whole[cut].share)


@pytest.mark.parametrize("name", ["halving", "optuna"])
def test_another_seed_gives_another_order(name: str) -> None:
    orders = {tuple(one.candidate for one in played(strategy_of(name, space_of(12, seed)), exact)) for seed in range(3)}
    assert len(orders) == 3


def settings_space(seed: int) -> Space:
    keys = itertools.product(range(6), range(6), range(6))
    return Space([Candidate(f"m-{a}{b}{c}", "m", {"a": str(a), "b": str(b), "c": str(c)}, (a, b, c) == (0, 0, 0))
                  for a, b, c in keys], True, seed)


def bowl(ask: Ask) -> Figure:
    """Lowest, 1, at a = 4, b = 1, c = 3."""
    a, b, c = map(int, ask.candidate[2:])
    value = 1.0 + (a - 4) ** 2 + (b - 1) ** 2 + (c - 3) ** 2
    return Figure(value, value, value)


def test_the_model_finds_better_candidates_than_chance_does() -> None:
    """Of 216, in 30 trials: the median over seeds of the best found, against 30 drawn at random."""
    def best(seed: int) -> float:
        trials = played(strategy_of("optuna", settings_space(seed), trials=30), bowl)
        return min(one.figure.value or 99 for one in trials)

    def chance(seed: int) -> float:
        names = [one.name for one in settings_space(seed).candidates]
        return min(bowl(Ask(name)).value or 99 for name in random.Random(seed).sample(names, 30))

    modelled, drawn = sorted(map(best, range(7))), sorted(map(chance, range(7)))
    assert modelled[3] < drawn[3]


def test_the_model_tries_no_candidate_twice_and_no_more_than_asked() -> None:
    trials = played(strategy_of("optuna", settings_space(1), trials=20), bowl)
    assert len({one.candidate for one in trials}) == len(trials) == 20


def test_the_model_knows_several_bases_and_failures() -> None:
    space = Space([Candidate("x-0", "x", {"a": "1"}, True), Candidate("x-1", "x", {"a": "2"}),
                   *(Candidate(f"y-{n}", "y", {"b": str(n)}) for n in range(4)), Candidate("z", "z", {}, True)],
                  True, 2)
    trials = played(strategy_of("optuna", space, startup=2), lambda ask: "failed" if ask.candidate == "z"
                    else Figure(1.0, 1.0, 1.0))
    assert {one.candidate for one in trials} == {one.name for one in space.candidates}


def test_a_trial_begins_near_its_own_last_answer_else_near_that_of_the_most_alike() -> None:
    several = [Candidate(f"a-{x}{y}", "a", {"x": x, "y": y}) for x in "12" for y in "12"]
    space = Space([*several, Candidate("b", "b", {})])

    def known(name: str, share: float, highest: int) -> Trial:
        return Trial(0, name, share, "", "measured", facts={"highest": highest})

    trials = [known("b", 1.0, 50), known("a-11", 0.1, 8), known("a-22", 0.1, 30), known("a-22", 1.0, 33)]
    assert [near_of(name, space, trials) for name in ("a-22", "a-11", "a-12", "b")] == [33.0, 8.0, 8.0, 50.0]
    assert near_of("a-12", space, []) is None and near_of("a-12", space, [known("b", 1.0, 50)]) == 50.0


def test_the_grid_takes_nothing_from_one_trial_to_the_next() -> None:
    strategy = strategy_of("grid", space_of())
    first = Trial(0, "c-0", 1.0, "", "measured", facts={"highest": 9})
    assert all(ask.near is None for ask in strategy.next([first]))


def test_an_unknown_strategy_is_told() -> None:
    with pytest.raises(FmloadError, match="did you mean 'halving'"):
        STRATEGIES.load("halfing")
