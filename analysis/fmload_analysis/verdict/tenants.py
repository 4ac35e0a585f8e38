"""Tenants priced and judged: each by its own tokens or its share of the hours, and by its own objectives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmload.pricing.resolve import Pricing, Unpriced
from fmload_analysis.document import csv_table
from fmload_analysis.run import stage_s
from fmload_analysis.stage.mixes import components
from fmload_analysis.stage.spend import Prices
from fmload_analysis.stage.summarize import StageSummary
from fmload_analysis.stage.tenants import Shared, TenantSummary, shared
from fmload_analysis.verdict.cost import cost_of, priced
from fmload_analysis.verdict.objectives import Verdict, judge
from fmload_analysis.verdict.table import StageResult, TenantResult


def unpriced_tenants(prices: Mapping[str, Mapping[str, Pricing | Unpriced]],
                     summaries: Iterable[StageSummary]) -> dict[str, Unpriced]:
    """By endpoint, why its stages have no price, where a tenant's requests have none."""
    found = {}
    for summary in summaries:
        for one in summary.tenants:
            price = prices[summary.stage.endpoint].get(one.name)
            if isinstance(price, Unpriced) and one.recorded:
                found[summary.stage.endpoint] = replace(price, reason=f"tenant '{one.name}': {price.reason}")
    return found


def tenant_results(summary: StageSummary, prices: Prices,
                   summaries: Sequence[StageSummary]) -> tuple[TenantResult, ...]:
    """The tenants of a stage, priced and judged. `prices`: of its endpoint; `summaries`: of all stages."""
    beside = [one for one in components(summary, summaries)
              if one.stage.endpoint == summary.stage.endpoint] or [summary]
    whole = sum(one.service for one in beside)
    even = 1 / max(1, sum(max(1, len(one.tenants)) for one in beside))
    return tuple(_result(one, prices.of(one.name or None).pricing, one.service / whole if whole else even,
                         stage_s(summary.stage)) for one in summary.tenants)


def _result(tenant: TenantSummary, pricing: Pricing | None, part: float, duration_s: float) -> TenantResult:
    totals = priced(tenant.totals, pricing, tenant.spend, part)
    result = TenantResult(tenant, totals, cost_of(totals, pricing, duration_s * part, tenant.spend), (), part)
    return replace(result, verdicts=judge(tenant.objectives, result.value, tenant.judged))


def own_verdicts(tenants: Iterable[TenantResult]) -> tuple[Verdict, ...]:
    """The verdicts on objectives of the tenants' own, which count for the whole stage; named `tenant: objective`."""
    return tuple(replace(verdict, objective=replace(
        verdict.objective, name=f"{tenant.summary.name}: {verdict.objective.name}"))
        for tenant in tenants if tenant.summary.own for verdict in tenant.verdicts)


def by_step(results: Iterable[StageResult]) -> list[list[StageResult]]:
    """The stages that have tenants, those that ran beside each other on one endpoint together: tenants share it."""
    groups: dict[tuple[int, str], list[StageResult]] = {}
    for result in results:
        if result.tenants:
            mix = result.summary.stage.mix
            groups.setdefault((mix.first if mix else result.stage, result.endpoint), []).append(result)
    return list(groups.values())


def shared_by(results: Iterable[StageResult]) -> Shared:
    """What the tenants of these stages asked for and got."""
    return shared(tenant.summary for result in results for tenant in result.tenants)


_FIGURES = ("error_rate", "requests_per_s", "goodput_per_s", "input_tokens_mean", "output_tokens_mean",
            "input_tokens_per_s", "output_tokens_per_s", "cached_share")
_LATENCIES = tuple(f"{metric}_{stat}" for metric in ("ttft", "tpot", "e2e", "ttft_scheduled", "e2e_scheduled")
                   for stat in ("mean", "p50", "p95", "p99"))
_PRICES = ("price_per_transaction", "price_per_1m_output_tokens", "price_per_good_request")
TENANT_COLUMNS = (
    "stage", "endpoint", "prompt_set", "load", "tenant", "asked_share", "asked", "completed", "good", "errors",
    "served_share", "good_share", *_FIGURES, *(f"{name}_s" for name in _LATENCIES), "service_share", *_PRICES,
    "stage_usd", "meets_objectives", "outcomes", "fairness_served", "fairness_good")


def write_tenants(path: Path, results: Sequence[StageResult]) -> None:
    """tenants.csv: a row a stage and tenant; none where no stage has tenants, and one of an earlier report is removed.
    None is an empty cell."""
    rows = [row for group in by_step(results) for row in _rows(group)]
    if not rows:
        path.unlink(missing_ok=True)
        return
    csv_table.write(path, TENANT_COLUMNS, ({name: _cell(value) for name, value in row.items()} for row in rows))


def _cell(value: Any) -> Any:
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _rows(group: Sequence[StageResult]) -> list[dict[str, Any]]:
    whole = shared_by(group)
    even = {"fairness_served": whole.served and whole.served.jain, "fairness_good": whole.within and whole.within.jain}
    return [{**_row(result, tenant), **even} for result in group for tenant in result.tenants]


def _row(result: StageResult, tenant: TenantResult) -> dict[str, Any]:
    summary, stage = tenant.summary, result.summary.stage
    return {
        "stage": stage.stage, "endpoint": stage.endpoint, "prompt_set": stage.prompt_set, "load": stage.load.text,
        "tenant": summary.name, "asked_share": summary.weight, "asked": summary.due,
        "completed": summary.totals.completed, "good": summary.totals.good, "errors": summary.totals.failed,
        "served_share": summary.served_share, "good_share": summary.good_share, "service_share": tenant.part,
        **{name: tenant.value(name) for name in (*_FIGURES, *_PRICES)},
        **{f"{name}_s": tenant.value(name) for name in _LATENCIES},
        "stage_usd": tenant.cost.stage_usd, "meets_objectives": tenant.objectives,
        "outcomes": json.dumps(dict(summary.outcomes))}
