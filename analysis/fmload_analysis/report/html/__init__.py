"""Sections as one HTML file that needs nothing else: style, script and data stand inside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fmload_analysis.document.document import SYMBOLS, Axis, Cell, Chart, Column, Section, Table
from fmload_analysis.document.questions import chapters, opening

FILTER_FROM_ROWS = 6  # a shorter table is read faster than it is filtered
MOST_ROWS = 200  # of a longer table the others are data, which the browser makes rows of when they are wanted
FIRST_ROWS = 50  # and so many are there at once
_INLINE = re.compile(r"`([^`]+)`|\*\*(.+?)\*\*|\[([^\]]+)\]\(([^)\s]+)\)")


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The page as text. `subtitle` is the line below the title: run, date, version."""
    charts = [block for section in sections for block in section.blocks if isinstance(block, Chart)]
    return _environment().get_template("report.html.j2").render(
        title=title, subtitle=subtitle, opening=opening(sections), chapters=chapters(sections), symbols=SYMBOLS,
        style=Markup(_asset("report.css")), script=Markup(_asset("report.js")),
        data=Markup(_json({chart.name: _chart(chart) for chart in charts})))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fmload_analysis.report.html", "templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["inline"] = inline
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    environment.filters["has_points"] = lambda chart: any(series.points for series in chart.series)
    environment.filters["filterable"] = lambda table: len(table.rows) >= FILTER_FROM_ROWS
    environment.filters["has_details"] = _has_details
    environment.filters["at_once"] = lambda table: table.rows[:_at_once(table)]
    environment.filters["held"] = _held
    environment.filters["class"] = _class
    environment.filters["inner"] = _inner
    return environment


def _has_details(table: Table) -> bool:
    return any(column.detail for column in table.columns)


def _at_once(table: Table) -> int:
    return len(table.rows) if len(table.rows) <= MOST_ROWS else FIRST_ROWS


def _class(column: Column) -> str:
    return " ".join(name for name in ("num" if column.numeric else "", "wide" if column.wide else "",
                                      "detail" if column.detail else "") if name)


def _inner(cell: Cell) -> Markup:
    """What stands in a cell."""
    text = inline(cell.text)
    return Markup('<span class="symbol">{}</span> ').format(SYMBOLS[cell.mark]) + text if cell.mark else text


def _held(table: Table) -> Markup:
    """The rows that are not there at once: the classes of the columns, and of each cell its HTML, or that with its
    value, mark and title. Empty where there are none."""
    rows = [[_cell(cell) for cell in row] for row in table.rows[_at_once(table):]]
    return Markup(_json({"classes": [_class(column) for column in table.columns], "rows": rows}) if rows else "")


def _cell(cell: Cell) -> Any:
    value = cell.value if cell.value is None or isinstance(cell.value, str) else str(cell.value)
    told = [str(_inner(cell)), value, cell.mark, cell.title]
    while len(told) > 1 and told[-1] is None:
        told.pop()
    return told[0] if len(told) == 1 else told


def _asset(name: str) -> str:
    return (files("fmload_analysis.report.html") / "assets" / name).read_text(encoding="utf-8")


def inline(text: str) -> Markup:
    """Escaped text with its bold, code and links as HTML; no link but https, http and # is made."""
    if not _INLINE.search(text):  # of most cells of a large table
        return escape(text)
    parts, end = [], 0
    for match in _INLINE.finditer(text):
        parts += [escape(text[end:match.start()]), _span(match)]
        end = match.end()
    return Markup("").join([*parts, escape(text[end:])])


def _span(match: re.Match[str]) -> Markup:
    code, bold, label, target = match.groups()
    if code is not None:
        return Markup("<code>{}</code>").format(code)
    if bold is not None:
        return Markup("<strong>{}</strong>").format(inline(bold))
    if not target.startswith(("https://", "http://", "#")) and (":" in target or target.startswith("//")):
        return escape(label)
    return Markup('<a href="{}">{}</a>').format(target, label)


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return orjson.dumps(value).decode().replace("<", "\\u003c")


def _chart(chart: Chart) -> dict[str, Any]:
    return {
        "kind": chart.kind, "title": chart.title, "panels": chart.panels,
        "x": _axis(chart.x), "y": _axis(chart.y),
        "rules": [{"axis": rule.axis, "value": rule.value, "label": rule.label} for rule in chart.rules],
        "series": [
            {"name": series.name, "color": series.color, "shape": series.shape, "dash": series.dash,
             "panel": series.panel, "joined": series.joined, "bare": series.bare, "bars": series.bars,
             "points": [[*map(_short, (point.x, point.y, point.low, point.high, point.size)), point.tip, point.mark]
                        for point in series.points]}
            for series in chart.series],
    }


def _short(value: float | None) -> float | None:
    """Six significant digits: more than a screen can show, and half the size of the page."""
    return None if value is None else float(f"{value:.6g}")


def _axis(axis: Axis) -> dict[str, Any]:
    return {"label": axis.label, "unit": axis.unit, "text": axis.text, "log": axis.log,
            "categories": list(axis.categories), "ticks": list(axis.ticks), "span": axis.span}
