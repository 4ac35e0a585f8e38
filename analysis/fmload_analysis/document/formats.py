"""Numbers as the report writes them; what is absent is `n/a`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fmload_analysis.document.document import Cell, Mark

ABSENT = "n/a"
Format = Callable[[float], str]


def is_absent(value: object) -> bool:
    """True for None and for NaN, which is how a data frame says None."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def text(value: float | None, form: Format) -> str:
    """`form(value)`, or `n/a`."""
    return ABSENT if value is None or is_absent(value) else form(float(value))


def cell(value: float | None, form: Format, mark: Mark | None = None, title: str | None = None) -> Cell:
    """A numeric cell that sorts by its full value."""
    if value is None or is_absent(value):
        return Cell(ABSENT, None, None, title)
    return Cell(form(float(value)), float(value), mark, title)


def name(value: object) -> Cell:
    """A cell of text; blank when absent."""
    plain = "" if is_absent(value) else str(value)
    return Cell(plain, plain or None)


def significant(value: float, digits: int = 3) -> str:
    """`digits` significant digits without an exponent: 0.00316, 12.3, 4,570."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "∞"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def count(value: float) -> str:
    """Whole numbers: 12,345."""
    return f"{value:,.0f}"


def whole(value: float) -> str:
    """Without separators: 429."""
    return f"{value:.0f}"


def several(number: int, thing: str) -> str:
    """1 stage, 2 stages."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def first(told: Sequence[str], between: str = " ", most: int = 3) -> str:
    """The first few sentences, and how many more there are; with another `between`, parts of one sentence."""
    more = len(told) - most
    rest = f"And {more} more below." if between == " " else f"and {more} more below"
    return between.join([*told[:most], rest] if more > 0 else told)


def listed(names: Sequence[str], most: int = 4) -> str:
    """`a, b, c and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def seconds(value: float) -> str:
    """Seconds in three digits, without the unit, for columns that name it."""
    return significant(value)


def milliseconds(value: float) -> str:
    """Seconds written as milliseconds, without the unit."""
    return significant(value * 1000)


def duration(value: float) -> str:
    """With the unit that suits: 850 µs, 12.3 ms, 3.46 s, 2 m 05 s, 1 h 20 m."""
    if value < 0:
        return f"−{duration(-value)}"
    if 0 < value < 1e-3:
        return f"{significant(value * 1e6)} µs"
    if value < 1:
        return f"{significant(value * 1e3)} ms"
    if value < 60:
        return f"{significant(value)} s"
    if value < 3600:
        return f"{int(value // 60)} m {int(value % 60):02d} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} m"


def limit(value_s: float) -> str:
    """A duration as people set it: 2 s, 500 ms."""
    return f"{value_s * 1000:g} ms" if value_s < 1 else f"{value_s:g} s"


def percent(value: float) -> str:
    """A share of one as percent: 0 %, 0.4 %, 12 %."""
    return f"{significant(value * 100, 2) if abs(value) < 0.1 else f'{value * 100:.0f}'} %"


def of_unit(unit: str, other: Format = significant) -> Format:
    """How a figure is shown with its unit, where it has one: 101 ms, 0.4 %, $0.42."""
    return {"s": duration, "s/token": duration, "share": percent, "USD": usd}.get(unit, other)


def usd(value: float) -> str:
    """Dollars: cents from one dollar on, three digits below: $1,234.50, $0.00317."""
    return f"${value:,.2f}" if value == 0 or abs(value) >= 1 else f"${significant(value)}"
