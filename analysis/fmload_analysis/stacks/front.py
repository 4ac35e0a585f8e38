"""The front of price and speed over every stage of every trial: what nothing else beats in both. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fmload.model.stack import StackSearch


@dataclass(frozen=True, slots=True)
class Place:
    """A stage: USD per 1M output tokens, and output tokens a second for one user (1 ÷ median TPOT). `meets`: its
    objectives are met."""

    candidate: str
    load: str
    price: float
    tokens_per_s_user: float
    meets: bool
    share: float


def places(search: StackSearch) -> list[Place]:
    """Every sound stage of the longest trial of each candidate."""
    return [Place(trial.candidate, point["load"], point["price"], point["tokens_per_s_user"], point["meets"],
                  trial.share) for trial in search.best_trials().values() for point in trial.facts.get("points", ())]


def front(points: Iterable[Place]) -> list[Place]:
    """Those that no other beats in price and speed, the cheapest first."""
    best: list[Place] = []
    for place in sorted(points, key=lambda one: (one.price, -one.tokens_per_s_user)):
        if not best or place.tokens_per_s_user > best[-1].tokens_per_s_user:
            best.append(place)
    return best
