"""The model-based strategy: Optuna's TPE sampler chooses the next candidate by the figures of those tried so far."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Strict
from fmload.model.stack import Candidate, Trial
from fmload.stacks.strategy import Ask, Space, near_of, shuffled

if TYPE_CHECKING:
    from optuna import Study

Key = tuple[str, tuple[tuple[str, str], ...]]  # base, settings
BASE = "endpoint"  # the parameter that tells several bases apart
TRIES = 64  # draws before one that was not tried is taken as it comes
WORST = 10.0  # what failed counts as so many times the worst figure


class ModelOptions(Strict):
    """Keys of `stacks: {strategy: optuna, …}`."""

    trials: int = Field(24, ge=1, description="how many candidates are tried, at full length")
    startup: int = Field(8, ge=1, description="of them, drawn at random before there is a model")


class ModelBased:
    """`strategy: optuna`, for spaces that are too large to try all; needs the extra `fmload[stacks]`."""

    Options = ModelOptions

    def __init__(self, options: ModelOptions, space: Space) -> None:
        self._options, self._space = options, space
        self._order = shuffled(space)
        self._of = {_key(one): one for one in space.candidates}
        self._values = _values(space.candidates)

    def next(self, trials: Sequence[Trial]) -> list[Ask]:
        tried = {trial.candidate for trial in trials}
        left = [one for one in self._order if one.name not in tried]
        if not left or len(tried) >= self._options.trials:
            return []
        if len(tried) < self._options.startup:
            wanted = [one.name for one in left[:self._options.startup - len(tried)]]
        else:
            wanted = [self._drawn(trials, tried, left).name]
        return [Ask(name, 1.0, near_of(name, self._space, trials)) for name in wanted]

    def at_most(self) -> list[Ask]:
        return [Ask(one.name) for one in self._order[:self._options.trials]]

    def _drawn(self, trials: Sequence[Trial], tried: set[str], left: Sequence[Candidate]) -> Candidate:
        optuna = _optuna()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of `group`, for several bases
            study = self._study(trials)
        for _ in range(TRIES):
            asked = study.ask()
            one = self._of.get(self._suggested(asked))
            if one is not None and one.name not in tried:
                return one
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        return left[0]

    def _suggested(self, asked: Any) -> Key:
        base = asked.suggest_categorical(BASE, list(self._values))
        drawn = {key: asked.suggest_categorical(f"{base}: {key}", values) for key, values in self._values[base].items()}
        return base, tuple(drawn.items())

    def _study(self, trials: Sequence[Trial]) -> Study:
        """A study that knows the trials that are over; of one that failed, that it is far worse than all others."""
        optuna = _optuna()
        done = [trial for trial in trials if trial.over]
        study: Study = optuna.create_study(sampler=optuna.samplers.TPESampler(
            seed=self._space.seed * 10_007 + len(trials), n_startup_trials=1, multivariate=True, group=True))
        costs = [self._cost(trial) for trial in done]
        worst = max((abs(cost) for cost in costs if cost is not None), default=1.0) * WORST
        by_name = {one.name: one for one in self._space.candidates}
        for trial, cost in zip(done, costs, strict=True):
            study.add_trial(self._known(by_name[trial.candidate], worst if cost is None else cost))
        return study

    def _known(self, one: Candidate, cost: float) -> Any:
        optuna = _optuna()
        values = {BASE: list(self._values), **{f"{one.base}: {key}": of for key, of in self._values[one.base].items()}}
        return optuna.trial.create_trial(
            params={BASE: one.base, **{f"{one.base}: {key}": value for key, value in one.settings.items()}},
            distributions={key: optuna.distributions.CategoricalDistribution(of) for key, of in values.items()},
            value=cost)

    def _cost(self, trial: Trial) -> float | None:
        if trial.status != "measured" or trial.figure.value is None or not math.isfinite(trial.figure.value):
            return None
        return trial.figure.value if self._space.lower_is_better else -trial.figure.value


def _key(candidate: Candidate) -> Key:
    return candidate.base, tuple(candidate.settings.items())


def _values(candidates: Sequence[Candidate]) -> dict[str, dict[str, list[str]]]:
    """By base, the values of each of its keys."""
    found: dict[str, dict[str, list[str]]] = {}
    for one in candidates:
        keys = found.setdefault(one.base, {})
        for key, value in one.settings.items():
            if value not in keys.setdefault(key, []):
                keys[key].append(value)
    return found


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise FmloadError("the strategy 'optuna' needs Optuna",
                          hint="pip install 'fmload[stacks]'; or strategy: halving") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
