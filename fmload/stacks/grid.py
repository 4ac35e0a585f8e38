"""The grid: every candidate once, at full length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fmload.config.model import NoOptions
from fmload.model.stack import Trial
from fmload.stacks.strategy import Ask, Space


class Grid:
    """`strategy: grid`, in the order of the candidates."""

    Options = NoOptions

    def __init__(self, options: Any, space: Space) -> None:
        self._space = space

    def next(self, trials: Sequence[Trial]) -> list[Ask]:
        tried = {trial.candidate for trial in trials}
        return [Ask(one.name) for one in self._space.candidates if one.name not in tried]

    def at_most(self) -> list[Ask]:
        return [Ask(one.name) for one in self._space.candidates]
