"""Which figure is wrong: the one that, changed alone, makes all relations of the row hold.

A figure is corrected only where that is one figure, or where the tool is known to work it out otherwise than its name
says; then by figures that no relation contradicts. Else what each would be is told, and none is corrected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fmload_analysis.published.checks.littles_law import CLOSED
from fmload_analysis.published.checks.relation import Relation, with_value
from fmload_analysis.published.rows.published import Correction, Row

_PRICED_BY = {"price_per_transaction": "transactions_per_minute", "price_per_10k_transactions":
              "transactions_per_minute", "price_per_1m_output_tokens": "output_tokens_per_s"}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The figures that give way, with the reason, and for each broken relation what each column would be."""

    corrections: tuple[Correction, ...] = ()
    if_wrong: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    suspects: tuple[str, ...] = ()  # where it cannot be told which of them is wrong


def diagnose(row: Row, relations: Sequence[Relation], weak: Mapping[str, str]) -> Diagnosis:
    """What follows from the broken ones of these relations."""
    useful = [relation for relation in relations if relation.needs(row)]
    broken = [relation for relation in useful if not (relation.holds(row) or relation.supports_only
                                                          or relation.finding_only)]
    if not broken:
        return Diagnosis()
    weak = _giving_way(row, weak)
    held = [relation for relation in useful if relation.holds(row)]
    if_wrong = {relation.name: _each(row, relation) for relation in broken}
    found: list[Correction] = []
    suspects: list[str] = []
    for part in _parts(row, broken):
        corrections, doubtful = _of_part(row, part, held, weak)
        found += corrections
        suspects += doubtful
    return Diagnosis((*found, *_prices(row, found)), if_wrong, tuple(dict.fromkeys(suspects)))


def _giving_way(row: Row, weak: Mapping[str, str]) -> Mapping[str, str]:
    """Where tools do not keep the load: fewer in flight than offered is the load's doing, more is the rate's."""
    off = CLOSED.off(row) or 0.0
    if "concurrency" not in weak or off == 0.0:
        return weak
    stays = "transactions_per_minute" if off < 0 else "concurrency"
    return {name: reason for name, reason in weak.items() if name != stays}


def _each(row: Row, relation: Relation) -> dict[str, float]:
    values = ((column, relation.solve(row, column)) for column in relation.needs(row))
    return {column: value for column, value in values if value is not None}


def _parts(row: Row, broken: list[Relation]) -> list[list[Relation]]:
    """Relations that share columns, together."""
    parts: list[tuple[set[str], list[Relation]]] = []
    for relation in broken:
        columns = set(relation.needs(row))
        joined = [part for part in parts if part[0] & columns]
        parts = [part for part in parts if not part[0] & columns]
        parts.append((columns.union(*(part[0] for part in joined)),
                      [*(one for part in joined for one in part[1]), relation]))
    return [relations for _, relations in parts]


def _of_part(row: Row, broken: list[Relation], held: list[Relation],
             weak: Mapping[str, str]) -> tuple[list[Correction], list[str]]:
    single = _single(row, broken, held)
    if len(single) == 1:
        (column, (value, relation)), = single.items()
        if not relation.tells(column):
            return [], [column]
        return [Correction(column, row.figures[column], value, weak.get(column) or
                           f"with it alone changed all columns agree ({relation.name})")], []
    known = [column for column in single if column in weak]
    if len(known) == 1:
        value, _ = single[known[0]]
        return [Correction(known[0], row.figures[known[0]], value, weak[known[0]])], []
    corrections = _recompute(row, [*broken, *(one for one in held if not one.supports_only)], weak)
    if corrections:
        return corrections, []
    shared = set.intersection(*(set(relation.needs(row)) for relation in broken))
    return [], sorted(single) or sorted(shared) or sorted({name for one in broken for name in one.needs(row)})


def _single(row: Row, broken: list[Relation], held: list[Relation]) -> dict[str, tuple[float, Relation]]:
    """The columns that, each alone, can make everything hold: with the value, or its bound, and the relation that
    gives it."""
    shared = set.intersection(*(set(relation.needs(row)) for relation in broken))
    found: dict[str, tuple[float, Relation]] = {}
    for column in sorted(shared):
        for relation in sorted(broken, key=lambda one: (not one.tells(column), one.warn)):
            value = relation.solve(row, column)
            if value is None:
                continue
            changed = with_value(row, column, value)
            if all(one.holds(changed) for one in (*broken, *held)):
                found[column] = (value, relation)
                break
    return found


def _recompute(row: Row, relations: list[Relation], weak: Mapping[str, str]) -> list[Correction]:
    """The weak figures anew, each by a relation that is broken, or becomes so by another's correction, in which it is
    the only weak one left; none from figures that another relation goes on to contradict."""
    changed, by = row, dict[str, Relation]()
    progress = True
    while progress:
        progress = False
        for relation in sorted(relations, key=lambda one: sum(name in weak for name in one.needs(row))):
            open_ = [name for name in relation.needs(changed) if name in weak and name not in by]
            value = relation.solve(changed, open_[0]) if len(open_) == 1 and not relation.holds(changed) else None
            if value is not None:
                changed, progress, by[open_[0]] = with_value(changed, open_[0], value), True, relation
    doubtful = {name for relation in relations if not relation.holds(changed)
                for name in relation.needs(changed)}
    return [Correction(name, row.figures[name], changed.figures[name], weak[name]) for name, relation in by.items()
            if not doubtful & {*relation.needs(row), name}]


def _prices(row: Row, found: Iterable[Correction]) -> list[Correction]:
    """Prices that were worked out from a corrected rate, at the same hourly price."""
    by_name = {correction.figure: correction for correction in found}
    prices = []
    for price, rate in _PRICED_BY.items():
        value, correction = row.figures.get(price), by_name.get(rate)
        if value and correction and correction.corrected > 0 and price not in by_name:
            prices.append(Correction(price, value, value * correction.published / correction.corrected,
                                     f"the same hourly price over {correction.corrected:.4g} {rate}"))
    return prices
