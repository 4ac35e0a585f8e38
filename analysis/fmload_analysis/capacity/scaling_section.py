"""The section of the page on autoscaling: replicas and rate over time, in pictures and in numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from fmload_analysis.capacity.answer import Option
from fmload_analysis.capacity.autoscale import Look
from fmload_analysis.capacity.demand import Demand
from fmload_analysis.capacity.plan import Day, Plan
from fmload_analysis.capacity.trial import Tried
from fmload_analysis.document import formats
from fmload_analysis.document.document import Axis, Block, Cell, Chart, Column, Paragraph, Point, Rule, Series, Table
from fmload_analysis.document.formats import cell, name

_POINTS = 288  # of the day's curves: one in five minutes
_WANTED, _SERVING, _PAID = "wanted", "serving", "paid for"


def blocks(demand: Demand, option: Option) -> Iterator[Block]:
    """Charts and table; nothing where nothing was autoscaled."""
    plan = option.plan
    if plan.scaled is None or plan.day is None or not plan.scaled.looks:
        return
    key = option.name.replace(" ", "_")
    yield Paragraph(_told(plan.scaled))
    yield from _simulated(demand, plan.scaled, key)
    yield from _over_the_day(demand, plan, plan.day, key)
    yield _numbers(demand, plan.scaled, plan.day)


def _told(scaled: Tried) -> str:
    window = scaled.window
    assert window is not None
    part = "" if scaled.share == 1 else (
        f" {formats.percent(scaled.share)} of the demand is simulated; its replicas stand for all.")
    return (f"Simulated is {formats.duration(window.end_s - window.begin_s)} of the demand from "
            f"{formats.duration(window.begin_s)} on, in which the rate grows the most while a replica starts; shown is "
            f"the first seed.{part} Where fewer serve than are wanted, replicas are starting, and requests wait.")


def _simulated(demand: Demand, scaled: Tried, key: str) -> Iterator[Chart]:
    """Two charts, one under the other, over the same time."""
    window = scaled.window
    assert window is not None
    span = (0.0, (window.end_s - window.begin_s) / 60)
    rates = _rates(demand, scaled)
    yield Chart(f"capacity_scaling_rate_{key}", "The rate over the simulated part", "xy",
                Axis("Time in the simulated part", "min", span=span), Axis("Requests", "1/s"),
                [Series("requests a second", [Point(at / 60, rate) for at, rate in rates], bare=True)])
    yield Chart(f"capacity_scaling_{key}", "Replicas over the simulated part", "xy",
                Axis("Time in the simulated part", "min", span=span), Axis("Replicas"),
                [_line(label, color, [(look.at_s / 60, of(look) / scaled.share) for look in scaled.looks], color)
                 for color, (label, of) in enumerate(_LINES)])


def _rates(demand: Demand, scaled: Tried) -> list[tuple[float, float]]:
    """The demand's rate at the start of the simulated part and at each look."""
    assert scaled.window is not None
    at_s = [0.0, *(look.at_s for look in scaled.looks)]
    per_s = np.interp([scaled.window.begin_s + at for at in at_s], demand.at_s, demand.per_s)
    return list(zip(at_s, per_s.tolist(), strict=True))


_LINES: Sequence[tuple[str, Callable[[Look], int]]] = (
    (_WANTED, lambda look: look.wanted), (_SERVING, lambda look: look.serving), (_PAID, lambda look: look.paid))


def _line(label: str, color: int, steps: Sequence[tuple[float, float]], dash: int = 0) -> Series:
    """A line that is level until the next change."""
    corners = [Point(at, value) for (_, value), (at, _) in pairwise(steps)]
    points = [Point(at, value) for at, value in steps]
    woven = [point for pair in zip(points, corners, strict=False) for point in pair] + points[-1:]
    return Series(label, woven, color, dash=dash, bare=True)


def _over_the_day(demand: Demand, plan: Plan, day: Day, key: str) -> Iterator[Chart]:
    every = max(1, len(day.at_s) // _POINTS)
    unit, unit_s = ("h", 3600) if demand.lasts_s >= 7200 else ("min", 60)
    places = [int(day.called_for[start:start + every].argmax()) + start for start in range(0, len(day.at_s), every)]
    lines = [_line(label, color, [(float(day.at_s[at]) / unit_s, float(values[at])) for at in places], color)
             for color, (label, values) in enumerate((("called for by the rate", day.called_for), (_PAID, day.paid)))]
    assert plan.best is not None
    yield Chart(f"capacity_scaling_day_{key}", "Replicas over the whole demand", "xy",
                Axis("Time", unit, span=(0.0, demand.lasts_s / unit_s)), Axis("Replicas"), lines,
                [Rule("y", plan.best.replicas, f"without autoscaling {plan.best.replicas:,}")])


def _numbers(demand: Demand, scaled: Tried, day: Day) -> Table:
    columns = [Column("", numeric=False), Column("Lowest"), Column("Mean"), Column("Highest")]
    rates = [rate for _, rate in _rates(demand, scaled)]
    rows = [_row("Simulated part: requests a second", rates, formats.significant)]
    rows += [_row(f"Simulated part: {label}", [of(look) / scaled.share for look in scaled.looks])
             for label, of in _LINES]
    rows += [_row("Whole demand: requests a second", day.per_s.tolist(), formats.significant),
             _row("Whole demand: called for by the rate", day.called_for.tolist()),
             _row("Whole demand: paid for", day.paid.tolist())]
    short = [look for look in scaled.looks if look.serving < look.wanted]
    return Table(columns, rows, f"**Replicas over time**. Fewer served than were wanted at "
                 f"{formats.percent(len(short) / len(scaled.looks))} of the looks; at most "
                 f"{max((one.wanted - one.serving for one in short), default=0) / scaled.share:,.0f} were missing")


def _row(title: str, values: Sequence[float], form: formats.Format = formats.count) -> list[Cell]:
    mean = sum(values) / len(values)
    return [name(title), cell(min(values), form), cell(mean, formats.significant), cell(max(values), form)]
