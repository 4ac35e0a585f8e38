"""What a report is made of: sections of blocks, said once, rendered by `markdown` and by `html`.

Texts may hold `**bold**`, `` `code` `` and `[links](url)`; whatever comes from outside goes through `literal`, or, in
a sentence, `plain`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["good", "warn", "bad"]
Kind = Literal["xy", "bar", "box"]
SYMBOLS: dict[Mark, str] = {"good": "✓", "warn": "▲", "bad": "✗"}  # a mark is never told by colour alone


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as people read it; `value` is what tables sort and filter by (None sorts last)."""

    text: str
    value: float | str | None = None
    mark: Mark | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column. A `detail` column shows in the HTML on request, and not in the Markdown; a `wide` one holds
    sentences, which wrap."""

    label: str
    unit: str = ""
    title: str = ""
    numeric: bool = True
    detail: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Callout:
    """A text that must not be missed."""

    mark: Mark | Literal["note"]
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure of a card: what it is, its value, and a remark below it."""

    label: str
    value: str
    remark: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class FactList:
    """Figures side by side; a two-column table in Markdown. `lead` is the sentence above them."""

    facts: Sequence[Fact]
    lead: str = ""
    badge: Fact | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, one cell a column. Long ones can be filtered in the HTML."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Code:
    text: str
    language: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """`categories` makes the axis one of names: a point's coordinate is then an index into them.

    `ticks` are the places worth a label, where not every place is (the levels of a sweep). `span` is the range of a
    linear axis, whatever the points: charts one under the other show the same.
    """

    label: str
    unit: str = ""
    log: bool = False
    categories: Sequence[str] = ()
    ticks: Sequence[float] = ()
    span: tuple[float, float] | None = None

    @property
    def text(self) -> str:
        """The label with its unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True, slots=True)
class Point:
    """`low` and `high` span the band or the box around `y`; `tip` is the line shown on hover; `size` is in 0–1."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    size: float | None = None
    tip: str = ""
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One name in the legend. `color`, `shape` and `dash` count through the palette, the marker shapes and the line
    styles (solid, dashed, dotted, dash-dotted).

    `joined` points are in order of x and connected by a line, on which they are marked unless it is `bare`. What lies
    between their `low` and `high` is a band, or a bar at each point with `bars`: one of which an end is None goes on to
    the edge of the chart.
    """

    name: str
    points: Sequence[Point]
    color: int = 0
    shape: int = 0
    dash: int = 0
    panel: str = ""
    joined: bool = True
    bare: bool = False
    bars: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit drawn across the chart at `value` of one axis."""

    axis: Literal["x", "y"]
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One description for two pictures: an interactive one in the HTML, a PNG for the Markdown.

    Series with a `panel` are drawn in small charts of that name with common axes. `name` is the PNG's file name.
    """

    name: str
    title: str
    kind: Kind
    x: Axis
    y: Axis
    series: Sequence[Series]
    rules: Sequence[Rule] = ()
    note: str = ""

    @property
    def panels(self) -> list[str]:
        """The panels in order of appearance; one nameless panel when no series names one."""
        return list(dict.fromkeys(series.panel for series in self.series))


Block = Paragraph | Bullets | Callout | FactList | Table | Code | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of the report; `id` is its anchor.

    `question` is the one of `document.questions` under which it is folded; without one it stands open. `gist` answers
    that question in a sentence, which stands beside it while it is folded.
    """

    id: str
    title: str
    blocks: Sequence[Block]
    question: str = ""
    gist: str = ""


def plain(text: object) -> str:
    """Prose that holds words from outside: none of it is taken for code, bold or a link."""
    line = " ".join(str(text).split()).replace("`", "'").replace("](", "] (")
    return re.sub(r"\*(?=\*)", "* ", line)


def literal(text: object) -> str:
    """Text from outside as inline code, so that nothing in it is taken for markup."""
    line = " ".join(str(text).split()).replace("`", "'")
    return f"`{line}`" if line else ""
