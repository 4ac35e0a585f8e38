"""Columns of a table that is wider than the terminal, in blocks below each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console, ConsoleOptions, RenderableType

Column = TypeVar("Column")
Build = Callable[[Sequence[Column], bool], RenderableType]  # columns, and whether it is the first block → its table


def in_blocks(columns: Sequence[Column], build: Build[Column], console: Console,
              options: ConsoleOptions) -> list[RenderableType]:
    """One table where all columns fit, else a second below it, and so on, each as full as it may be: no column is cut.
    `build` adds to each what tells its rows apart."""
    blocks: list[list[Column]] = [[]]
    for column in columns:
        table = build([*blocks[-1], column], len(blocks) == 1)
        wide = console.measure(table, options=options.update(max_width=10_000)).maximum > options.max_width
        if wide and blocks[-1]:
            blocks.append([])
        blocks[-1].append(column)
    return [build(block, place == 0) for place, block in enumerate(blocks)]
