"""The tables of a Markdown text."""

from __future__ import annotations

import re

from fmload_analysis.published.rows.reading import plain

_SEPARATOR = re.compile(r"\|[\s:|-]+\|?")


def tables(text: str, markup: bool = False) -> list[list[list[str]]]:
    """All tables, each as rows of cells without the separator line; emphasis and HTML tags removed unless `markup`."""
    found: list[list[list[str]]] = []
    inside = False
    for line in map(str.strip, text.splitlines()):
        if not line.startswith("|"):
            inside = False
            continue
        if not inside:
            found.append([])
            inside = True
        if not _SEPARATOR.fullmatch(line):
            cells = line.strip("|").split("|")
            found[-1].append([cell.strip() if markup else plain(cell) for cell in cells])
    return [table for table in found if table and table[0]]
