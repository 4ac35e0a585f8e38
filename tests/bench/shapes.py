"""The pictures of docs/load-shapes.md, from real runs on the emulator: asked against achieved, and a stall seen twice.

    python -m tests.bench.shapes [--into docs/images]

Seven shapes, three traces and two views of a server that stands still for two seconds; six minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from fmload.base.resources import resource
from fmload_analysis.document.document import Axis, Chart, Point, Rule, Series
from fmload_analysis.document.plots import save
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections.arrivals import asked_and_sent
from fmload_analysis.run import open_run
from fmload_analysis.verdict.table import StageResult
from tests.load_rig import emulator, run_file, sweep

RATE, WINDOW_S, USERS, STALL_AT_S, STALL_S = 20.0, 24.0, 8, 12.0, 2.0
PHASES: dict[str, Any] = {"ramp": 0, "warmup": "1s", "window": f"{WINDOW_S:g}s", "drain": "10s", "workers": 2}
SHAPES: dict[str, Any] = {
    "constant": "constant", "poisson": "poisson", "gamma, burstiness 0.25": {"process": "gamma", "burstiness": 0.25},
    "ramp": {"process": "ramp", "from": 0.1, "over": "16s"},
    "step": {"process": "step", "levels": [0.25, 1, 0.5], "every": "6s", "repeat": True},
    "diurnal": {"process": "diurnal", "period": "12s", "low": 0.1},
}
TRACES = {"azure_trace": "azure.csv", "burstgpt": "burstgpt.csv", "mooncake": "mooncake.jsonl"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run everything, write the pictures, print what they show."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shapes", description=__doc__)
    parser.add_argument("--into", type=Path, default=None, help="folder of the pictures; none are kept without it")
    into, told = parser.parse_args(argv).into, Table("stage", "asked", "sent", "late p50", "late p99", box=None)
    with tempfile.TemporaryDirectory(prefix="fmload-shapes-") as folder:
        target = into or Path(folder)
        open_loops = {name: _measured(Path(folder), {"rate": [RATE], "arrivals": arrivals, **PHASES})
                      for name, arrivals in SHAPES.items()}
        traces = {name: _measured(Path(folder), {"trace": {"speed": 4}, **{**PHASES, "window": "40s"}},
                                  {"source": name, "files": [str(resource("configs", f"traces/{file}"))]})
                  for name, file in TRACES.items()}
        closed = _measured(Path(folder), {"concurrency": [USERS], **PHASES, "ramp": "8s", "warmup": 0})
        save(_gallery("load-shapes", "Arrivals asked for and sent", open_loops), target)
        save(_gallery("traces", "Arrivals of traces at four times their speed, asked for and sent", traces), target)
        save(_closed(closed), target)
        for name, result in {**open_loops, **traces}.items():
            told.add_row(name, *_figures(result))
        Console().print(told)
        stalled = {"closed loop, 8 users": _measured(Path(folder), {"concurrency": [USERS], **PHASES}, stall=True),
                   "open loop, the same rate": _measured(Path(folder), {"rate": [35], "arrivals": "poisson", **PHASES},
                                                         stall=True)}
        save(_stall(stalled), target)
        Console().print(_stall_table(stalled))
    return 0


def _measured(folder: Path, load: Mapping[str, Any], prompts: Mapping[str, Any] | None = None, *,
              stall: bool = False) -> StageResult:
    """One stage, run by real workers."""
    source = prompts or {"source": "synthetic", "input_tokens": 20, "output_tokens": 8, "count": 2000}
    fault = ["--stall-at", f"{STALL_AT_S:g}s", "--stall-for", f"{STALL_S:g}s"] if stall else []
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        place = Path(inner)
        with emulator(place, "--ttft", "150ms", "--gap", "10ms", *fault) as server:
            path = run_file(place, {"emulated": server.url}, dict(load), prompts=[{"name": "p", **source}])
            with sweep(place, path) as run:
                if run.process.wait(300):
                    raise SystemExit(run.output())
        result, = analyse_run(open_run(run.results.root)).results
    return result


def _gallery(name: str, title: str, results: Mapping[str, StageResult]) -> Chart:
    series = [replace(each, panel=shape) for shape, result in results.items() for each in asked_and_sent(result)]
    return Chart(name, title, "xy", Axis("Time since the window opened", "s"), Axis("Arrivals", "1/s"), series)


def _closed(result: StageResult) -> Chart:
    """Users over the ramp, as asked: one after the other; and requests in flight, a mean of each second."""
    ramp_s, timeline = result.summary.stage.ramp_s, result.summary.timeline
    asked = [Point(-ramp_s + ramp_s * user / USERS, user + step) for user in range(USERS) for step in (0, 1)]
    held = [Point(float(second) + 0.5, float(value)) for second, value in
            zip(timeline.second, timeline.in_flight, strict=True) if second + 1 <= WINDOW_S]
    series = [Series("asked", [*asked, Point(WINDOW_S, float(USERS))], 0, bare=True),
              Series("in flight", held, 1, dash=1, bare=True)]
    return Chart("closed-loop", "A closed loop: users asked for, and requests in flight", "xy",
                 Axis("Time since the window opened", "s"), Axis("Requests"), series)


def _figures(result: StageResult) -> list[str]:
    evidence, summary = result.summary.evidence, result.summary
    late = (evidence.send_lateness_p50_s or 0.0, evidence.send_lateness_p99_s or 0.0)
    return [str(summary.asked), str(result.totals.started), *(f"{1e3 * each:.2f} ms" for each in late)]


def _stall(results: Mapping[str, StageResult]) -> Chart:
    """E2E latency of every request, from when it was due, by when that was."""
    series = [Series("requests", list(_dots(result)), place, panel=name, joined=False)
              for place, (name, result) in enumerate(results.items())]
    return Chart("stall", f"A server that stands still for {STALL_S:g} s", "xy",
                 Axis("Time since the window opened", "s"), Axis("E2E latency from the due time", "s"), series,
                 [Rule("y", STALL_S, "the stall")])


def _dots(result: StageResult) -> Iterator[Point]:
    sample = result.summary.sample
    for begun, latency, inside in zip(sample.begun_s, sample.metrics["e2e_scheduled"], sample.in_window, strict=True):
        if inside and np.isfinite(latency):
            yield Point(float(begun), float(latency))


def _stall_table(results: Mapping[str, StageResult]) -> Table:
    table = Table("view", "requests", "in the stall's way", "E2E p50", "p90", "p99", "max", box=None)
    for name, result in results.items():
        latencies = np.array([point.y for point in _dots(result)])
        hit = int((latencies > np.median(latencies) + 0.2).sum())
        table.add_row(name, str(len(latencies)), f"{hit} ({hit / len(latencies):.1%})",
                      *(f"{1e3 * float(np.quantile(latencies, p)):.0f} ms" for p in (0.5, 0.9, 0.99, 1.0)))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
