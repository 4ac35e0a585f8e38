"""Tenants: what each of those who share an endpoint asked for, got, and costs, and how fair that was."""

from __future__ import annotations

from collections.abc import Sequence

from fmload_analysis.document import formats
from fmload_analysis.document.document import Cell, Column, Paragraph, Section, Table
from fmload_analysis.document.formats import cell, name
from fmload_analysis.document.questions import STAGES
from fmload_analysis.report.sections.missed import limit_text, verdict_text
from fmload_analysis.stage.tenants import Fairness
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.figures import state_cell
from fmload_analysis.verdict.naming import STAGE_COLUMNS, stage_cells
from fmload_analysis.verdict.table import StageResult, TenantResult
from fmload_analysis.verdict.tenants import by_step, shared_by

_COLUMNS = (
    *STAGE_COLUMNS, Column("Tenant", numeric=False), Column("Share", "asked / sent"), Column("Asked", "requests"),
    Column("Served", "of asked"), Column("Good", "of asked"), Column("Errors"), Column("TTFT p50", "ms"),
    Column("TTFT p95", "ms"), Column("E2E p50", "s", detail=True), Column("E2E p95", "s"),
    Column("Output", "tokens/s"), Column("Service", "share"), Column("Objectives", numeric=False),
    Column("1M output", "USD"), Column("Stage", "USD", detail=True))
_FAIRNESS = (*STAGE_COLUMNS, Column("Fairness", "served"), Column("Least served", numeric=False),
             Column("Fairness", "good"), Column("Least good", numeric=False))
_RULE = (
    "**Asked** are the requests that were due inside the window. **Served** are those that ended well inside it, "
    "**good** those that did so within the tenant's objectives, both as a share of asked: 100 % at most, for some were "
    "due before the window began. **Fairness** is Jain's index of those shares over the tenants: 1 when all got alike, "
    "1 ÷ their number when one got all. In a closed loop nobody asks for more than is answered, so there the "
    "good requests and the latencies tell. **Service** counts an output token twice, an input token once, and what "
    "came from a cache not at all; a price by the hour is shared by it, one by the token is each tenant's own.")
_OWN = "A stage meets its objectives when each tenant meets its own, too."


def render(analysis: Analysis) -> Section | None:
    """A row a stage and tenant, and one of fairness a stage or mix. None where no request is a tenant's."""
    groups = by_step(analysis.results)
    if not groups:
        return None
    rows = [[*stage_cells(result), *_cells(result, tenant)]
            for group in groups for result in group for tenant in result.tenants]
    own = any(tenant.summary.own for group in groups for result in group for tenant in result.tenants)
    return Section("tenants", "Tenants", [
        Paragraph(_RULE + (f" {_OWN}" if own else "")),
        Table(_COLUMNS, rows, "**By tenant**, latencies of requests that started inside the window"),
        Table(_FAIRNESS, [_fair(group) for group in groups], "**Fairness** between the tenants of an endpoint")],
        STAGES)


def _cells(result: StageResult, tenant: TenantResult) -> list[Cell]:
    summary = tenant.summary
    sent = sum(one.totals.started for one in result.summary.tenants)
    share = cell(summary.totals.started / sent if sent else None, formats.percent).text
    return [
        name(summary.name) if summary.name else Cell("(none)"),
        Cell(f"{cell(summary.weight, formats.percent).text} / {share}", summary.weight),
        cell(summary.due, formats.count, None if summary.due else "warn"),
        cell(summary.served_share, formats.percent), cell(summary.good_share, formats.percent),
        cell(tenant.value("error_rate"), formats.percent, "bad" if summary.totals.failed else None),
        *(cell(tenant.value(metric), formats.milliseconds) for metric in ("ttft_p50", "ttft_p95")),
        *(cell(tenant.value(metric), formats.seconds) for metric in ("e2e_p50", "e2e_p95")),
        cell(tenant.value("output_tokens_per_s"), formats.significant), cell(tenant.part, formats.percent),
        _objectives(tenant), cell(tenant.value("price_per_1m_output_tokens"), formats.usd),
        cell(tenant.cost.stage_usd, formats.usd)]


def _objectives(tenant: TenantResult) -> Cell:
    found = state_cell(tenant.objectives)
    others = "; ".join(f"{limit_text(verdict.objective)} {verdict_text(verdict)}"
                       for verdict in tenant.verdicts if not verdict.met)
    return Cell(found.text, found.value, found.mark, others or None)


def _fair(group: Sequence[StageResult]) -> list[Cell]:
    whole = shared_by(group)
    cells = stage_cells(group[0])
    if len(group) > 1:
        cells = [Cell(", ".join(str(result.stage) for result in group)), cells[1], Cell("the whole mix"), *cells[3:]]
    return [*cells, *_of(whole.served), *_of(whole.within)]


def _of(found: Fairness | None) -> list[Cell]:
    if found is None:
        return [Cell(formats.ABSENT), Cell(formats.ABSENT)]
    return [Cell(f"{found.jain:.3f}", found.jain),
            name(f"{found.least}: {formats.percent(found.share)}, {formats.percent(found.of_best)} of the best")]
