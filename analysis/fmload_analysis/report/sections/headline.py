"""The answer page: what was measured, its figures, the choice where there is one to make, and whether it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fmload.metrics.definitions import METRICS
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Block,
    Callout,
    Cell,
    Column,
    Fact,
    FactList,
    Mark,
    Paragraph,
    Section,
    Table,
    literal,
)
from fmload_analysis.document.formats import text
from fmload_analysis.report.sections.missed import limit_text, limit_value, verdict_text
from fmload_analysis.report.sections.stages import AUDIT_MARKS, figure_table
from fmload_analysis.report.sections.throughput import tradeoff
from fmload_analysis.verdict.analysis import Analysis, emulated
from fmload_analysis.verdict.figures import STATE_MARKS
from fmload_analysis.verdict.products import PRODUCTS
from fmload_analysis.verdict.recommend import Recommendation
from fmload_analysis.verdict.table import StageResult

MOST_CARDS = 2  # of more prompt sets, a table says which is best
_LATENCIES = ("ttft", "itl", "tpot", "first_text", "first_audio", "e2e")
_ACRONYM = 4  # letters: longer names are no short ones


def render(analysis: Analysis) -> Section:
    """Emulations first; then what was measured, the answer, the figures, one picture, and whether they hold."""
    blocks: list[Block] = [*_emulated(analysis), *_unfinished(analysis)]
    if not analysis.results:
        return Section("result", "Result", [*blocks, Callout("bad", "Nothing was measured",
                                                             "The run ended before a stage began.")])
    blocks += [Paragraph(_measured(analysis)), *_answers(analysis), figure_table(analysis)]
    picture = tradeoff(analysis)
    return Section("result", "Result", [*blocks, *([picture] if picture else []), _audit(analysis)])


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


def _measured(analysis: Analysis) -> str:
    """`**a** (model `m`) with prompts p, at 1 to 16 users: 5 stages, 1,234 requests.`"""
    results = analysis.results
    models = {entry.get("name"): entry.get("model") for entry in analysis.run.spec.get("endpoints") or []}
    named = [f"**{endpoint}**" + (f" (model {literal(models[endpoint])})" if models.get(endpoint) else "")
             for endpoint in dict.fromkeys(result.endpoint for result in results)]
    sets = list(dict.fromkeys(result.prompt_set for result in results))
    stages = sorted((result.summary.stage for result in results), key=lambda stage: stage.load.value)
    low, high = stages[0].load_label, stages[-1].load_label
    requests = sum(result.totals.succeeded + result.totals.failed for result in results)
    tokens = [result.value(name) for name in ("input_tokens_mean", "output_tokens_mean") for result in results[:1]]
    size = f" ({tokens[0]:.0f} tokens in, {tokens[1]:.0f} out)" if len(sets) == 1 and all(tokens) and tokens[0] \
        and tokens[1] else ""
    return (f"{formats.listed(named)}, prompts {formats.listed([literal(each) for each in sets])}{size}, "
            f"{f'at {low}' if low == high else f'from {low} to {high}'}: {formats.several(len(results), 'stage')}, "
            f"{formats.several(requests, 'request')} in their windows.")


# -- the answer ---------------------------------------------------------------------------------------------------


def _answers(analysis: Analysis) -> list[Block]:
    """A card for each prompt set, or a table of many; tiles alone where there is nothing to choose by."""
    if not any(result.verdicts or result.pricing for result in analysis.results):
        return [_tiles(analysis)]
    if len(analysis.best) > MOST_CARDS:
        return [_table(analysis.best)]
    shown = _statistics([found.best for found in analysis.best if found.best])
    return [_card(found, analysis, shown) for found in analysis.best]


def _tiles(analysis: Analysis) -> FactList | Callout:
    """The stage of the highest throughput that holds."""
    found = next((each for each in analysis.best if each.best), None)
    if found is None or found.best is None:
        return Callout("bad", "No figure to stand on", " ".join(each.sentence for each in analysis.best))
    best = found.best
    several = len(analysis.results) > 1
    lead = f"{'The highest throughput was' if several else 'Measured was'} {best.endpoint} at " \
           f"{best.summary.stage.load_label}:"
    shown = _statistics([best])
    return FactList([*_throughputs(best), *(_latency(best, *each) for each in shown), _errors(best)],
                    lead, _badge(best))


def _card(found: Recommendation, analysis: Analysis, shown: Sequence[tuple[str, str]]) -> FactList | Callout:
    best = found.best
    if best is None:
        return Callout("bad", f"{found.scope}: no recommendation", found.sentence + _nearest(found, analysis))
    cost = best.cost
    prices = (("Per 10k transactions", "price_per_10k_transactions", cost.price_per_10k_transactions),
              ("Per 1M output tokens", "price_per_1m_output_tokens", cost.price_per_1m_output_tokens),
              *((product.price_label, product.price, best.value(product.price)) for product in PRODUCTS),
              ("Per 1M characters", "price_per_1m_characters", best.value("price_per_1m_characters")),
              *((("Per 1M input tokens", "price_per_1m_input_tokens", cost.price_per_1m_input_tokens),)
                if best.embeds else ()))
    facts = [*(Fact(label, text(usd, formats.usd), *_judged(best, name)) for label, name, usd in prices
               if usd is not None), *_throughputs(best), *(_latency(best, *each) for each in shown), _errors(best)]
    if found.runner_up is not None and found.saving is not None:
        times = 1 / (1 - found.saving)
        more = f"{times:.2g} ×" if times >= 2 else f"+{formats.percent(times - 1)}"
        facts.append(Fact("Next best costs", more, found.runner_up.endpoint))
    return FactList(facts, found.sentence, _badge(best))


def _table(best: Sequence[Recommendation]) -> Table:
    """A row a prompt set; no column that nobody fills."""
    columns = [Column("Prompts", numeric=False), Column("Best", numeric=False), Column("Load", numeric=False),
               Column("Per 10k", "USD"), Column("Per 1M output", "USD"), Column("Audit", numeric=False)]
    rows = []
    for found in best:
        one = found.best
        if one is None:
            rows.append([Cell(found.scope), Cell("none may be recommended", None, "bad", found.sentence),
                         *[Cell("")] * 4])
            continue
        rows.append([Cell(found.scope), Cell(one.endpoint, None, None, found.sentence),
                     Cell(one.load),
                     *(Cell("") if usd is None else formats.cell(usd, formats.usd) for usd in (
                         one.cost.price_per_10k_transactions, one.cost.price_per_1m_output_tokens)),
                     Cell(one.audit, one.audit, AUDIT_MARKS[one.audit])])
    kept = [place for place in range(len(columns)) if any(row[place].text for row in rows)]
    return Table([columns[place] for place in kept], [[row[place] for place in kept] for row in rows],
                 "**The best for each prompt set**")


def _badge(best: StageResult) -> Fact:
    checked = [check for check in best.checks if check.result in AUDIT_MARKS]
    odd = [check for check in checked if check.result != "PASS"]
    return Fact("Audit of this stage", best.audit, f"{len(checked) - len(odd)} of {len(checked)} checks pass",
                AUDIT_MARKS[best.audit])


def _throughputs(best: StageResult) -> list[Fact]:
    output = Fact("Output throughput", f"{text(best.value('output_tokens_per_s'), formats.significant)} tokens/s")
    if (made := best.product) is not None:
        more = (f"{text(best.value('input_tokens_per_s'), formats.significant)} tokens/s" if best.embeds else
                f"{text(best.value(made.each), formats.significant)} a request")
        output = Fact(made.title, f"{text(best.value(made.rate), formats.significant)} {made.per}", more)
    return [output, *_playback(best),
            Fact("Requests", f"{text(best.value('requests_per_s'), formats.significant)}/s",
                 f"{text(best.value('transactions_per_minute'), formats.significant)} a minute")]


def _playback(best: StageResult) -> list[Fact]:
    """Of sound: how it compares with its own pace."""
    factor, stutter = best.value("real_time_factor_p50"), best.value("stutter_share")
    return [*([] if factor is None else [Fact("Real-time factor p50", formats.significant(factor))]),
            *([] if stutter is None else [Fact("Would stutter", formats.percent(stutter),
                                               *_judged(best, "stutter_share"))])]


def _errors(best: StageResult) -> Fact:
    return Fact("Error rate", text(best.value("error_rate"), formats.percent), *_judged(best, "error_rate"))


def _statistics(shown: Sequence[StageResult]) -> list[tuple[str, str]]:
    """Of each latency the statistic that an objective judges, else p95 where all of them know it, else the median:
    the same in every card."""
    found = []
    gap = "itl" if any(best.value("itl_p50") is not None for best in shown) else "tpot"
    for metric in (name for name in _LATENCIES if name not in ("itl", "tpot") or name == gap):
        judged = [stat for best in shown for verdict in best.verdicts if verdict.objective.metric == metric
                  and (stat := verdict.objective.stat) and best.value(verdict.objective.name) is not None]
        known = [stat for stat in ("p95", "p50") if all(best.is_known(f"{metric}_{stat}") for best in shown)]
        if any(best.value(f"{metric}_p50") is not None for best in shown):
            found.append((metric, next(iter([*judged, *known]), "p50")))
    return found


def _latency(best: StageResult, metric: str, stat: str) -> Fact:
    name = f"{metric}_{stat}"
    title = metric.upper() if len(metric) <= _ACRONYM else METRICS[metric].title
    return Fact(f"{title} {stat}", text(best.value(name), formats.duration), *_judged(best, name))


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


# -- whether it holds -----------------------------------------------------------------------------------------------


def _audit(analysis: Analysis) -> Callout:
    states = Counter(result.audit for result in analysis.results)
    told = ", ".join(f"{states[state]} {state}" for state in ("PASS", "WARN", "FAIL") if states[state]) or "none"
    worst: Mark = "bad" if states["FAIL"] else "warn" if states["WARN"] else "good"
    bound = [str(result.stage) for result in analysis.results if result.client_bound]
    text_ = f"Stages by audit: {told}. A stage that fails is never the best; [the audit](#audit) says why."
    if bound:
        text_ += f" The client was the limit in stage {', '.join(bound)}."
    return Callout(worst, "Do these numbers hold?", text_)
