"""From a results folder to the analysis: summarise, price, judge, audit, recommend, write, render."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from fmload.base.errors import EXIT_INVALID, EXIT_OBJECTIVES, EXIT_OK
from fmload.config.goodput import judged_by, limits_of
from fmload.config.objectives import parse_objectives
from fmload.metrics.definitions import Ints
from fmload.model.stage import Stage
from fmload.plan.tenant_prices import tenant_prices
from fmload.pricing.resolve import Pricing, Unpriced, options_of, resolve
from fmload.pricing.table import accelerators_of, load_prices
from fmload.results.counting import compared
from fmload.results.folder import Results
from fmload_analysis.audit import audit as auditing
from fmload_analysis.audit.facts import Facts
from fmload_analysis.run import Run, open_run, stage_s
from fmload_analysis.stage.cache_truth import PossibleCache
from fmload_analysis.stage.distribution import Wanted
from fmload_analysis.stage.health import WorkerHealth, health_of
from fmload_analysis.stage.mixes import Part, part_of
from fmload_analysis.stage.own_timings import own_times_s
from fmload_analysis.stage.reuse import NO_PROMPTS
from fmload_analysis.stage.spend import Prices
from fmload_analysis.stage.stats import PERCENTILES
from fmload_analysis.stage.summarize import StageSummary, summarize
from fmload_analysis.stage.telemetry import ServerView, server_view
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.cost import cost_of, priced, total_usd
from fmload_analysis.verdict.objectives import Objective, judge
from fmload_analysis.verdict.recommend import per_instance, per_prompt_set
from fmload_analysis.verdict.table import StageResult, TenantResult, write_csv
from fmload_analysis.verdict.tenants import (
    own_verdicts,
    tenant_results,
    unpriced_tenants,
    write_tenants,
)


def analyse(root: Path) -> Analysis:
    """Analyse a results folder: writes summary.csv and audit.json, renders the report, returns all of it."""
    Results(root).refuse_links()
    analysis = analyse_run(open_run(root))
    write_csv(analysis.run.results.summary_csv, analysis.rows())
    write_tenants(analysis.run.results.tenants_csv, analysis.results)
    auditing.write_audit(analysis.run.results.audit_json, analysis.results)
    if find_spec("fmload_analysis.report.report"):
        from fmload_analysis.report.report import render

        render(analysis)
    return analysis


def analyse_run(run: Run) -> Analysis:
    """The analysis of an opened run; writes nothing."""
    objectives = judged_by(run.spec.get("objectives"),
                           next((stage.find.objective for stage in run.stages if stage.find), None))
    own = run.spec.get("prices")
    table = load_prices(Path(own) if own else None)
    found = {name: resolve(run.endpoint(name).terms, table)
             for name in dict.fromkeys(stage.endpoint for stage in run.stages)}
    pricing = {name: one if isinstance(one, Pricing) else None for name, one in found.items()}
    of_tenants = {name: tenant_prices(run.entry(name), run.tenants, one, table,
                                      run.spec.get("region")) for name, one in found.items()}
    prices = {name: Prices(one, options_of(run.endpoint(name).terms, table), {
        tenant: own if isinstance(own, Pricing) else None for tenant, own in of_tenants[name].items()})
        for name, one in pricing.items()}
    health = {stage.stage: health_of(run, stage) for stage in run.stages}
    summaries, again = _summaries(run, _wanted(run, objectives), prices)
    results = [_result(summary, _priced(prices[summary.stage.endpoint], summary),
                       Given(objectives, health[summary.stage.stage], told_by_server(run, summary.stage),
                             part_of(summary, summaries),
                             compared(run.results, summary.stage.endpoint, summary.stage.stage),
                             tenant_results(summary, prices[summary.stage.endpoint], summaries)))
               for summary in summaries]
    unknown = {name: one for name, one in found.items() if isinstance(one, Unpriced)}
    told = {name: one and replace(one, of_tenants=of_tenants[name]) for name, one in pricing.items()}
    return Analysis(run, tuple(results), objectives, per_prompt_set(results), per_instance(results), health, told,
                    unknown | unpriced_tenants(of_tenants, summaries),
                    {name: one.options for name, one in prices.items()}, _repeated_usd(again, prices))


def _priced(prices: Prices, summary: StageSummary) -> Pricing | None:
    """What a stage is paid by; None, too, where the price of some tenant's requests is not known, and where minutes of
    sound are paid for and it is not known how many there were."""
    sound, pricing = summary.totals.sound, prices.pricing
    if sound is not None and sound.audio_s is None and pricing is not None and pricing.per_audio_minute:
        return None
    lacking = {name for name, own in prices.of_tenants.items() if own is None}
    return None if any(one.name in lacking and one.recorded for one in summary.tenants) else prices.pricing


def _summaries(run: Run, wanted: Wanted, prices: Mapping[str, Prices],
               ) -> tuple[list[StageSummary], list[StageSummary]]:
    """Of all stages that were not skipped or superseded, in their order. They are read in the order in which they were
    run, as each is told which prompts its server had been sent before, by superseded ones too."""
    sent: dict[str, Ints] = {}
    caches: defaultdict[str, PossibleCache] = defaultdict(PossibleCache)
    found: dict[int, StageSummary] = {}
    for stage in sorted(run.stages, key=lambda stage: (stage.step, stage.stage)):
        if stage.status != "skipped":
            server = run.server(stage.endpoint)
            earlier = sent.get(server, NO_PROMPTS)
            summary = found[stage.stage] = summarize(run, stage, wanted, earlier, prices[stage.endpoint],
                                                     caches[server])
            prompts = summary.evidence.reuse.prompts
            sent[server] = np.union1d(earlier, prompts) if len(earlier) else prompts
    ordered = [found[stage.stage] for stage in run.stages if stage.stage in found]
    return ([summary for summary in ordered if summary.stage.status != "superseded"],
            [summary for summary in ordered if summary.stage.status == "superseded"])


def _repeated_usd(again: Sequence[StageSummary], prices: Mapping[str, Prices]) -> float | None:
    """What the stages that were broken off, and run again, have cost."""
    costs = (cost_of(priced(one.totals, price, one.spend), price, stage_s(one.stage), one.spend)
             for one in again if (price := _priced(prices[one.stage.endpoint], one)) is not None)
    return total_usd(list(costs))


def told_by_server(run: Run, stage: Stage) -> ServerView:
    """The server's own metrics; of times, what its answers tell where its metrics do not."""
    view = server_view(run, stage)
    return replace(view, times_s={**own_times_s(run, stage), **view.times_s})


def _wanted(run: Run, objectives: tuple[Objective, ...]) -> Wanted:
    report = run.spec.get("report") or {}
    asked = {objective.percentile for objective in objectives if objective.percentile is not None}
    return Wanted(percentiles=tuple(sorted({*PERCENTILES, *asked})), objectives=objectives,
                  limits=limits_of(objectives), threshold_tokens_per_s=report.get("threshold_tokens_per_s"),
                  of_tenants={tenant["name"]: parse_objectives(tenant["objectives"])
                              for tenant in run.tenants if tenant.get("objectives")})


@dataclass(frozen=True, slots=True)
class Given:
    """What a stage is judged by, beside its own summary."""

    objectives: tuple[Objective, ...]
    health: tuple[WorkerHealth, ...]
    server: ServerView
    part: Part | None = None
    compared: Mapping[str, Any] = field(default_factory=dict)
    tenants: tuple[TenantResult, ...] = ()


def _result(summary: StageSummary, pricing: Pricing | None, given: Given) -> StageResult:
    own = given.part.of_endpoint if given.part else 1.0
    totals = replace(priced(summary.totals, pricing, summary.spend, own), accelerators=_accelerators(summary, pricing))
    cost = cost_of(totals, pricing, stage_s(summary.stage) * own, summary.spend)
    result = StageResult(summary, totals, pricing, cost, tenants=given.tenants)
    result = replace(result, verdicts=(*judge(given.objectives, result.value, summary.judged),
                                       *own_verdicts(given.tenants)))
    facts = Facts(result.value, summary, given.health, given.server, given.part, given.compared)
    return replace(result, checks=auditing.audit(facts))


def _accelerators(summary: StageSummary, pricing: Pricing | None) -> int | None:
    if summary.totals.accelerators is not None:
        return summary.totals.accelerators
    each = accelerators_of((pricing.instance_type if pricing else None) or summary.endpoint.instance_type)
    return each * (pricing.count if pricing else 1) if each else None


def exit_code(analysis: Analysis, require_objectives: bool = False) -> int:
    """4 when nothing was measured or every stage failed its audit; 3 when objectives are required and no stage is shown
    to meet them (they are missed or unknown); else 0."""
    sound = [result for result in analysis.results if result.totals.completed and result.audit != "FAIL"]
    if not sound:
        return EXIT_INVALID
    if require_objectives and not any(result.objectives == "met" for result in sound):
        return EXIT_OBJECTIVES
    return EXIT_OK
