"""The figure of the page: errors and CPU by load, a line a tool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib

from tests.bench.peers.measured import Row, ttft_p99_ms
from tests.bench.peers.page import LIMIT_MS, OURS, itl_p99_ms, middle, of
from tests.bench.peers.result import Result

PANELS: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("TTFT: p99 of |told − true|, ms", ttft_p99_ms), ("gaps between tokens: p99 of |told − true|, ms", itl_p99_ms),
    ("CPU of the process tree, µs a token", lambda row: row.cpu_us_per_token))


def write(result: Result, path: Path) -> None:
    """As SVG, the same bytes for the same result."""
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    style = {"svg.hashsalt": "peers", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    with plt.rc_context(style):
        sheet, axes = plt.subplots(1, len(PANELS), figsize=(12, 4.2))
        for place, (label, figure) in zip(axes, PANELS, strict=True):
            _panel(place, result, label, figure)
        for place in axes[:2]:
            place.axhline(LIMIT_MS, color="grey", linewidth=0.8, linestyle=":")
            place.annotate(f"{LIMIT_MS:g} ms", (1, LIMIT_MS), xycoords=("axes fraction", "data"), xytext=(0, 2),
                           textcoords="offset points", ha="right", va="bottom", color="dimgrey")
        lines, names = axes[0].get_legend_handles_labels()
        sheet.legend(lines, names, loc="lower center", ncols=len(names), frameon=False)
        sheet.tight_layout(rect=(0, 0.08, 1, 1))
        sheet.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(sheet)


def _panel(place: matplotlib.axes.Axes, result: Result, label: str, figure: Callable[[Row], float | None]) -> None:
    loads = [load.streams for load in result.loads["emulator"]]
    for tool in result.versions:
        values = [middle([row for row in of(result, "emulator", tool, streams) if row.status == "ok"], figure)
                  for streams in loads]
        points = [(streams, value) for streams, value in zip(loads, values, strict=True) if value is not None]
        place.plot(*(zip(*points, strict=True) if points else ([], [])), label=tool, marker="o", markersize=4,
                   linewidth=2.4 if tool == OURS else 1.2, zorder=3 if tool == OURS else 2)
    place.set(xscale="log", yscale="log", xlabel="streams at a time", title=label)
    place.set_xticks(loads, [f"{streams:,}" for streams in loads])
    place.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    place.minorticks_off()
