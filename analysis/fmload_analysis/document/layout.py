"""Where the panels, the title and the legend of a figure stand.

Every panel has the same axes, so one of them is measured, once. Matplotlib's constrained layout measures each of them
twice, and `savefig` draws the whole figure for it: half of what a chart costs.
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

PAD_IN = 0.09
TITLE_IN = 0.33
# Of a figure before it is laid out, near to what most have in the end: how many ticks there are depends on it a little.
_FIRST = {"left": 0.09, "right": 0.97, "bottom": 0.13, "top": 0.9}


def figure_of(width_in: float, height_in: float, rows: int, columns: int, dpi: int) -> tuple[Figure, list[Axes]]:
    """A figure of panels with common axes, from the left above to the right below."""
    figure = Figure(figsize=(width_in, height_in), dpi=dpi)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(**_FIRST)
    return figure, list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)


def axes_height_in(figure: Figure) -> float:
    """How high the axes of a figure's only panel will be, about."""
    return float(figure.get_figheight()) * (_FIRST["top"] - _FIRST["bottom"])


def lay_out(figure: Figure, axes: Axes, rows: int, columns: int, legend: Legend | None) -> None:
    """Give each panel the room that `axes`, the first of them, needs around it: a title above, a legend below."""
    dpi, (width, height) = figure.dpi, figure.get_size_inches()
    inside, around = axes.get_window_extent(), axes.get_tightbbox(for_layout_only=True) or axes.get_window_extent()
    left, right, below, above = (PAD_IN + max(0.0, pixels) / dpi for pixels in (
        inside.x0 - around.x0, around.x1 - inside.x1, inside.y0 - around.y0, around.y1 - inside.y1))
    foot = legend.get_window_extent().height / dpi if legend else 0.0
    wide = (width - columns * (left + right)) / columns
    high = (height - TITLE_IN - foot - rows * (below + above)) / rows
    figure.subplots_adjust(left=left / width, right=1 - right / width, bottom=(foot + below) / height,
                           top=1 - (TITLE_IN + above) / height, wspace=(left + right) / wide,
                           hspace=(below + above) / high)
