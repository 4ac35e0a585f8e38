"""What the endpoints told of themselves while they were measured: utilisation, queues, counters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis import formats
from analysis.document import Axis, Block, Cell, Chart, Column, Point, Section, Series, Table, literal
from analysis.formats import cell, name
from analysis.pipeline import Analysis
from analysis.sections.timeline import start_ns

MOST_CHARTS = 6
MOST_POINTS = 800
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def render(analysis: Analysis) -> Section | None:
    """Spread of every metric over the run, and the first ones over time. None where no telemetry was collected."""
    path = analysis.run.results.telemetry_parquet
    if not path.exists():
        return None
    frame = pd.read_parquet(path)
    frame = frame[np.isfinite(frame["value"])]
    if frame.empty:
        return None
    frame["labels"] = frame["labels"].map(_labels)
    groups = {key: part.sort_values("at_ns") for key, part in frame.groupby(["source", "metric", "labels"], sort=True)}
    moving = [metric for metric in dict.fromkeys(key[1] for key in groups) if _moves(groups, metric)]
    origin = start_ns(analysis)
    blocks: list[Block] = [_table(groups), *(_chart(metric, groups, origin) for metric in moving[:MOST_CHARTS])]
    return Section("endpoint-metrics", "Endpoint metrics", blocks)


def _labels(value: object) -> str:
    """Labels as `a=1 b=2`, whatever form they are kept in."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={each}" for key, each in sorted(value.items()))
    return "" if formats.is_absent(value) else str(value)


def _moves(groups: Mapping[Any, pd.DataFrame], metric: str) -> bool:
    return any(part["value"].nunique() > 1 for key, part in groups.items() if key[1] == metric)


def _table(groups: Mapping[Any, pd.DataFrame]) -> Table:
    columns = [Column("Source", numeric=False), Column("Metric", numeric=False), Column("Labels", numeric=False),
               Column("n"), Column("min"), Column("25 %"), Column("50 %"), Column("75 %"), Column("max")]
    rows = [[name(source), Cell(literal(metric), metric), Cell(literal(labels) if labels else ""),
             cell(len(part), formats.count), *(cell(float(value), formats.significant) for value in
                                               part["value"].quantile(list(_QUANTILES), interpolation="nearest"))]
            for (source, metric, labels), part in groups.items()]
    return Table(columns, rows, "**Every metric over the run**")


def _chart(metric: str, groups: Mapping[Any, pd.DataFrame], origin_ns: int) -> Chart:
    series = []
    for place, (key, part) in enumerate((key, part) for key, part in groups.items() if key[1] == metric):
        thinned = part.iloc[::-(-len(part) // MOST_POINTS)]
        points = [Point(round((at - origin_ns) / 1e9, 1), float(value)) for at, value in
                  zip(thinned["at_ns"].tolist(), thinned["value"].tolist(), strict=True)]
        series.append(Series(" ".join(filter(None, (key[0], key[2]))), points, place, place, bare=True))
    safe = "".join(letter if letter.isalnum() else "_" for letter in metric)
    return Chart(f"endpoint_{safe}", metric, "xy", Axis("Time since the run began", "s"), Axis(metric), series)
