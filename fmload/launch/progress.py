"""What a person sees while a run goes on: the stage, the time left, live latencies and throughput."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fmload.base.redaction import printable
from fmload.base.units import format_duration
from fmload.live.state import spend_line, stages_in_all

Snapshot = Mapping[str, Any]
EVERY_S = 10.0  # without a terminal, a line at least so often
_TOLD_OF = ("preparing", "ramp", "window", "drain", "collecting")
RATE_OVER_S = 5  # tokens a second are a mean over so many finished seconds


def read_snapshot(path: Path) -> dict[str, Any] | None:
    """The snapshot that the master wrote last; None before the first."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


class Progress:
    """Shows snapshots: a live table on a terminal; elsewhere a line for each new phase, and one every ten seconds. What
    a stage came to stays in a line either way."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._console = console
        self._clock = clock
        self._said_s = clock()
        self._stages: tuple[int, ...] = ()
        self._labels: tuple[str, ...] = ()
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last: tuple[str, tuple[int, ...]] | None = None
        self._told: set[str] = set()

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Show the newest state; a warning of it is said once."""
        for told in snapshot.get("run", {}).get("warnings", ()):
            if told not in self._told:
                self._told.add(told)
                self.say(f"warning: {told}")
        self._tell_of_ended_stages(snapshot)
        if self._live:
            self._live.update(render(snapshot, time.monotonic_ns()))
            return
        run = snapshot.get("run", {})
        now = (run.get("phase", ""), tuple(run.get("stages", ())))
        if now != self._last and run.get("phase") in _TOLD_OF:
            self._last = now
            self.say(line(run))
        else:
            self.say_at_times(lambda: standing(snapshot, time.monotonic_ns()))

    def say_at_times(self, text: Callable[[], str]) -> None:
        """A line that stays, unless another came within the last ten seconds."""
        if self._clock() - self._said_s >= EVERY_S and (words := text()):
            self.say(words)

    def _tell_of_ended_stages(self, snapshot: Snapshot) -> None:
        """The figures of stages that were on and are no longer."""
        run = snapshot.get("run", {})
        stages = tuple(run.get("stages", ()))
        if stages == self._stages:
            return
        rows = {row["stage"]: row for row in snapshot.get("groups", ())}
        for stage, label in zip(self._stages, self._labels, strict=True):
            if stage in rows:
                self.say(f"  {label}: {figures(rows[stage])} (ramp and warm-up included)")
        self._stages, self._labels = stages, tuple(run.get("labels", ("",) * len(stages)))

    def say(self, text: str) -> None:
        """A line that stays."""
        self._said_s = self._clock()
        self._console.print(printable(text), highlight=False, soft_wrap=True, markup=False)


def standing(snapshot: Snapshot, now_ns: int) -> str:
    """How the stages that are on stand, in a line; before the first, what is waited for, empty where it is nothing."""
    run = snapshot.get("run", {})
    if not run.get("labels"):
        return f"{line(run)}: waits for {run['waits_for']}" if run.get("waits_for") else ""
    rows = [row for row in snapshot.get("groups", ()) if row["stage"] in run.get("stages", ())]
    waits = f"; waits for {run['waits_for']}" if run.get("waits_for") else ""
    left = _left(run, now_ns)
    return f"{line(run)}{f', {left}' if left else ''}{waits}: {' | '.join(map(figures, rows)) or 'no answer yet'}"


def figures(row: Mapping[str, Any]) -> str:
    """`120 requests, 1 error, TTFT 131 ms, ITL 20 ms, E2E 1.2 s`: medians of a row of the live state."""
    errors = sum(row["errors"].values())
    medians = [f"{label} {format_duration(row[key])}" for label, key in
               (("TTFT", "ttft_p50_s"), _gap(row), ("E2E", "e2e_p50_s")) if row.get(key) is not None]
    told = [f"{row['requests']:,} {'request' if row['requests'] == 1 else 'requests'}",
            f"{errors:,} {'error' if errors == 1 else 'errors'}"]
    return ", ".join([*told, *medians])


def _gap(row: Mapping[str, Any]) -> tuple[str, str]:
    """ITL where it is known; the gaps between chunks in its place, as of answers that have not ended."""
    return ("ITL", "itl_p50_s") if row.get("itl_p50_s") is not None else ("ICL", "icl_p50_s")


def line(run: Mapping[str, Any]) -> str:
    """The state of the sweep in one line."""
    labels = " + ".join(run.get("labels", ()))
    at = f"stage {run.get('stages_done', 0) + 1} of {stages_in_all(run)}" if labels else ""
    return "  ".join(word for word in (at, labels, run.get("phase", "")) if word)


def render(snapshot: Snapshot, now_ns: int) -> Group:
    """The live view: sweep, time left, what is on, and one row for each endpoint and prompt set. Fits 80 columns."""
    run = snapshot.get("run", {})
    return Group(_sweep(run, now_ns), *_now(snapshot), _lanes(snapshot, set(run.get("stages", ()))))


def _sweep(run: Mapping[str, Any], now_ns: int) -> Table:
    grid = Table.grid(padding=(0, 2))
    total = max(1, run.get("stages_in_all", 1))
    grid.add_row(ProgressBar(total=total, completed=run.get("stages_done", 0), width=16),
                 Text(f"{run.get('stages_done', 0)} of {stages_in_all(run)} stages"),
                 Text(run.get("phase", ""), style="bold"), Text(_left(run, now_ns)))
    return grid


def _left(run: Mapping[str, Any], now_ns: int) -> str:
    """Time left of the phase, and of all phases where the plan says it."""
    if not run.get("until_ns"):
        return ""
    most = "at most " if run.get("waits_for") else ""
    left_s, after_s = max(0.0, (run["until_ns"] - now_ns) / 1e9), run.get("after_s")
    whole = f", {format_duration(round(left_s + after_s))} in all" if after_s else ""
    return f"{most}{format_duration(round(left_s)) if left_s >= 1 else '1 s'} left{whole}"


def _now(snapshot: Snapshot) -> list[Text]:
    """The stages that are on and what they wait for, and the rate of tokens."""
    run = snapshot.get("run", {})
    words = (" + ".join(run.get("labels", ())), run.get("waits_for", ""))
    lines = [Text(one, style="cyan") for one in words if one]
    if series := snapshot.get("series", ())[-RATE_OVER_S:]:
        rate = sum(point["output_tokens"] for point in series) / len(series)
        lines.append(Text(f"{rate:,.0f} output tokens/s, {series[-1]['in_flight'] or 0:.0f} requests in flight"))
    lines += [Text(told)] if (told := spend_line(run)) else []
    return lines


def _lanes(snapshot: Snapshot, stages: set[int]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("endpoint, prompts", overflow="fold")
    for title in ("requests", "errors", "TTFT p50", "p99", "ITL p50", "p99"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in snapshot.get("groups", ()):
        if row["stage"] in stages:
            times = [format_duration(row[key]) for key in ("ttft_p50_s", "ttft_p99_s", "itl_p50_s", "itl_p99_s")]
            table.add_row(f"{row['endpoint']} {row['prompt_set']}", str(row["requests"]),
                          str(sum(row["errors"].values())), *times)
    return table
