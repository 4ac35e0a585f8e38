"""The answer first: the best option at the objectives, by how much, and whether its numbers hold."""

from __future__ import annotations

from collections import Counter

from fmload_analysis.document import formats
from fmload_analysis.document.document import Block, Callout, Fact, FactList, Mark, Section, literal
from fmload_analysis.document.formats import text
from fmload_analysis.report.sections.missed import STATE_MARKS, limit_text, limit_value, verdict_text
from fmload_analysis.report.sections.stages import AUDIT_MARKS
from fmload_analysis.verdict.analysis import Analysis, emulated
from fmload_analysis.verdict.recommend import Recommendation
from fmload_analysis.verdict.table import StageResult

_LATENCIES = ("e2e", "ttft", "tpot")


def render(analysis: Analysis) -> Section:
    """Emulations first, then a card for each prompt set, then what was left out."""
    blocks: list[Block] = [*_emulated(analysis), *_unfinished(analysis)]
    blocks += [_card(recommendation, analysis) for recommendation in analysis.best]
    if not analysis.best:
        blocks.append(Callout("bad", "Nothing was measured", "The run ended before a stage began."))
    blocks.append(_audit(analysis))
    return Section("result", "Result", blocks)


def _emulated(analysis: Analysis) -> list[Block]:
    found = emulated(analysis)
    if not found:
        return []
    listed = ", ".join(f"**{endpoint}** (imitates {literal(what)})" for endpoint, what in found.items())
    every = len(found) == len({result.endpoint for result in analysis.results})
    return [Callout("warn", "Emulated: no real hardware was measured" if every else "Some endpoints are emulated",
                    f"{listed}. These figures are a model's, made to try the tool; do not buy by them.")]


def _unfinished(analysis: Analysis) -> list[Block]:
    statuses = Counter(result.summary.stage.status for result in analysis.results)
    statuses.pop("done", None)
    if not statuses:
        return []
    told = ", ".join(f"{count} {status}" for status, count in statuses.items())
    stages = formats.several(len(analysis.results), "stage")
    return [Callout("warn", "The run is not complete", f"Of {stages}: {told}.")]


def _card(found: Recommendation, analysis: Analysis) -> FactList | Callout:
    best = found.best
    if best is None:
        return Callout("bad", f"{found.scope}: no recommendation", found.sentence + _nearest(found, analysis))
    return FactList(_facts(best, found), found.sentence, _badge(best))


def _badge(best: StageResult) -> Fact:
    checked = [check for check in best.checks if check.result in AUDIT_MARKS]
    odd = [check for check in checked if check.result != "PASS"]
    return Fact("Audit of this stage", best.audit, f"{len(checked) - len(odd)} of {len(checked)} checks pass",
                AUDIT_MARKS[best.audit])


def _facts(best: StageResult, found: Recommendation) -> list[Fact]:
    cost = best.cost
    facts = [
        Fact("Endpoint", best.endpoint, best.instance_type or ""),
        Fact("Load", best.summary.stage.load_label,
             f"{text(best.value('achieved_concurrency'), formats.significant)} in flight"),
        Fact("Per 10k transactions", text(cost.price_per_10k_transactions, formats.usd),
             *_judged(best, "price_per_10k_transactions")),
        Fact("Per 1M output tokens", text(cost.price_per_1m_output_tokens, formats.usd),
             *_judged(best, "price_per_1m_output_tokens")),
        Fact("Transactions", f"{text(best.value('transactions_per_minute'), formats.significant)}/min"),
        Fact("Output throughput", f"{text(best.value('output_tokens_per_s'), formats.significant)} tokens/s"),
        *(_latency(best, name) for name in _LATENCIES),
        Fact("Tokens in → out", " → ".join(text(best.value(name), formats.count) for name in
                                           ("input_tokens_mean", "output_tokens_mean")), "mean of a request"),
        Fact("Error rate", text(best.value("error_rate"), formats.percent), *_judged(best, "error_rate"))]
    if found.runner_up is not None and found.saving is not None:
        times = 1 / (1 - found.saving)
        more = f"{times:.2g} ×" if times >= 2 else f"+{formats.percent(times - 1)}"
        facts.append(Fact("Next best costs", more, found.runner_up.endpoint))
    return facts


def _latency(best: StageResult, name: str) -> Fact:
    """The statistic that an objective judges, else p95, else the median where there are too few samples."""
    judged = [verdict.objective.name for verdict in best.verdicts
              if verdict.objective.metric == name and best.value(verdict.objective.name) is not None]
    known = [each for each in (f"{name}_p95", f"{name}_p50") if best.is_known(each)]
    shown = next(iter([*judged, *known]), f"{name}_p50")
    label = f"{name.upper()} {shown.removeprefix(f'{name}_')}"
    return Fact(label, text(best.value(shown), formats.duration), *_judged(best, shown))


def _judged(best: StageResult, name: str) -> tuple[str, Mark | None]:
    """What the objective on this figure says, and whether it is met."""
    for verdict in best.verdicts:
        if verdict.objective.name == name:
            sign = "at most" if verdict.objective.bound == "at most" else "at least"
            return f"{sign} {limit_value(verdict.objective)}", STATE_MARKS[verdict.state]
    return "", None


def _nearest(found: Recommendation, analysis: Analysis) -> str:
    """What the stage that missed the fewest objectives missed."""
    group = [result for result in analysis.results
             if result.prompt_set == found.scope and result.verdicts and result.totals.completed]
    if not group or found.set_aside or all(result.objectives == "met" for result in group):
        return ""
    nearest = min(group, key=lambda result: [sum(verdict.state == state for verdict in result.verdicts)
                                             for state in ("missed", "unknown")])
    missed = ", ".join(f"{limit_text(verdict.objective)} {verdict_text(verdict)}"
                       for verdict in nearest.verdicts if not verdict.met)
    stage = nearest.summary.stage
    return f" Nearest is {nearest.endpoint} at {stage.load_label} (stage {stage.stage}): {missed}."


def _audit(analysis: Analysis) -> Callout:
    states = Counter(result.audit for result in analysis.results)
    told = ", ".join(f"{states[state]} {state}" for state in ("PASS", "WARN", "FAIL") if states[state]) or "none"
    worst: Mark = "bad" if states["FAIL"] else "warn" if states["WARN"] else "good"
    bound = [str(result.stage) for result in analysis.results if result.client_bound]
    text_ = f"Stages by audit: {told}. A stage that fails is never the best; [the audit](#audit) says why."
    if bound:
        text_ += f" The client was the limit in stage {', '.join(bound)}."
    return Callout(worst if analysis.results else "note", "Do these numbers hold?", text_)
