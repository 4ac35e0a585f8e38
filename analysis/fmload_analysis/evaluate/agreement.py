"""What a panel says together, and how far its judges agree: votes, kappas, order bias. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

Vote = TypeVar("Vote", bound=Hashable)
Votes = Mapping[str, str]  # by judge, of one answer


def majority(votes: Iterable[Vote]) -> Vote | None:
    """What more than half of the votes say; None (undecided) on a tie and without votes."""
    counts = Counter(votes)
    if not counts:
        return None
    choice, count = counts.most_common(1)[0]
    return choice if 2 * count > counts.total() else None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement over `n` items: the observed share, and Cohen's or Fleiss' kappa.

    The kappa is None without items, and where all verdicts are the same: there is no chance to be corrected for.
    """

    n: int
    observed: float | None
    kappa: float | None


def cohen(pairs: Sequence[tuple[str, str]]) -> Agreement:
    """Two judges' verdicts of the same items (Cohen 1960)."""
    n = len(pairs)
    if n == 0:
        return Agreement(0, None, None)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    by_chance = sum(first[verdict] * second[verdict] for verdict in first) / n**2
    return _corrected(n, sum(a == b for a, b in pairs) / n, by_chance)


def fleiss(items: Sequence[Sequence[str]]) -> Agreement:
    """Several judges' verdicts, the same number (two at least) of every item (Fleiss 1971)."""
    n = len(items)
    if n == 0:
        return Agreement(0, None, None)
    judges = len(items[0])
    counts = [Counter(item) for item in items]
    observed = sum(sum(c * (c - 1) for c in count.values()) for count in counts) / (n * judges * (judges - 1))
    totals: Counter[str] = sum(counts, Counter())
    by_chance = sum((total / (n * judges)) ** 2 for total in totals.values())
    return _corrected(n, observed, by_chance)


def _corrected(n: int, observed: float, by_chance: float) -> Agreement:
    kappa = (observed - by_chance) / (1 - by_chance) if by_chance < 1 - 1e-12 else None
    return Agreement(n, observed, kappa)


def between(judges: Sequence[str], items: Sequence[Votes]) -> dict[tuple[str, str], Agreement]:
    """Every two judges over the items of which both gave a verdict, where there are any."""
    found = {(a, b): cohen([(item[a], item[b]) for item in items if a in item and b in item])
             for a, b in combinations(judges, 2)}
    return {two: each for two, each in found.items() if each.n}


def of_panel(judges: Sequence[str], items: Sequence[Votes]) -> Agreement | None:
    """All judges together over the items of which every one gave a verdict; None where fewer than two gave any.

    A judge that never gave a verdict is no part of the panel.
    """
    speaking = [judge for judge in judges if any(judge in item for item in items)]
    if len(speaking) < 2:
        return None
    return fleiss([[item[judge] for judge in speaking] for item in items if all(judge in item for judge in speaking)])


@dataclass(frozen=True, slots=True)
class OrderBias:
    """One judge's comparisons that were made in both orders.

    `changed`: the choice was another one when the answers changed places; `first` and `second`: the same place won
    both times. `first_share` is of all choices but ties: a judge without bias has one half.
    """

    n: int
    changed: int
    first: int
    second: int
    first_share: float | None


def order_bias(swapped: Sequence[tuple[str, str]]) -> OrderBias:
    """From pairs of verdicts (`first`, `second` or `tie`), the second given with the answers in the other order."""
    choices = Counter(verdict for pair in swapped for verdict in pair if verdict != "tie")
    return OrderBias(
        len(swapped), sum(settled(*pair) is None for pair in swapped), swapped.count(("first", "first")),
        swapped.count(("second", "second")), choices["first"] / choices.total() if choices else None)


def settled(verdict: str, swapped: str) -> str | None:
    """What a judge says whatever the order: `first`, `second` or `tie` of the first order; None when it depends."""
    back = {"first": "second", "second": "first", "tie": "tie"}[swapped]
    return verdict if verdict == back else None
