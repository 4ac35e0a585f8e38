"""What plain Locust says of a run: how long its stages take, what kept it from beginning, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from fmload.base.units import format_duration
from fmload.model.stage import Stage

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


def ended(snapshot: Mapping[str, Any], stages: Sequence[Stage], root: Path) -> tuple[Table, str]:
    """A row for each stage, by the live figures (ramp and warm-up included), and what makes the report."""
    loads = {stage.stage: stage.load.text for stage in stages}
    table = Table("endpoint", "prompts", "load", box=None, pad_edge=False)
    shown = [(label, key) for label, key in _LATENCIES
             if any(row.get(key) is not None for row in snapshot.get("groups", ()))]
    for label in ("requests", "errors", *(label for label, _ in shown)):
        table.add_column(label, justify="right", no_wrap=True)
    for row in snapshot.get("groups", ()):
        table.add_row(row["endpoint"], row["prompt_set"], loads.get(row["stage"], ""), f"{row['requests']:,}",
                      f"{sum(row['errors'].values()):,}", *(format_duration(row[key]) for _, key in shown))
    return table, (f"results: {root}\nthe report, over the measured windows alone:  fmload report {root}")


def show_failure(environment: Any, told: str) -> None:
    """What kept a run from beginning, or ended it, on the page's Failures tab, and in the headless end's list."""
    environment.stats.log_error("start", "fmload", told.replace("\n", "; "))
