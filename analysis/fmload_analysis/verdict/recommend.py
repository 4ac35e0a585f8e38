"""Which option to take: the cheapest that meets the objectives, and by how much it is better than the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmload.base.units import format_duration
from fmload_analysis.document.formats import significant, usd
from fmload_analysis.verdict.capacity import capacity_of
from fmload_analysis.verdict.table import StageResult


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best stage among some, or why there is none. `saving`: share by which it is cheaper than `runner_up`, the
    best of another endpoint (None: no other, or no prices)."""

    scope: str
    best: StageResult | None
    runner_up: StageResult | None
    saving: float | None
    sentence: str
    set_aside: tuple[StageResult, ...] = ()  # met the objectives, but failed the audit


def recommend(results: Sequence[StageResult], scope: str = "this run") -> Recommendation:
    """The cheapest stage that meets the objectives and passed its audit.

    Cheapest by price per transaction; without prices, highest request throughput. Stages that failed the audit are
    never chosen; they are named when they would have been.
    """
    met = [result for result in results if result.meets_objectives is not False and result.totals.completed]
    set_aside = tuple(result for result in met if result.audit == "FAIL")
    sound = sorted((result for result in met if result.audit != "FAIL"), key=_rank)
    if not sound:
        return Recommendation(scope, None, None, None, _none_sentence(results, set_aside, scope), set_aside)
    best = sound[0]
    runner_up = next((result for result in sound if result.endpoint != best.endpoint), None)
    saving = _saving(best, runner_up)
    sentence = _sentence(best, runner_up, saving, scope, set_aside) + _not_bracketed(results, best)
    return Recommendation(scope, best, runner_up, saving, sentence, set_aside)


def _rank(result: StageResult) -> tuple[bool, float]:
    price = result.cost.price_per_transaction
    return (price is None, price if price is not None else -(result.value("requests_per_s") or 0.0))


def _saving(best: StageResult, other: StageResult | None) -> float | None:
    here = best.cost.price_per_transaction
    there = other.cost.price_per_transaction if other else None
    return None if here is None or not there else 1 - here / there


def describe(result: StageResult) -> str:
    """`inf2-tgi on inf2.xlarge at 4 users`."""
    where = f" on {result.instance_type}" if result.instance_type else ""
    return f"{result.endpoint}{where} at {result.summary.stage.load_label}"


def _sentence(best: StageResult, other: StageResult | None, saving: float | None, scope: str,
              set_aside: Iterable[StageResult]) -> str:
    judged = "meets the objectives" if best.meets_objectives else "has no objectives to meet"
    price = best.cost.price_per_10k_transactions
    cost = f"{usd(price)} per 10,000 transactions" if price is not None else "at a price that is n/a"
    tokens_in, tokens_out = best.value("input_tokens_mean") or 0, best.value("output_tokens_mean") or 0
    text = (f"For {scope}, {describe(best)} {judged}, {cost}: "
            f"{significant(best.value('transactions_per_minute') or 0)} transactions a minute, {_latency(best)}, "
            f"{tokens_in:.0f} tokens in and {tokens_out:.0f} out.")
    if other and saving is not None:
        text += f" That is {saving:.0%} cheaper than {describe(other)}."
    if best.summary.stage.mix is not None and price is not None:
        text += " The price holds inside its mix alone, whose components share the hours of their endpoints."
    return text + _aside(set_aside)


def _not_bracketed(results: Sequence[StageResult], best: StageResult) -> str:
    """A warning where no higher load than the best one was tried: more may go through, and be cheaper still."""
    if best.summary.stage.mix is not None:
        return ""
    found = capacity_of([result for result in results
                         if (result.endpoint, result.prompt_set) == (best.endpoint, best.prompt_set)])
    if found is None or found.bracketed or found.result.stage != best.stage:
        return ""
    price = "" if best.pricing is not None and best.pricing.by_token else ", and at which price,"
    return f" Its capacity is {found.how}; what more it carries{price} is not known."


def _latency(result: StageResult) -> str:
    p95 = result.value("e2e_p95")
    if p95 is not None:
        return f"E2E p95 {format_duration(p95)}"
    return f"median E2E {format_duration(result.value('e2e_p50'))}"


def _aside(set_aside: Iterable[StageResult]) -> str:
    named = ", ".join(describe(result) for result in set_aside)
    return f" Set aside because the audit failed: {named}." if named else ""


def _none_sentence(results: Sequence[StageResult], set_aside: Sequence[StageResult], scope: str) -> str:
    if not any(result.totals.completed for result in results):
        failed = sum(result.totals.failed for result in results)
        return f"For {scope}, nothing was measured{f': all {failed:,} requests failed' if failed else ''}."
    if set_aside:
        return f"For {scope}, no stage that meets the objectives passed its audit.{_aside(set_aside)}"
    return f"For {scope}, no stage meets the objectives."


def per_instance(results: Sequence[StageResult]) -> tuple[Recommendation, ...]:
    """One recommendation for each instance type (endpoint, where that is unknown) and prompt set."""
    groups: dict[tuple[str, str], list[StageResult]] = {}
    for result in results:
        groups.setdefault((result.prompt_set, result.instance_type or result.endpoint), []).append(result)
    return tuple(recommend(group, f"{prompt_set} on {where}") for (prompt_set, where), group in groups.items())


def per_prompt_set(results: Sequence[StageResult]) -> tuple[Recommendation, ...]:
    """One recommendation for each prompt set, over all endpoints."""
    groups: dict[str, list[StageResult]] = {}
    for result in results:
        groups.setdefault(result.prompt_set, []).append(result)
    return tuple(recommend(group, prompt_set) for prompt_set, group in groups.items())
