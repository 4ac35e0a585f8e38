"""What plain Locust says of a run: how long its stages take, what kept it from beginning, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from fmload.base.blocks import in_blocks
from fmload.base.redaction import printable
from fmload.base.units import format_duration
from fmload.model.stage import Stage

Cell = Callable[[Mapping[str, Any]], str]

_NAMES = (("endpoint", "endpoint"), ("prompts", "prompt_set"))
_LATENCIES = (("TTFT p50", "ttft_p50_s"), ("TTFT p95", "ttft_p95_s"), ("ITL p50", "itl_p50_s"),
              ("ITL p95", "itl_p95_s"), ("E2E p50", "e2e_p50_s"), ("E2E p95", "e2e_p95_s"))


def phases(stages: Sequence[Stage], users: int | None, rate: float | None, swept: bool) -> list[str]:
    """The stages and their phases, and what becomes of -u, -r and -t (`swept`: a run file or a sweep says it)."""
    first = stages[0]
    window = format_duration(first.window_s) if first.window_s is not None else f"{first.requests} requests"
    told = [f"{len(stages)} stage{'' if len(stages) == 1 else 's'} ({', '.join(one.load.text for one in stages[:8])}"
            f"{', …' if len(stages) > 8 else ''}): each {format_duration(first.ramp_s)} ramp, "
            f"{format_duration(first.warmup_s)} warm-up, {window} measured, up to {format_duration(first.drain_s)} "
            "drain"]
    if swept and (users or rate):
        told.append("-u, -r and -t are not used: the run file, or --fmload-concurrency and --fmload-window, say it")
    return told


@dataclass(frozen=True, slots=True)
class EndTable:
    """A row for each stage, by the live figures: ramp and warm-up included. Figures that no stage has are left out."""

    rows: Sequence[Mapping[str, Any]]
    loads: Mapping[int, str]  # by the stage's number

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.rows:
            yield from in_blocks(self._figures(), self._table, console, options)

    def _figures(self) -> list[tuple[str, Cell]]:
        return [("requests", lambda row: f"{row['requests']:,}"),
                ("errors", lambda row: f"{sum(row['errors'].values()):,}"),
                *((label, partial(_latency, key)) for label, key in _LATENCIES
                  if any(row.get(key) is not None for row in self.rows))]

    def _table(self, figures: Sequence[tuple[str, Cell]], first: bool) -> RenderableType:
        """With the names that differ; those that are the same everywhere stand above the first."""
        names = [(label, key) for label, key in _NAMES if len({row[key] for row in self.rows}) > 1]
        same = [printable(str(self.rows[0][key])) for _, key in _NAMES if (_, key) not in names]
        table = Table(title=" · ".join(same) if first and same else None, title_justify="left", box=None,
                      pad_edge=False)
        for label in (*(label for label, _ in names), "load"):
            table.add_column(label, overflow="fold")
        for label, _ in figures:
            table.add_column(label, justify="right", no_wrap=True)
        for row in self.rows:
            table.add_row(*(Text(printable(str(row[key]))) for _, key in names), self.loads.get(row["stage"], ""),
                          *(cell(row) for _, cell in figures))
        return table


def _latency(key: str, row: Mapping[str, Any]) -> str:
    return "n/a" if row.get(key) is None else format_duration(row[key])


def ended(snapshot: Mapping[str, Any], stages: Sequence[Stage], root: Path) -> tuple[EndTable, str]:
    """The stages, and what makes the report."""
    table = EndTable(snapshot.get("groups", ()), {stage.stage: stage.load.text for stage in stages})
    return table, f"results: {root}\nthe report, over the measured windows alone:  fmload report {root}"


def show_failure(environment: Any, told: str) -> None:
    """What kept a run from beginning, or ended it, on the page's Failures tab, and in the headless end's list."""
    environment.stats.log_error("start", "fmload", told.replace("\n", "; "))
