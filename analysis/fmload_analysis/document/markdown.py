"""Sections as Markdown: tables as tables, charts as pictures beside the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fmload.base import neutral
from fmload.base.redaction import printable
from fmload_analysis.document.document import (
    SYMBOLS,
    Block,
    Bullets,
    Callout,
    Cell,
    Chart,
    Code,
    Column,
    Fact,
    FactList,
    Paragraph,
    Section,
    Table,
)

FIGURES = "figures"


def render(title: str, sections: Sequence[Section]) -> str:
    """The whole report, one heading a section, ending with a newline."""
    parts = [f"# {neutral.markdown(title)}", *(_section(section) for section in sections)]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> str:
    blocks = (block(item) for item in section.blocks)
    return "\n\n".join([f"## {neutral.markdown(section.title)}", *(text for text in blocks if text)])


def block(item: Block) -> str:
    """One block; an empty string when there is nothing to say."""
    return _RENDERERS[type(item)](item)


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    """A pipe table of the columns that are not detail; bad values are bold, and marks are symbols."""
    shown = [index for index, column in enumerate(columns) if not column.detail]
    head = [_heading(columns[index]) for index in shown]
    rule = ["---:" if columns[index].numeric else "---" for index in shown]
    body = [[_cell(row[index]) for index in shown] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _heading(column: Column) -> str:
    return escape(f"{column.label} ({column.unit})" if column.unit else column.label)


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.mark is None:
        return text
    return f"{SYMBOLS[cell.mark]} {f'**{text}**' if cell.mark == 'bad' else text}"


def escape(text: str) -> str:
    """Text that stays in its table cell."""
    return " ".join(neutral.markdown(text).replace("|", "\\|").split())


def _facts(item: FactList) -> str:
    facts = [*([item.badge] if item.badge else []), *item.facts]
    rows = [[Cell(fact.label), Cell(_fact(fact))] for fact in facts]
    listed = table([Column("Information", numeric=False), Column("Value", numeric=False)], rows) if rows else ""
    return "\n\n".join(part for part in (neutral.markdown(item.lead or ""), listed) if part)


def _fact(fact: Fact) -> str:
    symbol = f"{SYMBOLS[fact.mark]} " if fact.mark else ""
    return f"{symbol}{fact.value}" + (f" ({fact.remark})" if fact.remark else "")


def _table(item: Table) -> str:
    if not item.rows:
        return ""
    listed = table(item.columns, item.rows)
    if item.folded:
        return _folded(item.caption, listed)
    return f"{neutral.markdown(item.caption)}\n\n{listed}" if item.caption else listed


def _folded(caption: str, text: str) -> str:
    """Behind a line that opens it, where the reader of the Markdown can do that."""
    plain = neutral.markdown(caption).replace("`", "").replace("**", "")
    return f"<details><summary>{plain}</summary>\n\n{text}\n\n</details>"


def _callout(item: Callout) -> str:
    kind = {"bad": "CAUTION", "warn": "WARNING", "good": "TIP", "note": "NOTE"}[item.mark]
    body = neutral.markdown(item.text).replace("\n", "\n> ")
    return f"> [!{kind}]\n> **{neutral.markdown(item.title)}**" + (f"\n> {body}" if body else "")


def _chart(item: Chart) -> str:
    if not any(series.points for series in item.series):
        return ""
    picture = f"![{escape(item.title)}]({FIGURES}/{item.name}.png)"
    return f"{picture}\n\n{neutral.markdown(item.note)}" if item.note else picture


def _code(item: Code) -> str:
    fence = "`" * max(3, _longest_run(item.text) + 1)
    body = f"{fence}{item.language}\n{printable(item.text.rstrip())}\n{fence}"
    return _folded(item.caption, body) if item.caption else body


def _longest_run(text: str) -> int:
    return max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)


_RENDERERS: dict[type[Any], Callable[[Any], str]] = {
    Paragraph: lambda item: neutral.markdown(item.text),
    Bullets: lambda item: "\n".join(f"- {neutral.markdown(text)}" for text in item.items),
    Callout: _callout,
    FactList: _facts,
    Table: _table,
    Chart: _chart,
    Code: _code,
}
