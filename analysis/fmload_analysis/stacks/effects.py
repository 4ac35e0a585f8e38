"""What each setting does to the figure: main effects and interactions of a model that is linear in its logarithm. Pure.

log(figure) = mean + Σ effect(setting) + Σ effect(pair of settings) + error, by least squares over the measured
candidates. An effect is a ratio against the first value; its interval is Student's t of the errors, with as many
comparisons as there are effects taken into account (Bonferroni). Nothing is told where the errors leave no freedom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fmload.metrics.definitions import Floats
from fmload.statistics.intervals import student_t

CONFIDENCE = 0.95
MATTERS = 0.03  # an interaction that changes the figure by less is not told

Term = tuple[tuple[str, str], ...]  # one setting, or a pair of them
Row = tuple[Mapping[str, str], float]  # settings of a candidate, its figure


@dataclass(frozen=True, slots=True)
class Effect:
    """A ratio to the figure with the first value(s): 0.8 is a fifth less. `low` and `high` are its interval; `n` counts
    the candidates that had the setting."""

    term: Term
    ratio: float
    low: float
    high: float
    n: int

    @property
    def is_clear(self) -> bool:
        """Whether its interval leaves 1 out."""
        return not self.low <= 1 <= self.high


def effects(rows: Sequence[Row], firsts: Mapping[str, str]) -> list[Effect]:
    """The main effects of every value that is not its key's first; empty where they cannot be told apart."""
    terms = _singles(rows, firsts)
    found = _fitted(rows, terms, len(terms))
    return found or []


def interactions(rows: Sequence[Row], firsts: Mapping[str, str]) -> list[Effect]:
    """The pairs of settings whose effect together is clearly another than that of both by themselves, the strongest
    first. Each pair of keys is tried on its own, beside the main effects."""
    singles, found = _singles(rows, firsts), list[Effect]()
    keys = list(dict.fromkeys(key for term in singles for key, _ in term))
    pairs = list(combinations(keys, 2))
    for one, other in pairs:
        both = [(*a, *b) for a in singles if a[0][0] == one for b in singles if b[0][0] == other]
        fitted = _fitted(rows, [*singles, *both], max(1, len(both) * len(pairs))) or []
        found += [effect for effect in fitted if len(effect.term) == 2 and effect.is_clear
                  and abs(math.log(effect.ratio)) > MATTERS]
    return sorted(found, key=lambda effect: -abs(math.log(effect.ratio)))


def _singles(rows: Sequence[Row], firsts: Mapping[str, str]) -> list[Term]:
    seen = dict.fromkeys((key, value) for settings, _ in rows for key, value in settings.items())
    return [((key, value),) for key, value in seen if firsts.get(key) != value]


def _fitted(rows: Sequence[Row], terms: Sequence[Term], comparisons: int) -> list[Effect] | None:
    """None where the terms cannot be told apart, or no freedom is left for errors."""
    if not terms or len(rows) <= len(terms) + 1:
        return None
    design = np.array([[1.0, *(float(_has(settings, term)) for term in terms)] for settings, _ in rows])
    logs = np.log(np.array([figure for _, figure in rows]))
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    found, *_ = np.linalg.lstsq(design, logs, rcond=None)
    freedom = len(rows) - design.shape[1]
    variance = float(((logs - design @ found) ** 2).sum()) / freedom
    spread: Floats = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * variance)
    reach = student_t(freedom, 1 - (1 - CONFIDENCE) / comparisons)
    return [Effect(term, math.exp(value), math.exp(value - reach * error), math.exp(value + reach * error),
                   int(design[:, place].sum()))
            for place, (term, value, error) in enumerate(zip(terms, found[1:], spread[1:], strict=True), 1)]


def _has(settings: Mapping[str, str], term: Term) -> bool:
    return all(settings.get(key) == value for key, value in term)
