"""Charts that can be read: at most eight names, whatever the run was."""

from __future__ import annotations

from dataclasses import replace

from fmload_analysis.document.document import Chart, Series

MOST_SERIES = 8  # the palette; more colours cannot be told apart
MOST_PANELS = 9


def legible(chart: Chart) -> Chart:
    """The chart with at most eight names and nine panels, those first in the run file; a note says what is left out."""
    panels, names = chart.panels[:MOST_PANELS], list(dict.fromkeys(series.name for series in chart.series))
    if len(names) <= MOST_SERIES and len(chart.panels) <= MOST_PANELS:
        return chart
    kept = set(_spread(names))
    series = [each for each in chart.series if each.name in kept and each.panel in panels]
    told = [f"{len(kept)} of {len(names)} lines" if len(names) > len(kept) else "",
            f"{len(panels)} of {len(chart.panels)} panels" if len(chart.panels) > len(panels) else ""]
    left = f"Shown: {' and '.join(filter(None, told))}; the tables have all."
    return replace(chart, series=_recoloured(series), note=" ".join(filter(None, (chart.note, left))))


def _spread(names: list[str]) -> list[str]:
    """The first, the last and what lies evenly between them."""
    if len(names) <= MOST_SERIES:
        return names
    step = (len(names) - 1) / (MOST_SERIES - 1)
    return [names[round(place * step)] for place in range(MOST_SERIES)]


def _recoloured(series: list[Series]) -> list[Series]:
    """A colour each where two names would share one."""
    colors: dict[str, set[int]] = {}
    for each in series:
        colors.setdefault(each.name, set()).add(each.color)
    taken = [min(found) % MOST_SERIES for found in colors.values()]
    if len(set(taken)) == len(taken):
        return series
    order = {name: place for place, name in enumerate(colors)}
    return [replace(each, color=order[each.name]) for each in series]
