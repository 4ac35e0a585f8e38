"""What a stage gives against what it costs or keeps people waiting; one of the two pictures is the answer page's."""

from __future__ import annotations

from fmload_analysis.document.document import Axis, Chart, Point, Rule, Section, Series
from fmload_analysis.document.formats import limit, usd
from fmload_analysis.document.questions import QUEUE
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import is_sound
from fmload_analysis.verdict.naming import as_series, lines, stage_name
from fmload_analysis.verdict.table import StageResult, only_product

_PER_10K = {"price_per_transaction": 1e4, "price_per_1k_transactions": 10.0, "price_per_10k_transactions": 1.0}


def render(analysis: Analysis) -> Section | None:
    """Throughput against latency. None where it stands on the answer page, or nothing was measured."""
    chart = _throughput(analysis)
    if not chart.series or tradeoff(analysis) == chart:
        return None
    return Section("throughput", "Throughput and latency", [chart], QUEUE)


def tradeoff(analysis: Analysis) -> Chart | None:
    """Price against latency where a price is known, else throughput against latency; None with fewer than two
    points, which show no trade-off."""
    found = (_price(analysis), _throughput(analysis))
    return next((chart for chart in found if sum(len(series.points) for series in chart.series) > 1), None)


def _throughput(analysis: Analysis) -> Chart:
    """A line for each endpoint and prompt set, from its lowest to its highest load."""
    found, made = lines(analysis), only_product(analysis.results)
    name = made.rate if made else "output_tokens_per_s"
    axis = Axis(made.title, made.per) if made else Axis("Output", "tokens/s")
    series = [as_series(line, found, [
        Point(rate, latency, tip=stage_name(result)) for result in line.results
        if (rate := result.value(name)) is not None
        and (latency := result.value("e2e_p50")) is not None]) for line in found]
    return Chart("throughput_latency", "Throughput against latency", "xy", axis,
                 Axis("E2E latency p50", "s"), [each for each in series if each.points],
                 note="Each line runs from the lowest to the highest load; where it turns upwards, "
                      "more load buys only waiting.")


def _statistic(analysis: Analysis) -> str:
    """What an objective judges, else p95; the median where a measured stage has too few requests for those."""
    judged = [objective.stat for objective in analysis.objectives if objective.metric == "e2e" and objective.stat]
    measured = [result for result in analysis.results if result.value("e2e_p50") is not None]
    return next((stat for stat in (*judged, "p95")
                 if all(result.is_known(f"e2e_{stat}") for result in measured)), "p50")


def _price(analysis: Analysis) -> Chart:
    """A bubble a stage, its size the throughput; the corner that keeps the objectives is shaded."""
    statistic = _statistic(analysis)
    found = lines(analysis)
    largest = max((result.value("transactions_per_minute") or 0 for result in analysis.results), default=0) or 1
    best = {recommendation.best.stage for recommendation in analysis.best if recommendation.best}
    prompt_sets = list(dict.fromkeys(line.prompt_set for line in found))
    series = [Series(_name(line.results[0]), [
        point for result in line.results if (point := _point(result, statistic, largest, result.stage in best))],
        line.color, joined=False, panel=prompt_set if len(prompt_sets) > 1 else "")
        for prompt_set in prompt_sets for line in found if line.prompt_set == prompt_set]
    return Chart("price_performance", "Price against latency", "xy", Axis(f"E2E latency {statistic}", "s"),
                 Axis("Price per 10k transactions", "USD"), [each for each in series if each.points],
                 _rules(analysis, statistic),
                 "Left and down is better. A bubble is a stage, its area the transactions per minute; the ringed ones "
                 "are recommended.")


def _name(result: StageResult) -> str:
    kind = result.instance_type
    return f"{result.endpoint} ({kind})" if kind and kind != result.endpoint else result.endpoint


def _point(result: StageResult, statistic: str, largest: float, best: bool) -> Point | None:
    latency, price = result.value(f"e2e_{statistic}"), result.cost.price_per_10k_transactions
    if latency is None or price is None:
        return None
    rate = result.value("transactions_per_minute") or 0
    tip = f"{stage_name(result)}; {rate:.3g} transactions/min" + ("" if is_sound(result) else f"; audit {result.audit}")
    return Point(latency, price, size=rate / largest, tip=tip, mark="good" if best else None)


def _rules(analysis: Analysis, statistic: str) -> list[Rule]:
    rules = []
    for objective in analysis.objectives:
        if objective.name == f"e2e_{statistic}":
            rules.append(Rule("x", objective.limit, f"at most {limit(objective.limit)}"))
        if objective.name in _PER_10K:
            most = objective.limit * _PER_10K[objective.name]
            rules.append(Rule("y", most, f"at most {usd(most)}"))
    return rules
