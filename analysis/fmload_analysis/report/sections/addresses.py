"""Endpoints of several addresses: what each address got, and how it did."""

from __future__ import annotations

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import STAGES
from fmload_analysis.stage.addresses import AddressSummary
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult

_WAYS = {"round_robin": "each address in turn", "least_busy": "the address with the fewest requests of the worker in "
                                                              "flight"}


def render(analysis: Analysis) -> Section | None:
    """A row a stage and address. None when every endpoint has one address."""
    found = [result for result in analysis.results if result.summary.addresses]
    if not found:
        return None
    columns = [*STAGE_COLUMNS, Column("Address", numeric=False), Column("Requests"), Column("Share"), Column("Errors"),
               Column("TTFT p50", "ms"), Column("TTFT p95", "ms"), Column("Output", "tokens/s"),
               Column("E2E p50", "s", detail=True), Column("E2E p95", "s", detail=True)]
    rows = [[*stage_cells(result), *_cells(result, one)] for result in found for one in result.summary.addresses]
    ways = {result.endpoint: _WAYS.get(result.summary.endpoint.balance, "") for result in found}
    told = "; ".join(f"{endpoint}: {way}" for endpoint, way in ways.items())
    return Section("addresses", "Addresses", [
        Paragraph(f"Each request went to one of several addresses of its model ({told}). The stages above hold all "
                  "addresses together; prices are those of the endpoint as a whole."),
        Table(columns, rows, "**By address**, of requests that started inside the window")], STAGES)


def _cells(result: StageResult, one: AddressSummary) -> list[Cell]:
    slow = one.latency_p50 is not None and any(
        check.name == "addresses alike" and f"{one.address} was slower" in check.sentence for check in result.checks)
    return [name(one.address), cell(one.requests, formats.count, None if one.requests else "bad"),
            cell(one.share, formats.percent), cell(one.error_rate, formats.percent, "bad" if one.failed else None),
            cell(one.ttft.stat("p50"), formats.milliseconds, "warn" if slow else None),
            cell(one.ttft.stat("p95"), formats.milliseconds), cell(one.output_tokens_per_s, formats.significant),
            cell(one.e2e.stat("p50"), formats.seconds), cell(one.e2e.stat("p95"), formats.seconds)]
