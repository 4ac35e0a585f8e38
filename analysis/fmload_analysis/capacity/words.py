"""What a plan says in words: the headline, and what every figure means."""

from __future__ import annotations

import math
from collections.abc import Mapping

from fmload_analysis.capacity.answer import Answer, Option
from fmload_analysis.capacity.figures import Estimate
from fmload_analysis.capacity.limits import KEEPS_UP, Judged
from fmload_analysis.capacity.money import ByToken
from fmload_analysis.capacity.plan import Plan
from fmload_analysis.capacity.trial import Tried
from fmload_analysis.document import formats
from fmload_analysis.document.document import Mark, plain

MARKS: Mapping[str, Mark] = {"kept": "good", "unclear": "warn", "missed": "bad"}


def option_name(option: Option) -> str:
    """The endpoint, with its instance type where that is known."""
    return f"{option.name} ({option.instance_type})" if option.instance_type else option.name


def kept(tried: Tried) -> str:
    """`kept`, `unclear` (an interval holds its limit) or `missed`, of all objectives together."""
    results = {row.result for row in tried.rows}
    return next((state for state in ("missed", "unclear") if state in results), "kept")


def shown(found: Estimate, form: formats.Format) -> str:
    """A figure with its interval: `0.42 (0.41 to 0.43)`."""
    if found.low is None or found.high is None:
        return form(found.value)
    return f"{form(found.value)} ({form(max(found.low, 0.0))} to {form(found.high)})"


def count(replicas: float) -> str:
    """Replicas: whole ones to the last, a mean of them to three digits."""
    return formats.count(replicas) if replicas == round(replicas) else formats.significant(replicas)


def headline(found: Answer) -> list[str]:
    """One sentence an option."""
    limits = ", ".join(f"{one.name} ≤ {formats.of_unit(one.unit)(one.limit)}" for one in found.objectives)
    why = "a simulation judges none of the objectives" if found.unjudged else "no objectives were given"
    goal = limits or f"no queue that grows, and a utilisation of 80 % at most ({why})"
    told = [_sentence(found, option, goal) for option in found.options]
    return told + [_by_token(one) for one in found.by_token]


def _by_token(one: ByToken) -> str:
    if one.usd_per_month is None:
        return f"By the token, {plain(one.name)}: no price ({plain(one.reason)})."
    return f"By the token, **{plain(one.name)}**: {formats.usd(one.usd_per_month)} a month, nothing cached."


def _lost(tried: Tried) -> str:
    """What keeps a fleet of any size from keeping up: requests that are lost with replicas."""
    share = tried.figures["error_rate"].value
    if not share > 1 - KEEPS_UP:
        return ""
    return f"; {formats.percent(share)} of the requests are lost with replicas that fail"


def _figure(row: Judged) -> str:
    """As it is shown; where no request was answered there is none."""
    return "n/a" if math.isnan(row.found.value) else formats.of_unit(row.unit)(row.found.value)


def given_up(plan: Plan) -> str:
    """What the largest fleet of a plan without an answer misses."""
    last = next(one for one in reversed(plan.tried) if not one.keeps)
    wrong = ", ".join(f"{row.name} {_figure(row)} ({row.result})" for row in last.rows if row.result != "kept")
    more = " with more of it simulated" if last.wider else ""
    return f"Of {last.replicas:,}, the most that were tried{more}: {wrong}{_lost(last)}."


def _sentence(found: Answer, option: Option, goal: str) -> str:
    best = option.plan.best
    if best is None:
        return f"**{plain(option_name(option))}**: no number of replicas keeps {goal}. {given_up(option.plan)}"
    usd = formats.usd(option.month_usd) if option.month_usd is not None else "a price that is not known"
    lost = f", with {found.settings.lose} of them lost" if found.settings.lose else ""
    text = (f"**{plain(option_name(option))}**: **{formats.several(best.replicas, 'replica')}** "
            f"{'keeps' if best.replicas == 1 else 'keep'} {goal}{lost}, for **{usd}** a month.")
    if option.plan.scaled is None:
        return text
    scaled = option.scaled_month_usd
    return text + (f" With autoscaling {count(option.plan.paid_replicas or 0.0)} are paid for on average"
                   + (f", {formats.usd(scaled)} a month" if scaled is not None else "")
                   + f"; objectives {kept(option.plan.scaled)}.")


def meaning(found: Answer) -> list[str]:
    """Every figure of the plan, defined."""
    return [
        "**Replica**: the endpoint as it was measured, one address of it where it has several. Its model is fitted to "
        "the times between chunks and to first tokens of the run.",
        "**TTFT, E2E**: from a request's arrival to its first and last token, as in the report; p95 is over the "
        "requests that arrive in the simulated window after its first 15 %, which fill the fleet; of a trace that is "
        "simulated from its beginning all count.",
        "**Intervals**: 95 %, Student's t over the seeds. They hold the chance of arrivals and lengths; not the "
        "error of the model, which its table tells, nor the noise of the run that it was fitted to.",
        "**Kept**: the whole interval is within the limit; unclear: the limit is inside it; missed: none of it is. "
        f"Every plan must also keep up: for {KEEPS_UP:.0%} of the requests that arrive in the window a slot is free "
        "before it ends, and the replicas could answer as many in it.",
        "**Utilisation**: requests answered a second ÷ the most that the replicas that are paid for, and not down "
        "by a failure, could answer at these lengths with all slots taken. **Busy**: share of the paid time in which a "
        "replica worked on something. **Slots taken**: share of the paid time of its slots.",
        "**Lost**: requests of replicas that failed ÷ requests.",
        "**A month**: replicas × USD an hour × 730 h. With autoscaling: the mean over the day of the replicas that "
        "the rate calls for at the target, let go one cooldown after the other. By the token: requests of 730 h × the "
        "mean price of one, nothing cached.",
        f"**Simulated**: at most {found.settings.most_simulated} replicas of the smallest fleet that could serve the "
        "demand, and the same share of larger ones; four times as many to find the fleet that is told. The page tells "
        "how far the two are apart. The same seed gives the same plan.",
    ]
