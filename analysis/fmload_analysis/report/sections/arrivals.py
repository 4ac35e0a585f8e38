"""Arrivals of an open loop: what the schedule asked for, and what was sent."""

from __future__ import annotations

import math

import numpy as np

from fmload.metrics.definitions import Floats, Ints
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Cell, Chart, Column, Paragraph, Point, Section, Series, Table
from fmload_analysis.document.formats import cell
from fmload_analysis.document.questions import QUEUE
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

MOST_PANELS = 9
MOST_BINS = 120
LEAST_COUNTS = 10  # seconds, below which a variance says nothing

_COLUMNS = (
    *STAGE_COLUMNS, Column("Asked", "requests", "Due inside the window"), Column("Sent", "requests"),
    Column("Late", "requests", "Sent more than 10 ms after they were due"),
    Column("Never sent", "requests", "Due inside the window, and no worker came to send them"),
    Column("Asked", "1/s"), Column("Sent", "1/s"),
    Column("Dispersion asked", title="Variance ÷ mean of the counts by the second: 0 even, 1 Poisson, above it bursts"),
    Column("Dispersion sent"), Column("Late p50", "ms"), Column("Late p99", "ms"))


def render(analysis: Analysis) -> Section | None:
    """A panel a stage with asked and sent arrivals over time, and their figures. None in closed loops."""
    open_loops = [result for result in analysis.results if result.summary.asked_s is not None]
    if not open_loops:
        return None
    places = np.linspace(0, len(open_loops) - 1, min(len(open_loops), MOST_PANELS))
    shown = [open_loops[round(place)] for place in places.tolist()]
    series = [each for result in shown for each in asked_and_sent(result)]
    chart = Chart("arrivals", "Arrivals asked for and sent", "xy", Axis("Time since the window opened", "s"),
                  Axis("Arrivals", "1/s"), series)
    return Section("arrivals", "Arrivals", [Paragraph(_EXPLAINED), chart,
                                            Table(_COLUMNS, [_row(result) for result in open_loops])], QUEUE)


_EXPLAINED = (
    "The schedule says when each request is due, whatever the answers do; it is made before the load, and never moved. "
    "Where **sent** leaves **asked**, the client was late, and latencies from the schedule (scheduled TTFT and E2E) "
    "hold what those from the send do not.")


def _row(result: StageResult) -> list[Cell]:
    summary, window_s = result.summary, result.totals.window_s
    asked, sent = _by_second(result)
    evidence, started = summary.evidence, result.totals.started
    return [*stage_cells(result), cell(summary.asked, formats.count), cell(started, formats.count),
            cell(evidence.late, formats.count, "warn" if evidence.late else None),
            cell(summary.never_sent, formats.count, "bad" if (summary.never_sent or 0) > 1 else None),
            cell(summary.offered_per_s, formats.significant), cell(started / window_s, formats.significant),
            cell(_dispersion(asked), formats.significant), cell(_dispersion(sent), formats.significant),
            cell(evidence.send_lateness_p50_s, formats.milliseconds),
            cell(evidence.send_lateness_p99_s, formats.milliseconds)]


def _by_second(result: StageResult) -> tuple[Ints, Ints]:
    """Requests asked for and sent in each whole second of the window."""
    timeline, seconds = result.summary.timeline, np.arange(int(result.totals.window_s))
    sent = dict(zip(timeline.second.tolist(), timeline.sent.tolist(), strict=True))
    asked = np.histogram(_asked(result), bins=np.arange(len(seconds) + 1))[0] if len(seconds) else seconds
    return asked, np.array([sent.get(int(second), 0) for second in seconds])


def _dispersion(counts: Ints) -> float | None:
    if len(counts) < LEAST_COUNTS or not counts.any():
        return None
    return float(counts.var(ddof=1) / counts.mean())


def asked_and_sent(result: StageResult) -> list[Series]:
    """Rates over time from the stage's first arrival to the window's end, in bins of whole seconds."""
    timeline, asked, end_s = result.summary.timeline, _asked(result), result.totals.window_s
    begin = math.floor(min([0.0, *asked[:1].tolist(), *timeline.second[:1].tolist()]))
    width = max(1, math.ceil((end_s - begin) / MOST_BINS))
    edges = np.arange(begin, max(end_s - width / 2, begin + width / 2) + width, width)
    sent, _ = np.histogram(timeline.second, bins=edges, weights=timeline.sent)
    due, _ = np.histogram(asked, bins=edges)
    stage = result.summary.stage
    panel = f"{stage.stage}: {stage.endpoint} · {stage.prompt_set} · {arrivals_label(result)}"
    return [Series("asked", _points(edges, due / width), 0, panel=panel, bare=True),
            Series("sent", _points(edges, sent / width), 1, dash=1, panel=panel, bare=True)]


def arrivals_label(result: StageResult) -> str:
    """`poisson 20/s`, `ramp 20/s`, `trace ×2`."""
    stage = result.summary.stage
    process = (stage.load.arrivals or {}).get("process")
    return f"{process} {stage.load.value:g}/s" if process else stage.load_label


def _points(edges: Ints, rates: Floats) -> list[Point]:
    middles = (edges[:-1] + edges[1:]) / 2
    return [Point(float(middle), float(rate)) for middle, rate in zip(middles, rates, strict=True)]


def _asked(result: StageResult) -> Floats:
    asked = result.summary.asked_s
    return np.array([]) if asked is None else asked
