"""A strategy of a search over serving stacks: so many candidates, drawn by the seed, at full length."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import Field

from fmload.config.model import Strict
from fmload.model.stack import Trial
from fmload.stacks.strategy import Ask, Space


class LotsOptions(Strict):
    """Its keys."""

    count: int = Field(8, ge=1, description="candidates that are drawn")


class Lots:
    """`stacks: {strategy: lots, count: 8}`."""

    Options = LotsOptions

    def __init__(self, options: LotsOptions, space: Space) -> None:
        names = [one.name for one in space.candidates]
        self._drawn = random.Random(space.seed).sample(names, min(options.count, len(names)))

    def next(self, trials: Sequence[Trial]) -> list[Ask]:
        tried = {trial.candidate for trial in trials}
        return [Ask(name) for name in self._drawn if name not in tried]

    def at_most(self) -> list[Ask]:
        return [Ask(name) for name in self._drawn]
