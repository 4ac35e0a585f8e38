"""What GenAI-Perf and AIPerf write alike: a CSV of metrics by statistics, then one of single values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload_analysis.published.rows.figures import JSON_STATS, Figures
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.reading import Source

_NAMED = re.compile(r"(?P<name>.+?)(?: \((?P<unit>[^()]*)\))?$")
PER_SECOND = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_WHOLE = ("completed", "errors", "output_tokens", "input_tokens")
_RENAMED = {"request_throughput": "transactions_per_minute"}


def is_csv(source: Source) -> bool:
    """Whether the first table is one of metrics by statistics."""
    if source.is_json or not source.tables:
        return False
    head = source.tables[0][0]
    return head[0] == "Metric" and "avg" in head


def in_seconds(metric: Mapping[str, Any], where: str) -> float:
    """By what a time of this metric is multiplied. Raises FmloadError where its unit is none of time."""
    unit = metric.get("unit")
    if not isinstance(unit, str) or unit not in PER_SECOND:
        raise FmloadError(f"{where}.unit holds {unit!r}, not one of {', '.join(PER_SECOND)}",
                          hint="let the tool write the file again")
    return PER_SECOND[unit]


def is_genai_perf(content: Mapping[str, Any]) -> bool:
    """GenAI-Perf keeps its arguments under `input_config` with the Perf Analyzer's among them."""
    config = content.get("input_config")
    return isinstance(config, dict) and any(name in config for name in (
        "perf_analyzer", "service_kind", "measurement_interval", "artifact_dir", "backend", "output_format"))


def csv_row(source: Source, metrics: Mapping[str, str], single: Mapping[str, str]) -> Row:
    """The row of the file's tables; a metric's unit stands in brackets behind its name."""
    figures, comma = Figures(str(source.path)), source.comma_decimals
    for table in source.tables:
        head = table[0]
        for cells in table[1:]:
            found = _NAMED.match(cells[0])
            key = re.sub(r"[^a-z0-9]+", "_", found["name"].lower()).strip("_") if found else ""
            scale = PER_SECOND.get((found["unit"] or "") if found else "", 1.0)
            if "avg" in head and key in metrics:
                _stats(figures, metrics[key], head, cells, scale, comma)
            elif len(cells) > 1 and (key in single or key in _RENAMED):
                ours = single.get(key) or _RENAMED[key]
                figures.cell(ours, cells[1 if "avg" not in head else head.index("avg")], cells[0],
                             60.0 if key in _RENAMED else scale, comma=comma, rounded=ours not in _WHOLE)
    return figures.row()


def _stats(figures: Figures, ours: str, head: list[str], cells: list[str], scale: float, comma: bool) -> None:
    for name, cell in zip(head[1:], cells[1:], strict=False):
        stat = JSON_STATS.get(name)
        if stat:
            figures.cell(f"{ours}_{stat}", cell, f"{cells[0]} {name}", scale, comma=comma)
