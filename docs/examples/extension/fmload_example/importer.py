"""An importer: a CSV of three columns, `users,ttft_s,tokens_per_s`."""

from __future__ import annotations

import csv

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Published, Row
from fmload_analysis.published.rows.reading import Source

HEAD = "users,ttft_s,tokens_per_s"


class ThreeColumns:
    """Recognised by its first line; a row a stage."""

    @staticmethod
    def recognises(source: Source) -> bool:
        return source.text.startswith(HEAD)

    @staticmethod
    def read(source: Source) -> Published:
        rows = []
        for line, cells in enumerate(csv.DictReader(source.text.splitlines()), 2):
            figures = Figures(f"{source.path}, line {line}")
            figures.cell("concurrency", cells["users"], "users")
            figures.cell("ttft_mean", cells["ttft_s"], "ttft_s")
            figures.cell("output_tokens_per_s", cells["tokens_per_s"], "tokens_per_s")
            rows.append(Row(f"{cells['users']} users", figures.values, names=figures.names, steps=figures.steps))
        return Published("three_columns", source.path, rows)
