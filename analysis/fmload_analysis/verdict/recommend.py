"""Which option to take: the cheapest that meets the objectives, and by how much it is better than the next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmload.base.units import format_duration
from fmload_analysis.document.formats import percent, significant, usd
from fmload_analysis.verdict.capacity import bracket
from fmload_analysis.verdict.objections import objections
from fmload_analysis.verdict.table import StageResult

_ROUGH = {"approximate": "counted with a tokenizer that is not the model's", "chunks": "counts of chunks"}


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best stage among some, or why there is none. `saving`: share by which it is cheaper than `runner_up`, the
    best of another endpoint (None: no other, or no prices). `bracketed`: a higher load than the best was tried."""

    scope: str
    best: StageResult | None
    runner_up: StageResult | None
    saving: float | None
    sentence: str
    set_aside: tuple[StageResult, ...] = ()  # missed no objective, but for another reason may not be recommended
    bracketed: bool = True


def recommend(results: Sequence[StageResult], scope: str = "this run") -> Recommendation:
    """The cheapest stage that may be recommended (`objections`).

    Cheapest by price per transaction; without prices, highest request throughput. Stages that missed no objective and
    still may not be recommended are named where they would have been chosen.
    """
    measured = [result for result in results if result.totals.completed]
    sound = sorted((result for result in measured if not objections(result)), key=_rank)
    aside = tuple(result for result in measured if result.objectives != "missed" and objections(result)
                  and (not sound or _rank(result) < _rank(sound[0])))
    if not sound:
        return Recommendation(scope, None, None, None, _none_sentence(results, aside, scope), aside)
    best = sound[0]
    runner_up = next((result for result in sound if result.endpoint != best.endpoint), None)
    saving, bracketed = _saving(best, runner_up), bracket(best, results) is not None
    sentence = _sentence(best, runner_up, saving, scope) + _bracket(best, bracketed) + _aside(aside)
    return Recommendation(scope, best, runner_up, saving, sentence, aside, bracketed)


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
    return f"{result.endpoint}{where} at {result.load}"


def _sentence(best: StageResult, other: StageResult | None, saving: float | None, scope: str) -> str:
    judged = "meets the objectives" if best.objectives == "met" else "has no objectives to meet"
    price = best.cost.price_per_10k_transactions
    cost = f"{usd(price)} per 10,000 transactions" if price is not None else "at a price that is n/a"
    errors = best.value("error_rate")
    text = (f"For {scope}, {describe(best)} {judged}, {cost}: "
            f"{significant(best.value('transactions_per_minute') or 0)} transactions a minute, {_latency(best)}, "
            f"{_size(best)}, "
            f"{f'{percent(errors)} errors' if errors else 'no errors'}.")
    if other and saving is not None:
        text += f" That is {saving:.0%} cheaper than {describe(other)}."
    if best.summary.stage.mix is not None and price is not None:
        text += " The price holds inside its mix alone, whose components share the hours of their endpoints."
    return text + rough_counts(best)


def _size(result: StageResult) -> str:
    """What a request is: `550 tokens in and 150 out`, `16 inputs of 1,600 tokens in all, 450 inputs a second`, or `4
    images a request, 12 images a minute`."""
    tokens_in, tokens_out = result.value("input_tokens_mean") or 0, result.value("output_tokens_mean") or 0
    if result.transcribes or result.speaks:
        return _size_of_sound(result)
    made = result.product
    if made is None:
        return f"{tokens_in:.0f} tokens in and {tokens_out:.0f} out"
    each = result.value(made.each) or 0
    of = f" of {tokens_in:,.0f} tokens" if result.embeds else ""
    return (f"{each:,.4g} {made.one if each == 1 else made.noun}{of} a request, "
            f"{significant(result.value(made.rate) or 0)} {made.noun} {made.per}")


def _size_of_sound(result: StageResult) -> str:
    """`12.4 s of sound a request, 40 s transcribed a second`."""
    each, rate, what = result.value("audio_mean"), result.value("audio_per_s"), "transcribed"
    if result.speaks:
        what = "made"
    characters = f"{result.value('characters_mean') or 0:,.0f} characters" + ("" if result.speaks else " heard in it")
    if each is None or rate is None:
        return f"{characters} a request"
    sound = f"{significant(each)} s of sound"
    both = f"{characters} ({sound})" if result.speaks else f"{sound} ({characters})"
    return f"{both} a request, {significant(rate)} s of sound {what} a second"


def rough_counts(result: StageResult) -> str:
    """A sentence where the stage's output tokens are not counts of the server or of the model's tokenizer."""
    named = [words for name, words in _ROUGH.items() if result.summary.evidence.tokens_source.get(name)]
    return f" Its output tokens are {' and '.join(named)}: approximate, as is every price by them." if named else ""


def _latency(result: StageResult) -> str:
    if result.is_known("e2e_p95"):
        return f"E2E p95 {format_duration(result.value('e2e_p95'))}"
    return f"median E2E {format_duration(result.value('e2e_p50'))}"


def _bracket(best: StageResult, bracketed: bool) -> str:
    return "" if bracketed else (f" {best.summary.stage.load_label} is the highest load that was tried: its capacity "
                                 "is not bracketed, and may be higher.")


def _aside(set_aside: Iterable[StageResult]) -> str:
    """Each reason with its stages."""
    named: dict[str, list[str]] = {}
    for result in set_aside:
        named.setdefault(" and ".join(objections(result)), []).append(describe(result))
    return "".join(f" Set aside because {_because(reason)}: {', '.join(stages)}." for reason, stages in named.items())


def _because(reason: str) -> str:
    return reason if reason.startswith("the ") else f"of {reason}" if reason.endswith("errors") else f"{reason}"


def _none_sentence(results: Sequence[StageResult], set_aside: Sequence[StageResult], scope: str) -> str:
    if not any(result.totals.completed for result in results):
        failed = sum(result.totals.failed for result in results)
        return f"For {scope}, nothing was measured{f': all {failed:,} requests failed' if failed else ''}."
    unknown = [result for result in set_aside if objections(result) == [
        each for each in objections(result) if each.endswith("unknown")]]
    if unknown:
        return (f"For {scope}, no stage is shown to meet the objectives, and some may. {_settled(unknown)}"
                + _rest(set_aside, unknown))
    if set_aside:
        return f"For {scope}, no stage may be recommended.{_aside(set_aside)}"
    return f"For {scope}, no stage meets the objectives."


def _rest(set_aside: Sequence[StageResult], unknown: Sequence[StageResult]) -> str:
    return _aside([result for result in set_aside if not any(result is one for one in unknown)])


def _settled(unknown: Sequence[StageResult]) -> str:
    """What would settle the one that needs the fewest requests."""
    def needed(result: StageResult) -> float:
        counts = [one.needed for one in result.verdicts if one.state == "unknown"]
        return max((math.inf if count is None else count for count in counts), default=math.inf)

    nearest = min(unknown, key=needed)
    names = ", ".join(one.objective.name for one in nearest.verdicts if one.state == "unknown")
    count = needed(nearest)
    more = f"about {int(count):,} more requests like these would settle it" if math.isfinite(count) else (
        "no number of requests like these would settle it" if any(one.n for one in nearest.verdicts)
        else "it was not measured")
    return f"At {describe(nearest)} {names} is unknown: {more}."


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
