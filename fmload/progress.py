"""What a person sees while a run goes on: the stage, the time left, live latencies and throughput."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fmload.units import format_duration

Snapshot = Mapping[str, Any]
RATE_OVER_S = 5  # tokens a second are a mean over so many finished seconds


def read_snapshot(path: Path) -> dict[str, Any] | None:
    """The snapshot that the master wrote last; None before the first."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


class Progress:
    """Shows snapshots: a live table on a terminal, a line for each new phase elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last: tuple[str, tuple[int, ...]] | None = None

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Show the newest state."""
        if self._live:
            self._live.update(render(snapshot, time.monotonic_ns()))
            return
        run = snapshot.get("run", {})
        now = (run.get("phase", ""), tuple(run.get("stages", ())))
        if now != self._last and run.get("phase") in ("preparing", "ramp", "window", "drain", "collecting"):
            self._last = now
            self.say(line(run))

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True)


def line(run: Mapping[str, Any]) -> str:
    """The state of the sweep in one line."""
    labels = " + ".join(run.get("labels", ()))
    at = f"stage {run.get('stages_done', 0) + 1} of {run.get('stages_in_all', 0)}" if labels else ""
    return "  ".join(word for word in (at, labels, run.get("phase", "")) if word)


def render(snapshot: Snapshot, now_ns: int) -> Group:
    """The live view: sweep, time left, and one row for each stage that is on."""
    run = snapshot.get("run", {})
    return Group(_sweep(run, now_ns), _lanes(snapshot, set(run.get("stages", ()))))


def _sweep(run: Mapping[str, Any], now_ns: int) -> Table:
    grid = Table.grid(padding=(0, 2))
    total = max(1, run.get("stages_in_all", 1))
    until_ns = run.get("until_ns")
    waits_for, most = run.get("waits_for", ""), "at most " if run.get("waits_for") else ""
    left = f"{most}{format_duration(max(0.0, (until_ns - now_ns) / 1e9))} left" if until_ns else ""
    grid.add_row(ProgressBar(total=total, completed=run.get("stages_done", 0), width=24),
                 Text(f"{run.get('stages_done', 0)} of {total} stages"),
                 Text(run.get("phase", ""), style="bold"), Text(waits_for), Text(left))
    return grid


def _lanes(snapshot: Snapshot, stages: set[int]) -> Table:
    table = Table("endpoint", "prompts", box=None, pad_edge=False)
    for title in ("requests", "errors", "TTFT p50", "p99", "ITL p50", "p99", "tokens/s"):
        table.add_column(title, justify="right")
    for row in snapshot.get("groups", ()):
        if row["stage"] in stages:
            times = [format_duration(row[key]) for key in ("ttft_p50_s", "ttft_p99_s", "itl_p50_s", "itl_p99_s")]
            errors = sum(row["errors"].values())
            table.add_row(row["endpoint"], row["prompt_set"], str(row["requests"]), str(errors), *times, "")
    series = snapshot.get("series", ())[-RATE_OVER_S:]
    if series:
        rate = sum(point["output_tokens"] for point in series) / len(series)
        table.add_row("all", "", "", "", "", "", "", "", f"{rate:.0f}", style="bold")
    return table
