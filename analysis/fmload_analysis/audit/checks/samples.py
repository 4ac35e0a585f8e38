"""Enough requests, a steady window, and caches that were cold."""

from __future__ import annotations

from fmload.base.units import format_duration
from fmload.metrics.definitions import NS
from fmload.statistics.intervals import percentile_floor
from fmload_analysis.audit.facts import CLOSE, FAIL, PASS, WARN, Facts
from fmload_analysis.document.formats import several
from fmload_analysis.verdict.table import Check

# Prompt sources whose prompts have beginnings in common, and what is to be known of them.
ALIKE_ON_PURPOSE = {
    "shared_prefix": "the set's prompts share their prefixes on purpose",
    "mooncake": "the set's prompts share what those of the trace shared",
    "conversation": "each turn repeats the turns before it, with earlier answers that are made up: a server that "
                    "caches its own answers, too, finds less of them than in a real chat",
    "sharegpt": "each turn repeats the turns before it, with the answers of the data set: a server that caches its own "
                "answers, too, finds less of them than in a real chat",
}
SERVED = "each turn repeats the turns before it, with what the server really said"
FEW = 11  # the fewest samples for a median by the rule of the floors


def enough_samples(facts: Facts) -> Check | None:
    """Enough requests for the percentiles shown, and a window that is long against a request."""
    totals, stage_s = facts.summary.totals, facts.value("e2e_mean")
    if not totals.window_s:
        return None
    n = totals.succeeded
    few = [f"p{p}" for p in (90, 95, 99) if n < percentile_floor(p)]
    lengths = totals.window_s / stage_s if stage_s else None
    short = lengths is not None and lengths < 3
    result = FAIL if n < 2 else WARN if n < FEW or short else PASS
    text = f"{several(n, 'request')} succeeded"
    if few:
        text += f": too few for {', '.join(few)}, shown with bounds and marked"
    if short:
        text += f"; the window is only {lengths:.1f} requests long"
    return Check(6, "enough requests", result, text + ".", {"n": n, "window_in_requests": lengths})


def steady(facts: Facts) -> Check | None:
    """First half of the window against the second, and whether the warm-up reached into it."""
    found = facts.summary.evidence.drift
    if found is None:
        return None
    changed = abs(found.change) > CLOSE and found.p_value < 0.01
    result = (FAIL if abs(found.change) > 0.5 else WARN) if changed else PASS
    return Check(6, "no drift", result,
                 f"Median E2E went from {format_duration(found.first)} in the first half to "
                 f"{format_duration(found.second)} in the second ({found.change:+.1%}, Mann–Whitney "
                 f"p = {found.p_value:.2g}).",
                 {"first_s": found.first, "second_s": found.second, "p_value": found.p_value})


def warmed_up(facts: Facts) -> Check | None:
    """Whether the warm-up reached into the window."""
    settled_s = facts.summary.evidence.warmed_up_s
    if settled_s is None:
        return None
    result = WARN if settled_s > CLOSE * facts.summary.totals.window_s else PASS
    text = f"E2E latency settled {format_duration(settled_s)} after the window opened" if settled_s > 0 else (
        "No start-up transient was found in E2E latency")
    return Check(6, "warmed up", result, text + " (MSER-5)." + (
        " A longer warm-up would leave it out." if result == WARN else ""), {"settled_s": settled_s})


def warmup_ended(facts: Facts) -> Check | None:
    """Whether a warm-up that was to end by what came did so, or by its limit."""
    stage = facts.summary.stage
    if stage.warmup.by_time or stage.warmup_ended is None or not stage.warmup_start_ns:
        return None
    lasted = format_duration((stage.window_start_ns - stage.warmup_start_ns) / NS)
    what = f"{stage.warmup.steady} had come to rest" if stage.warmup.steady else (
        f"{stage.warmup.requests} requests had ended")
    in_time = stage.warmup_ended != "at_most"
    return Check(6, "warm-up ended", PASS if in_time else WARN,
                 f"The warm-up ended after {lasted}, " + (f"when {what}." if in_time else
                 f"its limit, before {what}."), {"ended_by": stage.warmup_ended})


def known_well_enough(facts: Facts) -> Check | None:
    """Whether the window closed because its metric was known well enough, or by its limit."""
    stage, reached = facts.summary.stage, facts.summary.stage.reached
    if stage.until is None or stage.window_closed is None:
        return None
    asked = (f"{stage.until.metric} was known to ± {100 * stage.until.within:.3g} % "
             f"({stage.until.confidence:.0%} confidence)")
    width = reached.half_width if reached else None
    known = "no interval was known" if width is None else f"it was ± {100 * width:.2g} %"
    precise = stage.window_closed == "precise"
    return Check(6, "known well enough", PASS if precise else WARN,
                 f"The window was to stay open until {asked}; {known} when it closed"
                 + ("." if precise else " at its limit: give it more time (at_most) or a wider interval."),
                 {"half_width": width, "closed_by": stage.window_closed})


def cached_tokens(facts: Facts) -> Check | None:
    """Share of the input tokens that the server took from its cache; no reproach where prompts begin alike on
    purpose."""
    share = facts.value("cached_share")
    if share is None:
        return None
    source = facts.summary.prompt_source or ""
    on_purpose = SERVED if facts.summary.answers == "served" else ALIKE_ON_PURPOSE.get(source)
    found = share > CLOSE
    why = f"; {on_purpose}." if on_purpose else ": TTFT and throughput are those of a warm cache." if found else "."
    return Check(7, "cached input tokens", WARN if found and not on_purpose else PASS,
                 f"The server took {share:.1%} of the input tokens from its prefix cache{why}", {"share": share})


def repeated_prompts(facts: Facts) -> Check | None:
    """Prompts that the server had been sent before: in the stage, its warm-up included, or in an earlier one."""
    found = facts.summary.evidence.reuse
    if not found.requests:
        return None
    text = (f"None of {several(found.requests, 'request')} had a prompt that was sent before, in a warm-up or an "
            "earlier stage") if not found.repeated else (
        f"Of {several(found.requests, 'request')} {found.repeated} ({found.share:.1%}) had a prompt that was sent "
        f"before: {found.in_stage} in this stage, its warm-up included, {found.in_earlier} in an earlier one")
    if found.repeated and found.cached is not None:
        text += f"; the server told of cached tokens in {found.cached} of them"
    harmless = found.share <= CLOSE or found.cached == 0
    return Check(7, "prompts are new", PASS if harmless else WARN,
                 text + ("." if harmless else ". A prefix cache makes TTFT and throughput look better than they are "
                         "with new prompts."),
                 {"requests": found.requests, "repeated": found.in_stage, "earlier": found.in_earlier,
                  "share": found.share, "cached": found.cached})
