"""The audit: checks that the numbers of a stage agree with each other, each PASS, WARN or FAIL with its figures.

`CHECKS` is the list; each check is a function of `Facts` and returns a Check, or None where it does not apply.
Measured stages bring records' evidence, the client's health and, where it was collected, the server's telemetry;
stages from published tables bring only their columns, and are checked as far as these go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.health import WorkerHealth
from analysis.stats import percentile_floor
from analysis.summarize import StageSummary
from analysis.table import Check, StageResult
from fmload.metrics import Ints
from fmload.units import format_duration

PASS, WARN, FAIL, NOT_APPLICABLE = "PASS", "WARN", "FAIL", "NOT APPLICABLE"
GROUPS = {1: "Little's law", 2: "Tokens", 3: "Time", 4: "Load", 5: "Client", 6: "Samples", 7: "Cache"}
FEW = 11  # the fewest samples for a median by the rule of the floors
CLOSE, FAR = 0.05, 0.20  # relative differences up to which figures agree, and beyond which they contradict


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one stage. `value` gives any metric by name; `telemetry` figures of the server's own counters
    over the window, by the same names."""

    value: Callable[[str], float | None]
    summary: StageSummary
    health: tuple[WorkerHealth, ...] = ()
    earlier_prompts: Ints = field(default_factory=lambda: np.array([], dtype=np.int64))
    telemetry: Mapping[str, float] = field(default_factory=dict)


CheckFunction = Callable[[Facts], Check | None]


def relative(value: float, reference: float) -> float:
    """(value − reference) ÷ reference; 0 when both are 0, ±1 against 0."""
    if reference == 0:
        return 0.0 if value == 0 else 1.0
    return (value - reference) / reference


def graded(difference: float, warn: float = CLOSE, fail: float = FAR) -> str:
    """PASS, WARN or FAIL by the size of a difference."""
    size = abs(difference)
    return PASS if size <= warn else WARN if size <= fail else FAIL


def littles_law(facts: Facts) -> Check | None:
    """Achieved concurrency = throughput × mean time in flight, within what the window's edges allow."""
    evidence, window_s = facts.summary.evidence, facts.summary.totals.window_s
    achieved = facts.value("achieved_concurrency")
    if not evidence.ended or evidence.residence_mean_s is None or achieved is None:
        return None
    expected = evidence.ended / window_s * evidence.residence_mean_s
    edges = (evidence.in_flight_at_start + evidence.in_flight_at_end) * evidence.residence_mean_s / window_s
    allowed = edges + 0.02 * expected
    result = PASS if abs(achieved - expected) <= allowed else FAIL
    return Check(1, "concurrency = throughput × time in flight", result,
                 f"{achieved:.3g} requests were in flight on average; {evidence.ended} requests of "
                 f"{format_duration(evidence.residence_mean_s)} in {window_s:.4g} s make {expected:.3g}, "
                 f"and the window's edges allow ±{allowed:.2g}.",
                 {"achieved": achieved, "expected": expected, "allowed": allowed})


def token_sums(facts: Facts) -> Check | None:
    """Tokens of the requests that ended ÷ window against tokens by arrival, within what is under way at the edges."""
    evidence, totals = facts.summary.evidence, facts.summary.totals
    by_arrival = facts.value("output_tokens_per_s")
    if not evidence.ended or by_arrival is None or not totals.tokens_out:
        return None
    by_request = evidence.tokens_out_of_ended / totals.window_s
    mean = evidence.tokens_out_of_ended / evidence.ended
    edges = (evidence.in_flight_at_start + evidence.in_flight_at_end) * mean / totals.window_s
    allowed = edges + 0.02 * by_request
    result = PASS if abs(by_arrival - by_request) <= allowed else FAIL
    return Check(2, "tokens by arrival = tokens by request", result,
                 f"{by_arrival:.4g} tokens/s arrived; the requests that ended make {by_request:.4g} tokens/s, "
                 f"and those under way at the window's edges allow ±{allowed:.2g}.",
                 {"by_arrival_per_s": by_arrival, "by_request_per_s": by_request, "allowed_per_s": allowed})


def token_counts(facts: Facts) -> Check | None:
    """The server's count of prompt tokens against the client's tokenizer."""
    evidence = facts.summary.evidence
    difference = evidence.prompt_tokens_difference_mean
    if difference is None:
        return None
    result = PASS if abs(difference) <= FAR else WARN
    return Check(2, "server's token count = tokenizer's", result,
                 f"Over {evidence.prompt_tokens_compared} requests the server counts {difference:+.1%} prompt tokens "
                 "against the client's tokenizer" + ("." if result == PASS else ": another tokenizer, or a template."),
                 {"difference": difference, "requests": evidence.prompt_tokens_compared})


def token_source(facts: Facts) -> Check | None:
    """Where the counts come from: chunks are the last resort."""
    sources = facts.summary.evidence.tokens_source
    if not sources:
        return None
    chunks = sources.get("chunks", 0)
    named = ", ".join(f"{count} by the {'number of chunks' if name == 'chunks' else name}"
                      for name, count in sorted(sources.items()))
    return Check(2, "source of the token counts", WARN if chunks else PASS, f"Output tokens were counted: {named}.",
                 dict(sources))


def output_limit(facts: Facts) -> Check | None:
    """No output is longer than `max_tokens`; one that is, and is as long as its prompt, is likely an echo of it."""
    evidence = facts.summary.evidence
    if not evidence.with_max_tokens:
        return None
    over, echo = evidence.over_max_tokens, evidence.echo_like
    text = f"{over} of {evidence.with_max_tokens} outputs are longer than max_tokens"
    if echo:
        text += f", {echo} of them at least as long as their prompt: the prompt may have been echoed"
    return Check(2, "output ≤ max_tokens", FAIL if over else PASS, text + ".",
                 {"over": over, "of": evidence.with_max_tokens, "echo_like": echo})


def echoes(facts: Facts) -> Check | None:
    """Outputs at least as long as their prompts, and longer where these are longer, likely begin with them."""
    correlation = facts.summary.evidence.echo_correlation
    if correlation is None:
        return None
    suspect = correlation > 0.9
    return Check(2, "output is no echo", WARN if suspect else PASS,
                 "Outputs are at least as long as their prompts; the lengths correlate by "
                 f"{correlation:.2f}" + (": the server likely repeats the prompt." if suspect else "."),
                 {"correlation": correlation})


def tokens_per_chunk(facts: Facts) -> Check | None:
    """How many tokens a chunk holds, by the server's count."""
    evidence = facts.summary.evidence
    if not evidence.chunks or not evidence.streams or not evidence.chunk_tokens:
        return None
    held = evidence.chunk_tokens / evidence.chunks
    result = PASS if abs(held - 1) <= CLOSE else WARN
    text = f"A chunk holds {held:.3g} tokens on average."
    if result == WARN:
        text += " Chunk gaps (ICL) are not token gaps; TPOT is by the token count."
    return Check(2, "tokens a chunk", result, text, {"tokens_per_chunk": held, "chunks": evidence.chunks})


def order_of_instants(facts: Facts) -> Check | None:
    """TTFT ≤ E2E, and TTFT + TPOT × (N − n_1) = E2E, request by request."""
    evidence, n = facts.summary.evidence, facts.summary.totals.succeeded
    if not n:
        return None
    wrong = evidence.ttft_after_e2e + evidence.tpot_mismatches
    return Check(3, "TTFT ≤ E2E, TTFT + TPOT × (N − n₁) = E2E", FAIL if wrong else PASS,
                 f"Of {n} requests {evidence.ttft_after_e2e} have TTFT > E2E and {evidence.tpot_mismatches} break "
                 "the sum.",
                 {"requests": n, "ttft_after_e2e": evidence.ttft_after_e2e, "sum_broken": evidence.tpot_mismatches})


def buffered_streams(facts: Facts) -> Check | None:
    """A stream whose tokens all arrive at once was buffered by something on the way."""
    evidence = facts.summary.evidence
    if not evidence.streams:
        return None
    share = evidence.buffered / evidence.streams
    result = FAIL if share > 0.5 else WARN if share > 0.01 else PASS
    text = f"{evidence.buffered} of {evidence.streams} streams brought all their tokens at once"
    return Check(3, "streams are streamed", result, text + ("." if result == PASS else (
        ": a proxy buffers, or the server does not stream; TTFT and TPOT mean nothing there.")),
        {"buffered": evidence.buffered, "streams": evidence.streams})


def censored_tokens(facts: Facts) -> Check | None:
    """The share of inter-token gaps that are known only as intervals."""
    share = facts.summary.censored_share
    if share is None:
        return None
    itl = facts.summary.distributions["itl"]
    bounds = ""
    if itl.low and itl.high and itl.low.get(99.0) is not None and itl.high.get(99.0) is not None:
        bounds = (f"; with them, ITL p99 lies between {format_duration(itl.low[99.0])} and "
                  f"{format_duration(itl.high[99.0])}")
    return Check(3, "interval-censored tokens", PASS if share <= CLOSE else WARN,
                 f"{share:.2%} of the token gaps touch a read that held several events, and are left out of the ITL "
                 f"percentiles{bounds}.", {"share": share})


def offered_load(facts: Facts) -> Check | None:
    """Achieved against offered concurrency or rate."""
    stage, totals = facts.summary.stage, facts.summary.totals
    if stage.concurrency is not None:
        offered, achieved, what = float(stage.concurrency), facts.value("achieved_concurrency"), "requests in flight"
    elif stage.rate_per_s is not None:
        offered, what = stage.rate_per_s, "requests sent a second"
        achieved = totals.started / totals.window_s if totals.window_s else None
    else:
        return None
    if achieved is None:
        return None
    difference = relative(achieved, offered)
    return Check(4, "achieved = offered", graded(difference, CLOSE if stage.concurrency else 0.1),
                 f"{achieved:.4g} {what} of {offered:g} offered ({difference:+.1%}).",
                 {"offered": offered, "achieved": achieved})


def send_lateness(facts: Facts) -> Check | None:
    """Lateness of sends against the schedule; judged in an open loop, told in a closed one."""
    evidence = facts.summary.evidence
    p50, p99 = evidence.send_lateness_p50_s, evidence.send_lateness_p99_s
    if p50 is None or p99 is None:
        return None
    latency = _known(facts.value("ttft_p50"), facts.value("e2e_p50"))
    share = p99 / latency if latency else 0.0
    result = PASS if share <= 0.1 else WARN if share <= 1.0 or facts.summary.stage.rate_per_s is None else FAIL
    return Check(4, "sends on schedule", result,
                 f"Sends were late by {format_duration(p50)} (p50) and {format_duration(p99)} (p99).",
                 {"p50_s": p50, "p99_s": p99, "p99_share_of_latency": share})


def client_cpu(facts: Facts) -> Check | None:
    """CPU of the busiest worker."""
    busy = [worker for worker in facts.health if worker.cpu_mean is not None]
    if not busy:
        return None
    worst = max(busy, key=lambda worker: worker.cpu_mean or 0.0)
    mean = worst.cpu_mean or 0.0
    result = FAIL if mean > 0.95 else WARN if mean > 0.8 else PASS
    return Check(5, "client CPU", result, f"The busiest worker ({worst.worker}) used {mean:.0%} of a core"
                 + (": the client was the limit." if result == FAIL else "."),
                 {"worker": worst.worker, "cpu_mean": mean}, client_bound=result == FAIL)


def client_lag(facts: Facts) -> Check | None:
    """Event-loop lag against the measured latencies. Kernel stamps keep it out of arrivals, not out of sends."""
    lags = [worker for worker in facts.health if worker.loop_lag_p99_s is not None]
    latency = _known(facts.value("ttft_p50"), facts.value("e2e_p50"))
    if not lags or not latency:
        return None
    worst = max(lags, key=lambda worker: worker.loop_lag_p99_s or 0.0)
    lag = worst.loop_lag_p99_s or 0.0
    stamps = facts.summary.evidence.stamp
    by_kernel = bool(stamps) and set(stamps) == {"kernel"}
    share = lag / latency
    result = PASS if share <= 0.1 else FAIL if share > (2.0 if by_kernel else 0.5) else WARN
    return Check(5, "client event-loop lag", result,
                 f"The loop of {worst.worker} lagged {format_duration(lag)} (p99 of a typical second), {share:.1%} of "
                 f"the median {'TTFT' if facts.value('ttft_p50') else 'E2E'}; arrivals were stamped by the "
                 f"{'kernel' if by_kernel else 'client'}.",
                 {"worker": worst.worker, "loop_lag_p99_s": lag, "share_of_latency": share},
                 client_bound=result == FAIL)


def stamping_delay(facts: Facts) -> Check | None:
    """User-space stamp minus kernel stamp against the gap between tokens: how long arrivals waited for the client."""
    delay, gap = facts.summary.evidence.lag_max_p99_s, facts.value("itl_p50")
    if delay is None or not facts.summary.evidence.stamp.get("kernel"):
        return None
    share = delay / gap if gap else 0.0
    return Check(5, "stamping delay", WARN if share > 1.0 else PASS,
                 f"In 99 % of the requests no token waited longer than {format_duration(delay)} for the client"
                 + (", longer than the median gap between tokens: reads held several." if share > 1.0 else "."),
                 {"lag_max_p99_s": delay, "share_of_itl": share})


def enough_samples(facts: Facts) -> Check | None:
    """Enough requests for the percentiles shown, and a window that is long against a request."""
    totals, stage_s = facts.summary.totals, facts.value("e2e_mean")
    if not totals.window_s:
        return None
    n = totals.succeeded
    blank = [f"p{p}" for p in (90, 95, 99) if n < percentile_floor(p)]
    marked = any(found.below_floor for found in facts.summary.distributions.values())
    lengths = totals.window_s / stage_s if stage_s else None
    short = lengths is not None and lengths < 3
    result = FAIL if n < 2 else WARN if n < FEW or marked or short else PASS
    text = f"{n} requests succeeded"
    if blank:
        text += f": too few for {', '.join(blank)}, which {'are marked' if marked else 'stay blank'}"
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


def undisturbed(facts: Facts) -> Check | None:
    """Nothing befell the stage: all workers stayed, it was not interrupted."""
    stage = facts.summary.stage
    kinds = sorted({str(mark.get("kind")) for mark in stage.marks})
    if stage.status == "done" and not kinds:
        return Check(4, "undisturbed", PASS, "The stage ran to its end and kept its workers.", {})
    told = ", ".join(kinds) or stage.status
    return Check(4, "undisturbed", FAIL if stage.status in ("interrupted", "pending", "skipped") else WARN,
                 f"The stage is {stage.status}; what befell it: {told}.", {"status": stage.status, "marks": kinds})


def cached_tokens(facts: Facts) -> Check | None:
    """Share of the input tokens that the server took from its cache."""
    share = facts.value("cached_share")
    if share is None:
        return None
    return Check(7, "cached input tokens", PASS if share <= CLOSE else WARN,
                 f"The server took {share:.1%} of the input tokens from its prefix cache"
                 + ("." if share <= CLOSE else ": TTFT and throughput are those of a warm cache."), {"share": share})


def repeated_prompts(facts: Facts) -> Check | None:
    """Prompts sent more than once within the window, or already in an earlier stage of the same endpoint."""
    evidence = facts.summary.evidence
    sent = len(evidence.prompts) + evidence.prompts_repeated
    if not sent:
        return None
    earlier = int(np.isin(evidence.prompts, facts.earlier_prompts).sum())
    share = (evidence.prompts_repeated + earlier) / sent
    return Check(7, "prompts are new", PASS if share <= CLOSE else WARN,
                 f"Of {sent} requests {evidence.prompts_repeated} repeated a prompt of the window and {earlier} one of "
                 "an earlier stage" + ("." if share <= CLOSE else ": a prefix cache may have answered."),
                 {"requests": sent, "repeated": evidence.prompts_repeated, "earlier": earlier})


def server_counters(facts: Facts) -> Check | None:
    """The server's own counters over the window against ours, where telemetry was collected."""
    compared = {name: (facts.value(name), figure) for name, figure in facts.telemetry.items()}
    known = {name: (ours, theirs) for name, (ours, theirs) in compared.items() if ours is not None}
    if not known:
        return None
    name, (ours, theirs) = max(known.items(), key=lambda item: abs(relative(item[1][0], item[1][1])))
    difference = relative(ours, theirs)
    return Check(2, "server's counters = ours", graded(difference),
                 f"{name}: {ours:.4g} here, {theirs:.4g} by the server's counters ({difference:+.1%}).",
                 {name: {"ours": ours, "server": theirs} for name, (ours, theirs) in known.items()})


def _known(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


CHECKS: tuple[CheckFunction, ...] = (
    littles_law, token_sums, token_counts, token_source, output_limit, echoes, tokens_per_chunk, server_counters,
    order_of_instants, buffered_streams, censored_tokens, offered_load, send_lateness, undisturbed, client_cpu,
    client_lag, stamping_delay, enough_samples, steady, warmed_up, cached_tokens, repeated_prompts)


def audit(facts: Facts) -> tuple[Check, ...]:
    """All checks of one stage; a group in which none applies is there once, as NOT APPLICABLE.

    A stage without a request gets one FAIL: nothing was measured.
    """
    if not facts.summary.totals.started:
        return (Check(6, "enough requests", FAIL, "No request started inside the window: nothing was measured.", {}),)
    checks = [check for check in (function(facts) for function in CHECKS) if check]
    missing = set(GROUPS) - {check.group for check in checks}
    checks += [Check(group, GROUPS[group], NOT_APPLICABLE, "Nothing to compare.", {}) for group in missing]
    return tuple(sorted(checks, key=lambda check: check.group))


def audit_json(results: Sequence[StageResult]) -> dict[str, Any]:
    """The content of audit.json."""
    return {"schema": 1, "stages": [
        {"stage": result.stage, "endpoint": result.endpoint, "prompt_set": result.prompt_set,
         "audit": result.audit, "client_bound": result.client_bound,
         "checks": [asdict(check) for check in result.checks]} for result in results]}


def write_audit(path: Path, results: Sequence[StageResult]) -> None:
    """Writes audit.json."""
    path.write_text(json.dumps(audit_json(results), indent=1, ensure_ascii=False) + "\n")
