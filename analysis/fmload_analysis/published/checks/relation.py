"""A relation: columns of one row that must fit together, by how much they do not, and what each would be if it alone
were wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN
from fmload_analysis.published.rows.figure_names import exact, label
from fmload_analysis.published.rows.published import Row

EXACT, EXACT_FAIL = 0.01, 0.05  # sums and quotients that a program wrote with all digits
_DECADES = 7
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class Relation:
    """`off` is the relative difference of the two sides, signed, 0 within what the relation allows; None where the row
    lacks a column. Beyond `warn` it is broken."""

    name: str
    group: int
    needs: Callable[[Row], tuple[str, ...]]  # the told columns it takes; none: it cannot be checked
    off: Callable[[Row], float | None]
    sentence: Callable[[Row], str]
    warn: float = CLOSE
    fail: float = FAR
    solvable: bool = True
    supports_only: bool = False  # holds by the tool's arithmetic where chunks are tokens; broken it says nothing
    finding_only: bool = False  # what it finds is no contradiction: a server that did not keep up
    exact: Callable[[Row], float | None] | None = None  # the two sides' difference without what is allowed
    gives: tuple[str, ...] | None = None  # the columns whose value it tells; None: all; of the rest it tells a bound

    def __post_init__(self) -> None:
        object.__setattr__(self, "off", _where_defined(self.off))
        object.__setattr__(self, "needs", _of_defined(self.needs, self.off))
        if self.exact:
            object.__setattr__(self, "exact", _where_defined(self.exact))

    def holds(self, row: Row) -> bool:
        """Whether the columns agree within `warn` and what rounding allows; True where it cannot be checked."""
        off = self.off(row)
        return off is None or abs(off) <= self.warn + self.slack(row)

    def result(self, row: Row) -> str:
        """PASS, WARN or FAIL."""
        size = abs(self.off(row) or 0.0) - self.slack(row)
        return PASS if size <= self.warn else WARN if size <= self.fail or self.finding_only else FAIL

    def tells(self, column: str) -> bool:
        """Whether the column's value follows from the others, and not only a bound of it."""
        return self.solvable and (self.gives is None or column in self.gives)

    def slack(self, row: Row) -> float:
        """What rounding of the columns may account for."""
        base = self.off(row) if row.steps else None
        if base is None:
            return 0.0
        total = 0.0
        for column in self.needs(row):
            step = row.step(column)
            if step:
                moved = (self.off(with_value(row, column, row.figures[column] + by)) for by in (step, -step))
                total += max((abs(off - base) for off in moved if off is not None), default=0.0)
        return total

    def solve(self, row: Row, column: str) -> float | None:
        """The nearest value of the column with which the relation holds, all others kept; None where there is none."""
        if not self.solvable or column not in row.figures:
            return None
        start, difference = row.figures[column], self.exact or self.off
        sign = _sign(difference(row))
        if sign is None or sign == 0 or start < 0:
            return None if sign is None or start < 0 else start
        for factor in _outward():
            far = start * factor if start else factor
            reached = _sign(difference(with_value(row, column, far)))
            if reached is not None and reached != sign:
                return self._between(row, column, start or far / 1e3, far, sign)
        return 0.0 if _sign(difference(with_value(row, column, 0.0))) == 0 else None

    def _between(self, row: Row, column: str, wrong: float, right: float, sign: int) -> float:
        difference = self.exact or self.off
        for _ in range(_HALVINGS):
            middle = (wrong * right) ** 0.5
            if _sign(difference(with_value(row, column, middle))) == sign:
                wrong = middle
            else:
                right = middle
        return right


def _where_defined(off: Callable[[Row], float | None]) -> Callable[[Row], float | None]:
    """None where the arithmetic is not defined: a figure of 0 below a line, or one too large."""
    def defined(row: Row) -> float | None:
        try:
            return off(row)
        except (ZeroDivisionError, OverflowError, ValueError):
            return None

    return defined


def _of_defined(needs: Callable[[Row], tuple[str, ...]],
                off: Callable[[Row], float | None]) -> Callable[[Row], tuple[str, ...]]:
    def defined(row: Row) -> tuple[str, ...]:
        return () if off(row) is None else needs(row)

    return defined


def _outward() -> list[float]:
    """Factors from near to far, down and up."""
    return [10.0 ** (direction * step / 4) for step in range(1, 4 * _DECADES) for direction in (-1, 1)]


def _sign(off: float | None) -> int | None:
    return None if off is None else (off > 1e-12) - (off < -1e-12)


def with_value(row: Row, column: str, value: float) -> Row:
    """The row with another value in one column."""
    return replace(row, figures={**row.figures, column: value})


def told(row: Row, *names: str) -> tuple[str, ...]:
    """The told columns behind all of these figures; none when one of them is unknown."""
    found = [row.columns(name) for name in names]
    return tuple(dict.fromkeys(column for columns in found for column in columns)) if all(found) else ()


def product(name: str, group: int, powers: Mapping[str, int], scale: float = 1.0, *, warn: float = EXACT,
            fail: float = EXACT_FAIL) -> Relation:
    """Figures whose product, each to its power of ±1 and times `scale`, is 1."""

    def needs(row: Row) -> tuple[str, ...]:
        columns = told(row, *powers)
        return columns if columns and len(columns) >= len(powers) and all(row.value(name) for name in powers) else ()

    def off(row: Row) -> float | None:
        values = {name: row.value(name) for name in powers}
        if any(not value or value < 0 for value in values.values()):
            return None
        total = scale
        for figure, value in values.items():
            total *= (value or 0.0) ** powers[figure]
        return total - 1

    def sentence(row: Row) -> str:
        above = [_told(row, figure) for figure, power in powers.items() if power > 0]
        below = [_told(row, figure) for figure, power in powers.items() if power < 0]
        return f"{' × '.join(above)} against {' × '.join(below) or '1'}: {off(row) or 0.0:+.1%}."

    return Relation(name, group, needs, off, sentence, warn, fail)


def total(name: str, group: int, whole: str, parts: Mapping[str, int], *, warn: float = EXACT,
          fail: float = EXACT_FAIL) -> Relation:
    """A figure that is the sum of others, each with its sign."""

    def needs(row: Row) -> tuple[str, ...]:
        columns = told(row, whole, *parts)
        return columns if len(columns) > len(parts) else ()

    def off(row: Row) -> float | None:
        values = [row.value(part) for part in parts]
        entire = row.value(whole)
        if entire is None or any(value is None for value in values):
            return None
        made = sum((value or 0.0) * sign for value, sign in zip(values, parts.values(), strict=True))
        size = max(abs(entire), abs(made))
        return (entire - made) / size if size else 0.0

    def sentence(row: Row) -> str:
        return f"{_told(row, whole)} against {' + '.join(_told(row, part) for part in parts)}: {off(row) or 0.0:+.1%}."

    return Relation(name, group, needs, off, sentence, warn, fail)


def _told(row: Row, figure: str) -> str:
    value = row.value(figure)
    return f"{label(figure)} {exact(figure, value)}" if value is not None else label(figure)
