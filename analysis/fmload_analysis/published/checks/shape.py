"""One figure's statistics among themselves: in order, not negative, and such as one distribution can have.

The bounds hold for every distribution: the mean and the median are at most one standard deviation apart; the mean lies
within what its percentiles allow; the standard deviation of values between min and max is at most
√((max − mean) × (mean − min)) (Bhatia and Davis, 2000).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

from fmload_analysis.published.checks.relation import Relation, product
from fmload_analysis.published.rows.figure_names import METRICS, exact, label
from fmload_analysis.published.rows.published import NOTHING_NEGATIVE, Row

_ORDER = ("min", "p0.1", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p97", "p99", "p99.9", "max")
_LEVELS = {stat: float(stat[1:]) / 100 for stat in _ORDER if stat[0] == "p"}
_ROUNDING = 1e-6


def _stats(row: Row, metric: str, names: tuple[str, ...]) -> list[tuple[str, float]]:
    found = ((stat, row.figures.get(f"{metric}_{stat}")) for stat in names)
    return [(stat, value) for stat, value in found if value is not None]


def order(metric: str) -> Relation:
    """min ≤ p1 ≤ … ≤ p99 ≤ max, and the mean between min and max."""

    def worst(row: Row) -> tuple[float, str, str] | None:
        known = _stats(row, metric, _ORDER)
        pairs = list(pairwise(known))
        mean = row.figures.get(f"{metric}_mean")
        if mean is not None:
            pairs += [(low, ("mean", mean)) for low in known if low[0] == "min"]
            pairs += [(("mean", mean), high) for high in known if high[0] == "max"]
        if not pairs:
            return None
        return max(((a - b) / max(abs(a), abs(b), 1e-12), one, other) for (one, a), (other, b) in pairs)

    def off(row: Row) -> float | None:
        found = worst(row)
        return None if found is None else max(0.0, found[0] - _ROUNDING)

    def needs(row: Row) -> tuple[str, ...]:
        found = worst(row)
        if found is None:
            return ()
        if found[0] <= _ROUNDING:
            return tuple(f"{metric}_{stat}" for stat, _ in _stats(row, metric, (*_ORDER, "mean")))
        return (f"{metric}_{found[1]}", f"{metric}_{found[2]}")

    def sentence(row: Row) -> str:
        found = worst(row)
        if found is None or found[0] <= _ROUNDING:
            return f"{len(_stats(row, metric, _ORDER))} statistics in order."
        one, other = (exact(f"{metric}_{stat}", row.figures[f"{metric}_{stat}"]) for stat in found[1:])
        return f"{found[1]} {one} is above {found[2]} {other}."

    return Relation(f"{METRICS[metric]} percentiles in order", 6, needs, off, sentence, 0.0, 0.0, solvable=False)


def spread(metric: str) -> Relation:
    """|mean − median| ≤ standard deviation, and the deviation no larger than min and max allow."""

    def off(row: Row) -> float | None:
        mean, median, deviation, low, high = (row.figures.get(f"{metric}_{stat}") for stat in (
            "mean", "p50", "std", "min", "max"))
        if mean is None or deviation is None or (median is None and (low is None or high is None)):
            return None
        size = max(abs(mean), 1e-12)
        found = [0.0]
        if median is not None:
            found.append((abs(mean - median) - deviation * 1.02) / size)
        if low is not None and high is not None and low <= mean <= high and _enough(row, metric):
            found.append((deviation - 1.05 * math.sqrt((high - mean) * (mean - low))) / size)
        return max(0.0, max(found) - 1e-3)

    def needs(row: Row) -> tuple[str, ...]:
        if off(row) is None:
            return ()
        return tuple(f"{metric}_{stat}" for stat, _ in _stats(row, metric, ("mean", "p50", "std", "min", "max")))

    def sentence(row: Row) -> str:
        parts = ", ".join(f"{stat} {exact(f'{metric}_{stat}', value)}" for stat, value in _stats(row, metric, (
            "min", "mean", "p50", "max", "std")))
        return parts + (": no distribution has these." if off(row) else ".")

    return Relation(f"{METRICS[metric]} mean, median and deviation", 6, needs, off, sentence, 0.0, 0.05,
                    gives=())


def _enough(row: Row, metric: str) -> bool:
    """Whether it does not matter if the deviation was divided by n or n − 1."""
    count = row.figures.get(f"{metric}_count") or row.value("completed")
    return count is None or count >= 20


def _mean_bounds(row: Row, metric: str) -> tuple[float, float | None] | None:
    """The least and largest mean that the percentiles allow; None where there is none of them, or n is not known."""
    count = row.figures.get(f"{metric}_count") or row.value("completed")
    known = [(stat, value) for stat, value in _stats(row, metric, _ORDER) if stat in _LEVELS]
    low, high = row.figures.get(f"{metric}_min", 0.0), row.figures.get(f"{metric}_max")
    if not known or not count or count < 20:
        return None
    certain = (count - 1) / count
    least, before = low, low
    for stat, value in known:
        least += max(value - before, 0.0) * (1 - _LEVELS[stat]) * certain
        before = max(value, before)
    if high is None:
        return least, None
    most, after = high, high
    for stat, value in reversed(known):
        most -= max(after - value, 0.0) * _LEVELS[stat] * certain
        after = min(value, after)
    return least, most


def mean_within(metric: str) -> Relation:
    """The mean lies within what its percentiles allow."""

    def off(row: Row) -> float | None:
        mean, bounds = row.figures.get(f"{metric}_mean"), _mean_bounds(row, metric)
        if mean is None or bounds is None:
            return None
        least, most = bounds
        if mean < least:
            return mean / least - 1
        return mean / most - 1 if most is not None and mean > most > 0 else 0.0

    def needs(row: Row) -> tuple[str, ...]:
        if off(row) is None:
            return ()
        return tuple(f"{metric}_{stat}" for stat, _ in _stats(row, metric, (*_ORDER, "mean")))

    def sentence(row: Row) -> str:
        least, most = _mean_bounds(row, metric) or (0.0, None)
        upper = " and more" if most is None else f" to {exact(f'{metric}_mean', most)}"
        told = (exact(f"{metric}_mean", value) for value in (row.figures[f"{metric}_mean"], least))
        return f"mean {next(told)}; the percentiles allow {next(told)}{upper}."

    return Relation(f"{METRICS[metric]} mean within its percentiles", 6, needs, off, sentence, 0.02, 0.1, gives=())


def not_negative(row: Row) -> float | None:
    """How many told figures are negative: a latency, count, rate or price never is."""
    return float(sum(value < 0 for value in row.figures.values()))


NEGATIVE = Relation(
    NOTHING_NEGATIVE, 3,
    lambda row: tuple(name for name, value in row.figures.items() if value < 0), not_negative,
    lambda row: ", ".join(f"{label(name)} {exact(name, value)}" for name, value in row.figures.items()
                          if value < 0) + ": below 0.",
    0.0, 0.0, solvable=False)


def _same(metric: str) -> Relation:
    return product(f"{METRICS[metric]} median = p50", 6, {f"{metric}_median": 1, f"{metric}_p50": -1}, warn=0.02)


def _sums(metric: str) -> Relation:
    return product(f"{METRICS[metric]} mean × count = sum", 6, {
        f"{metric}_mean": 1, f"{metric}_count": 1, f"{metric}_sum": -1})


KINDS: tuple[Callable[[str], Relation], ...] = (order, spread, mean_within, _same, _sums)
RELATIONS = (NEGATIVE, *(kind(metric) for metric in METRICS for kind in KINDS))
