"""Collects the figures of one row while a file is read, each with its name there and what it was rounded to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fmload.base.units import format_users
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.reading import cell_number, cell_step, json_number

JSON_STATS = {"mean": "mean", "avg": "mean", "average": "mean", "median": "p50", "std": "std", "stddev": "std",
              "std_dev": "std", "min": "min", "max": "max", "sum": "sum", "count": "count", "total_sum": "sum",
              **{f"p{p}": f"p{p}" for p in ("0.1", "1", "5", "10", "25", "50", "75", "90", "95", "97", "99", "99.9")},
              "p999": "p99.9", "p99p9": "p99.9", "p0p1": "p0.1", "p001": "p0.1", "p01": "p1", "p05": "p5"}


class Figures:
    """The figures of one row. `where` begins messages: the file, and the place in it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.values: dict[str, float] = {}
        self.names: dict[str, str] = {}
        self.steps: dict[str, float] = {}
        self.scales: dict[str, float] = {}

    def put(self, ours: str, value: float | None, name: str = "", scale: float = 1.0, step: float = 0.0) -> None:
        """Keep a figure in our unit; the first one told stands. None is nothing."""
        if value is None or value != value or ours in self.values:
            return
        self.values[ours] = value * scale
        if name:
            self.names[ours] = name
            self.scales[ours] = scale
        if step:
            self.steps[ours] = step * scale

    def take(self, ours: str, content: Mapping[str, Any], key: str, scale: float = 1.0) -> None:
        """Keep a number of a JSON object. Raises FmloadError where it holds no number."""
        self.put(ours, json_number(content.get(key), f"{self.where}: {key}"), key, scale)

    def take_first(self, ours: str, content: Mapping[str, Any], keys: Iterable[str], scale: float = 1.0) -> None:
        """Keep the first of these that is told."""
        for key in keys:
            self.take(ours, content, key, scale)

    def cell(self, ours: str, text: str | None, name: str, scale: float = 1.0, *, comma: bool = False,
             rounded: bool = True, step: float | None = None) -> None:
        """Keep the number of a cell; `rounded`: it may be off by half a unit of its last digit."""
        value = cell_number(text or "", comma)
        if value is not None:
            off = cell_step(text or "", comma) if step is None else step
            self.put(ours, value, name, scale, off if rounded else 0.0)

    def stats(self, ours: str, stats: Mapping[str, Any], name: str, scale: float = 1.0) -> None:
        """Keep `{mean, p50, …}` as `<ours>_mean`, …; counts keep their unit."""
        for key, stat in JSON_STATS.items():
            if key in stats and not isinstance(stats[key], dict | list):
                by = 1.0 if stat == "count" else scale
                self.put(f"{ours}_{stat}", json_number(stats[key], f"{self.where}: {name}.{key}"), f"{name}.{key}", by)

    def row(self, label: str | None = None, **known: Any) -> Row:
        """The row; without a label it is named by its load."""
        return Row(label or self.load(), self.values, names=self.names, steps=self.steps, scales=self.scales, **known)

    def load(self) -> str:
        """`16 users`, `3.5 requests/s`, or `run`."""
        users, rate = self.values.get("concurrency"), self.values.get("offered_per_s")
        if users is not None:
            return format_users(users)
        if rate is not None:
            return f"{rate:g} requests/s"
        achieved = self.values.get("achieved_concurrency")
        return f"{achieved:.3g} in flight" if achieved is not None else "run"
