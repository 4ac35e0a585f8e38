"""Charts as PNG files for the Markdown and the docs: readable at half their size, safe for colour-blind eyes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from fmload.base.files import aside_of
from fmload_analysis.document.document import Axis, Chart, Point, Series
from fmload_analysis.document.formats import significant
from fmload_analysis.document.layout import PAD_IN, axes_height_in, figure_of, lay_out

# Okabe & Ito, "Color Universal Design" (2008); the yellow darkened to stand on white, black made grey.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B", "#B8A900")
SHAPES = ("o", "s", "^", "D", "v", "P")
Dash = Literal["-", "--", ":", "-."]
DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.")
LIMIT = "#B3261E"
DPI = 150
SMALL_MARGIN = 0.06
LABEL_GAP_IN = 0.2
NARROW = 5  # 1, 2 and 5 of so short a logarithmic axis may be two ticks
# Without a date: the same chart is the same file. Higher levels take twice the time for a fifth less.
_WRITTEN: Any = {"png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}},
                 "svg": {"metadata": {"Date": None}}}
_STYLE: Any = {
    "font.size": 13, "axes.titlesize": 14, "axes.labelsize": 13, "legend.fontsize": 12, "axes.edgecolor": "#59626e",
    "axes.labelcolor": "#1b2027", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": "#dfe3e8", "grid.linewidth": 0.9, "xtick.color": "#59626e",
    "ytick.color": "#59626e", "legend.frameon": False, "text.parse_math": False,
}


def save(chart: Chart, folder: Path, form: str = "png") -> Path | None:
    """`folder/<name>.png` (or .svg); None for a chart without a point, which is not drawn."""
    if not any(series.points for series in chart.series):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{chart.name}.{form}"
    with mpl.rc_context({**_STYLE, "svg.hashsalt": chart.name}):
        draw(chart).savefig(aside := aside_of(path), format=form, **_WRITTEN[form])
    aside.replace(path)
    return path


def draw(chart: Chart) -> Figure:
    """The chart as a figure: a grid of panels with common axes and one legend below."""
    panels = chart.panels
    columns = min(len(panels), 2 if len(panels) == 4 else 3)
    rows = math.ceil(len(panels) / columns)
    width, height = (11.0, 5.6) if len(panels) == 1 else (6.2 * columns, 3.9 * rows + 1.1)
    figure, grid = figure_of(width, height, rows, columns, DPI)
    for axes, panel in zip(grid, panels, strict=False):
        _panel(axes, chart, panel)
    _set_ranges(grid[0], chart)
    for axes, panel in zip(grid, panels, strict=False):
        _bars(axes, [series for series in chart.series if series.bars and series.panel == panel])
        _rules(axes, chart)
    for axes in grid[len(panels):]:
        axes.set_visible(False)
    labelled = _label_ends(figure, grid[0], chart) if len(panels) == 1 else False
    figure.suptitle(chart.title, fontsize=15, fontweight="bold", x=0.01, ha="left", y=1 - PAD_IN / height)
    legend = None if labelled else _legend(figure, chart, width)
    lay_out(figure, grid[0], rows, columns, legend)
    return figure


def _panel(axes: Axes, chart: Chart, panel: str) -> None:
    _axes(axes, chart)
    axes.tick_params(labelbottom=True, labelleft=True)
    if panel:
        axes.set_title(panel, loc="left")
    axes.autoscale(False)  # `_set_ranges` says what is shown; looking for it anew for each line takes half the time
    _KINDS[chart.kind](axes, [series for series in chart.series if series.panel == panel])


def _set_ranges(axes: Axes, chart: Chart) -> None:
    """Common ranges of all panels, with room for the limits that lie near."""
    points = [point for series in chart.series for point in series.points]
    margin = SMALL_MARGIN if all(point.size is None for point in points) else 0.13  # room for bubbles
    rules = {axis: [rule.value for rule in chart.rules if rule.axis == axis] for axis in ("x", "y")}
    if not chart.x.categories:
        axes.set_xlim(_range([point.x for point in points], chart.x, rules["x"], margin))
    heights = _stacked(chart) if chart.kind == "bar" else [
        value for point in points for value in (point.y, point.low, point.high) if value is not None]
    from_zero = not any(series.bars for series in chart.series)
    axes.set_ylim(_range(heights, chart.y, rules["y"], margin, from_zero))
    for axis, (low, high), ticks in ((chart.x, axes.get_xlim(), axes.xaxis), (chart.y, axes.get_ylim(), axes.yaxis)):
        if axis.log and not axis.ticks and high < NARROW * low:
            ticks.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))


def _stacked(chart: Chart) -> list[float]:
    sums: dict[tuple[str, float], float] = defaultdict(float)
    for series in chart.series:
        for point in series.points:
            sums[series.panel, point.x] += point.y
    return [0.0, *sums.values()]


def _range(values: list[float], axis: Axis, rules: list[float], margin: float,
           from_zero: bool = False) -> tuple[float, float]:
    """Its span; else from zero what starts near it or is told to; else, or in logarithms, around the values."""
    if axis.span:
        return axis.span
    usable = [value for value in values if not axis.log or value > 0] or [1.0]
    low, high = min(usable), max(usable)
    low, high = (min([low, *(rule for rule in rules if rule >= low / 1.6)]),
                 max([high, *(rule for rule in rules if rule <= high * 1.6)]))
    if axis.log:
        room = max(1 + 3 * margin, (high / low) ** margin)
        return low / room, high * room
    near_zero = 0 <= low < high * 0.7
    at_zero = near_zero or (from_zero and low >= 0)
    pad = (high - (0.0 if at_zero else low)) * margin or abs(high) * 0.1 or 1.0  # of what is shown
    if margin > SMALL_MARGIN and near_zero:
        return -0.07 * high, high + pad  # no bubble lies over an axis
    return 0.0 if at_zero else low - pad, high + pad


def _axes(axes: Axes, chart: Chart) -> None:
    for axis, scale, label, ticks in ((chart.x, axes.set_xscale, axes.set_xlabel, axes.xaxis),
                                      (chart.y, axes.set_yscale, axes.set_ylabel, axes.yaxis)):
        label(axis.text)
        if axis.log:
            scale("log")
            ticks.set_major_locator(LogLocator(subs=(1, 2, 5)))
            ticks.set_minor_formatter(NullFormatter())
        elif not axis.categories:
            ticks.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
        if axis.ticks:
            ticks.set_major_locator(FixedLocator(axis.ticks))
        ticks.set_major_formatter(FuncFormatter(lambda value, _: _tick(value)))
    if chart.x.categories:
        _categories(axes, chart.x)


def _tick(value: float) -> str:
    text = significant(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


def _categories(axes: Axes, axis: Axis) -> None:
    names = list(axis.categories)
    crowded = sum(len(each) + 2 for each in names) > 75
    step = math.ceil(len(names) / 30)
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=35 if crowded else 0,
                    ha="right" if crowded else "center", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(False, axis="x")


def _color(series: Series) -> str:
    return PALETTE[series.color % len(PALETTE)]


def _shape(series: Series) -> str:
    return SHAPES[series.shape % len(SHAPES)]


def _dash(series: Series) -> Dash:
    return DASHES[series.dash % len(DASHES)]


def _xy(axes: Axes, shown: list[Series]) -> None:
    for series in shown:
        x, y = [point.x for point in series.points], [point.y for point in series.points]
        if series.joined:
            _joined(axes, series, x, y)
        else:
            crowd = any(len(each.points) > 60 for each in shown)
            areas = [_area(point, crowd) for point in series.points]
            axes.scatter(x, y, s=areas, color=_color(series), marker=_shape(series), alpha=0.4 if crowd else 0.7,
                         edgecolors="white", linewidths=0.6, zorder=3)
            _rings(axes, series.points, areas)


def _joined(axes: Axes, series: Series, x: list[float], y: list[float]) -> None:
    marker = None if series.bare else _shape(series)
    axes.plot(x, y, color=_color(series), marker=marker, markersize=7, linewidth=2.2, markeredgecolor="white",
              linestyle=_dash(series))
    whole = [(point.low, point.high) if point.low is not None and point.high is not None else (math.nan, math.nan)
             for point in series.points]
    if not series.bars and not all(math.isnan(low) for low, _ in whole):  # a gap where a point has no interval
        axes.fill_between(x, [low for low, _ in whole], [high for _, high in whole], color=_color(series), alpha=0.13,
                          linewidth=0)


def _bars(axes: Axes, shown: list[Series]) -> None:
    """Each point's interval; an end that is not known goes on to the edge, without a cap."""
    bottom, top = axes.get_ylim()
    for series in shown:
        for point in series.points:
            ends = [end for end in (point.low, point.high) if end is not None]
            if ends:
                axes.vlines(point.x, bottom if point.low is None else point.low,
                            top if point.high is None else point.high, color=_color(series), linewidth=1.5)
                axes.scatter([point.x] * len(ends), ends, marker="_", s=90, color=_color(series))


def _rings(axes: Axes, points: Sequence[Point], areas: Sequence[float]) -> None:
    """A dark ring around the points that are marked good."""
    for point, area in zip(points, areas, strict=True):
        if point.mark == "good":
            axes.scatter(point.x, point.y, s=area + 90, facecolors="none", edgecolors="#1b2027", linewidths=2, zorder=4)


def _area(point: Point, crowd: bool) -> float:
    if point.size is not None:
        return 40 + 620 * point.size
    return 18 if crowd else 55


def _bar(axes: Axes, shown: list[Series]) -> None:
    stacked: dict[float, float] = {}
    for series in shown:
        for point in series.points:
            below = stacked.get(point.x, 0.0)
            axes.bar(point.x, point.y, bottom=below, width=0.66, color=_color(series), edgecolor="white")
            stacked[point.x] = below + point.y


def _box(axes: Axes, shown: list[Series]) -> None:
    width = 0.7 / max(1, len(shown))
    for place, series in enumerate(shown):
        shift = (place - (len(shown) - 1) / 2) * width
        for point in series.points:
            low = point.y if point.low is None else point.low
            high = point.y if point.high is None else point.high
            axes.bar(point.x + shift, high - low, bottom=low, width=width * 0.82, color=_color(series), alpha=0.32)
        axes.scatter([point.x + shift for point in series.points], [point.y for point in series.points],
                     color=_color(series), marker=_shape(series), s=46, zorder=3, edgecolors="white")


def _rules(axes: Axes, chart: Chart) -> None:
    """Limits inside the ranges; where both axes have one, the corner that keeps both is shaded."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    limits = {rule.axis: rule.value for rule in chart.rules}
    for rule in chart.rules:
        low, high = (left, right) if rule.axis == "x" else (bottom, top)
        if low <= rule.value <= high:
            _rule(axes, rule.axis, rule.value, rule.label)
    if len(limits) == 2:
        width, height = min(right, limits["x"]) - left, min(top, limits["y"]) - bottom
        axes.add_patch(Rectangle((left, bottom), width, height, color=PALETTE[2], alpha=0.08, linewidth=0, zorder=0))


def _rule(axes: Axes, axis: str, value: float, label: str) -> None:
    style: dict[str, Any] = {"color": LIMIT, "linestyle": (0, (5, 3)), "linewidth": 1.5}
    if axis == "y":
        axes.axhline(value, **style)
        axes.annotate(label, (0, value), xycoords=("axes fraction", "data"), xytext=(6, 4),
                      textcoords="offset points", color=LIMIT, fontsize=11)
    else:
        axes.axvline(value, **style)
        axes.annotate(label, (value, 1), xycoords=("data", "axes fraction"), xytext=(-5, -4), va="top", ha="right",
                      textcoords="offset points", color=LIMIT, fontsize=11)


def _label_ends(figure: Figure, axes: Axes, chart: Chart) -> bool:
    """Each line's name at its end, none over another; False for charts that need a legend instead."""
    if chart.kind != "xy" or not 1 < len(chart.series) == len({series.name for series in chart.series}) or any(
            not series.joined or not series.points for series in chart.series):
        return False
    bottom, top = axes.get_ylim()
    within = axes.transData - axes.transAxes
    ends = sorted((within.transform((series.points[-1].x, series.points[-1].y))[1], place)
                  for place, series in enumerate(chart.series))
    for height, place in spread_out(ends, LABEL_GAP_IN / axes_height_in(figure), 1.0):
        series = chart.series[place]
        axes.annotate(series.name, (1, height), xycoords="axes fraction", xytext=(8, 0), va="center",
                      textcoords="offset points", color=_color(series), fontsize=12, annotation_clip=False)
    axes.set_ylim(bottom, top)
    return True


def spread_out(at: Sequence[tuple[float, int]], gap: float, most: float) -> list[tuple[float, int]]:
    """Places in rising order moved apart until neighbours are `gap` apart, none above `most`."""
    moved: list[tuple[float, int]] = []
    for pixel, place in at:
        moved.append((max(pixel, moved[-1][0] + gap) if moved else pixel, place))
    ceiling = most
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = (min(moved[index][0], ceiling), moved[index][1])
        ceiling = moved[index][0] - gap
    return moved


def _legend(figure: Figure, chart: Chart, width: float) -> Legend | None:
    named = {series.name: series for series in reversed(chart.series)}
    if len(named) < 2:
        return None
    handles = [_handle(chart, series) for series in reversed(named.values())]
    longest = max(map(len, named))
    columns = max(1, min(len(handles), int(width * 10 / (longest + 7))))
    return figure.legend(handles=handles, loc="lower left", ncols=columns, columnspacing=1.4, handletextpad=0.5)


def _handle(chart: Chart, series: Series) -> Line2D:
    line = series.joined and chart.kind == "xy"
    return Line2D([], [], color=_color(series), marker=_handle_marker(chart, series), markersize=8,
                  linewidth=2.2 if line else 0, linestyle=_dash(series), label=series.name,
                  markeredgecolor="white")


def _handle_marker(chart: Chart, series: Series) -> str | None:
    if chart.kind == "bar":
        return "s"
    return None if series.bare else _shape(series)


_KINDS: dict[str, Callable[[Axes, list[Series]], None]] = {"xy": _xy, "bar": _bar, "box": _box}
