"""What a trial of a search over stacks found: the figure that ranks its candidate, with an interval; and what is shown.

The figure is taken at the highest load that was shown to meet the objectives. Its interval holds both that the load was
measured for so long only (batch means), and that the highest load that meets may be any below the lowest that was
shown to miss: at that one throughput is no lower, as it never falls while load rises toward capacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from fmload.model.stack import Figure, Found, Status
from fmload.stacks.figure import Ends, span
from fmload_analysis.stage.telemetry import server_view
from fmload_analysis.verdict.analysis import Analysis
from fmload_analysis.verdict.capacity import Capacity, capacity_of, is_sound
from fmload_analysis.verdict.objections import objections, too_many_errors
from fmload_analysis.verdict.roofline import Load, roofline
from fmload_analysis.verdict.stack_limits import NEXT, limit_at_capacity
from fmload_analysis.verdict.table import StageResult

_SAMPLES = 6  # the group of the audit's checks that ask whether enough was measured, in a steady state
_RATES = {"price_per_1m_output_tokens": "output_tokens_per_s", "output_tokens_per_s": "output_tokens_per_s"}


def found(analysis: Analysis, by: str) -> Found:
    """What the analysis of a trial says of its candidate, ranked by the figure `by`."""
    results = analysis.results
    measured_s = sum(result.totals.window_s for result in results)
    costs = [one for one in (analysis.total_usd, analysis.repeated_usd) if one is not None]
    usd = sum(costs) if costs else None
    best = capacity_of(results)
    if best is None:
        status, figure, reason = _without(results)
        return Found(status, figure, reason, measured_s, usd, {**_facts(results, None), **_limit(analysis)})
    ranked = _figure(best.result, results, by)
    if ranked is None:
        return Found("failed", Figure(), f"{by} is not known: {_unpriced(analysis)}", measured_s, usd,
                     _facts(results, best.result))
    return Found("measured", ranked, best.how, measured_s, usd,
                 {**_facts(results, best.result), **_limit(analysis)})


def _without(results: Sequence[StageResult]) -> tuple[Status, Figure, str]:
    """Of a trial in which no load may stand for its capacity."""
    tried = [result for result in results if result.totals.started]
    if not tried:
        return "failed", Figure(), "nothing was measured"
    lowest = min(tried, key=lambda result: float(result.summary.stage.load.value))
    where = lowest.summary.stage.load_label
    if not any(is_sound(result) for result in tried) and not any(_misses(result) for result in tried):
        return _unsound(tried)
    if _misses(lowest):
        return "missed", Figure(), f"the lowest load, {where}: {' and '.join(objections(lowest))}"
    return "measured", Figure(), f"no load is shown to meet the objectives, and some may: at {where}, " + (
        " and ".join(objections(lowest)) or "nothing was completed")


def _unsound(tried: Sequence[StageResult]) -> tuple[Status, Figure, str]:
    """Where no stage's numbers may be used. Was the load generator the limit in any of them, or was only too little
    measured, nothing is known of the candidate: its figure is open, and a longer trial may tell."""
    fails = [check for result in tried for check in result.checks if check.result == "FAIL"]
    failed = next(iter(fails), None)
    limit = next((check for result in tried for check in result.checks if check.client_bound), None)
    if limit is not None:
        return "measured", Figure(), f"the load generator was the limit: {limit.name}: {limit.sentence}"
    if failed is not None and all(check.group == _SAMPLES for check in fails):
        return "measured", Figure(), f"too little was measured: {failed.name}: {failed.sentence}"
    return "failed", Figure(), "no stage passed its audit" + (f": {failed.name}: {failed.sentence}" if failed else "")


def _misses(result: StageResult) -> bool:
    return result.objectives == "missed"


def _figure(best: StageResult, results: Sequence[StageResult], by: str) -> Figure | None:
    value = best.value(by)
    if value is None:
        return None
    if best.pricing is not None and best.pricing.by_token and by.startswith("price"):
        return Figure(value, value, value)
    rate = _RATES.get(by, "requests_per_s")
    least, most = _span(best, results, rate)
    per = best.value(rate) or 0.0
    least, most = None if least is None else min(least, per), None if most is None else max(most, per)
    if by.startswith("price"):  # so many USD an hour ÷ the rate
        return Figure(value, value * per / most if most else None, value * per / least if least else None)
    return Figure(value, least, most)


def _span(best: StageResult, results: Sequence[StageResult], rate: str) -> Ends:
    """The interval of the rate at the highest load that meets."""
    above = [result for result in results if _load(result) > _load(best) and _misses(result) and _same(result, best)]
    return span(_ends(best, rate), [(_load(result), _ends(result, rate)[1]) for result in above], bool(best.verdicts))


def _ends(result: StageResult, rate: str) -> Ends:
    found = result.summary.intervals.get(rate)
    return (None, None) if found is None else (found.low, found.high)


def _same(one: StageResult, other: StageResult) -> bool:
    return one.summary.stage.load.kind == other.summary.stage.load.kind


def _load(result: StageResult) -> float:
    return float(result.summary.stage.load.value)


def _unpriced(analysis: Analysis) -> str:
    return "; ".join(str(one) for one in analysis.unpriced.values()) or "no price"


def _facts(results: Sequence[StageResult], best: StageResult | None) -> dict[str, Any]:
    """What the report of the search shows of a trial; plain values."""
    points = [_point(result) for result in results if is_sound(result) and not too_many_errors(result)]
    facts: dict[str, Any] = {"stages": len(results), "points": [point for point in points if point is not None]}
    if best is None:
        return facts
    return {**facts, "load": best.summary.stage.load_label, "stage": best.stage, "highest": _load(best),
            "instance_type": best.instance_type,
            "audit": best.audit, "usd_per_hour": best.pricing.usd_per_hour if best.pricing else None,
            **{name: best.value(name) for name in (
                "requests_per_s", "output_tokens_per_s", "error_rate", "ttft_p50", "ttft_p95", "tpot_p50", "tpot_p95",
                "price_per_1m_output_tokens", "price_per_transaction", "input_tokens_mean", "output_tokens_mean")}}


def _limit(analysis: Analysis) -> dict[str, Any]:
    """What limited it, with the evidence, and what to try because of it; empty where nothing was measured."""
    tried = [result for result in analysis.results if result.totals.started]
    if not tried:
        return {}
    limit = limit_at_capacity(analysis.run, tried)
    return {"limit": limit.name, "evidence": limit.evidence, "next": NEXT.get(limit.name, ""),
            **_used(analysis, capacity_of(tried))}


def _used(analysis: Analysis, best: Capacity | None) -> dict[str, Any]:
    """At the highest load that meets: the roofline, and what the server tells of its guesses and its prefix cache."""
    if best is None:
        return {}
    result = best.result
    stage = result.summary.stage
    server, spec = server_view(analysis.run, stage), analysis.run.endpoint(stage.endpoint)
    cached = server.cached_share if server.cached_share is not None else result.value("cached_share")
    rate, tpot, taken, given, made = (result.value(name) for name in (
        "output_tokens_per_s", "tpot_p50", "input_tokens_per_s", "input_tokens_mean", "output_tokens_mean"))
    used: dict[str, Any] = {"cached_share": cached, "accepted_share": server.accepted_share}
    if rate and tpot and taken and given and made:
        load = Load(rate, tpot, taken, given, made, cached or 0.0)
        found = roofline(spec.model, result.instance_type, load)
        used["roofline"] = None if found is None else asdict(found)
    return used


def _point(result: StageResult) -> dict[str, Any] | None:
    """The stage on the plane of price and speed: USD per 1M output tokens, tokens a second for one user."""
    price, tpot = result.value("price_per_1m_output_tokens"), result.value("tpot_p50")
    if price is None or not tpot:
        return None
    return {"load": result.summary.stage.load_label, "price": price, "tokens_per_s_user": 1 / tpot,
            "meets": result.objectives in (None, "met")}
