"""The tables of a Markdown text."""

from __future__ import annotations

import re

_SEPARATOR = re.compile(r"\|[\s:|-]+\|?")


def tables(text: str) -> list[list[list[str]]]:
    """All tables, each as rows of cells, the separator line left out, emphasis and HTML tags removed."""
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
            found[-1].append([_plain(cell) for cell in line.strip("|").split("|")])
    return found


def _plain(cell: str) -> str:
    return re.sub(r"<[^>]+>|\*\*|`", "", cell).strip()


def number(cell: str) -> float | None:
    """A cell's number without markup, `$`, `,` and `%`; None where it holds none."""
    try:
        return float(_plain(cell).replace("$", "").replace(",", "").removesuffix("%").strip())
    except ValueError:
        return None


def known(figures: dict[str, float | None]) -> dict[str, float]:
    """Those figures that are told (NaN is not)."""
    return {name: value for name, value in figures.items() if value is not None and value == value}
