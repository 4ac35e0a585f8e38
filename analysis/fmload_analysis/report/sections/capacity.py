"""The capacity plan that was made of this run last, in short; the whole is in capacity.html."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Callout, Cell, Column, Paragraph, Section, Table, literal, plain
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import MONTH
from fmload_analysis.verdict.analysis import Analysis

_FIGURES = ("ttft_p95", "ttft_p99", "e2e_p95", "e2e_p99")


def render(analysis: Analysis) -> Section | None:
    """None where no plan was made, or its file cannot be read."""
    path = analysis.run.results.capacity_json
    try:
        found = json.loads(path.read_bytes())
        return _section(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _section(found: Mapping[str, Any]) -> Section:
    demand, limits = found["demand"], found["objectives"]
    told = ", ".join(f"{each} ≤ {limit:g}" for each, limit in limits.items()) or "a utilisation of 80 % at most"
    blocks: list[Block] = [Paragraph(
        f"For {literal(demand['text'])}: {demand['mean_per_s']:,.3g} requests a second on average, "
        f"{demand['peak_per_s']:,.3g} at the highest; objectives: {plain(told)}. Simulated from this run: every "
        f"fleet, the "
        "fit and its error are in [the plan](capacity.html).")]
    for option in found["options"]:
        blocks += [Callout("warn", plain(option["name"]), plain(text)) for text in option["warnings"]]
    gist = "; ".join(f"{plain(one['name'])}: {one['replicas']:,} replicas" for one in found["options"]
                     if one["replicas"])
    return Section("capacity-plan", "Capacity plan", [*blocks, _table(found)], MONTH,
                   f"For {plain(demand['text'])}: {gist}." if gist else "")


def _table(found: Mapping[str, Any]) -> Table:
    columns = [Column("Option", numeric=False), Column("Replicas"), Column("A month", "USD"),
               *(Column(each.upper().replace("_P", " p"), "s") for each in _FIGURES), Column("Utilisation"),
               Column("Fit's error")]
    rows = [_row(option) for option in found["options"]]
    rows += [[name(f"{one['name']}, by the token"), name(""), cell(one["usd_per_month"], formats.usd), *[name("")] * 6]
             for one in found["by_token"]]
    return Table(columns, rows, "**The fewest replicas that keep the objectives**; a month is 730 hours")


def _row(option: Mapping[str, Any]) -> list[Cell]:
    best = next((one for one in option["fleets"] if one["replicas"] == option["replicas"]), None)
    figures = best["figures"] if best else {}

    def value(each: str) -> float | None:
        return figures[each]["value"] if each in figures else None

    return [name(option["name"]), cell(option["replicas"], formats.count), cell(option["usd_per_month"], formats.usd),
            *(cell(value(each), formats.seconds) for each in _FIGURES), cell(value("utilisation"), formats.percent),
            cell(option["fit_error"], formats.percent)]
