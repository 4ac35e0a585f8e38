"""What was asked of the endpoint, and what it got: concurrency, rate, lateness."""

from __future__ import annotations

import math

from fmload.base.units import format_duration
from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts, graded, relative
from fmload_analysis.stage.evidence import LATE_S
from fmload_analysis.stage.sessions import Sessions
from fmload_analysis.verdict.table import Check

LOCKED = 0.8  # of the time between sends in the longest gaps, one a round of all users
_UNSENT = 0.01  # of the requests; one more may be lost at the window's edge


def littles_law(facts: Facts) -> Check | None:
    """Achieved concurrency = throughput × mean time in flight, within what the window's edges allow: requests in flight
    there count in one and not in the other, or in part. Long ones are more often there than their share."""
    evidence, window_s = facts.summary.evidence, facts.summary.totals.window_s
    achieved = facts.value("achieved_concurrency")
    if not evidence.ended or evidence.residence_mean_s is None or achieved is None:
        return None
    expected = evidence.ended / window_s * evidence.residence_mean_s
    allowed = evidence.edge_residence_s / window_s + 0.02 * expected
    result = PASS if abs(achieved - expected) <= allowed else FAIL
    return Check(1, "concurrency = throughput × time in flight", result,
                 f"{achieved:.3g} requests were in flight on average; {evidence.ended} requests of "
                 f"{format_duration(evidence.residence_mean_s)} in {window_s:.4g} s make {expected:.3g}, "
                 f"and the window's edges allow ±{allowed:.2g}.",
                 {"achieved": achieved, "expected": expected, "allowed": allowed})


def offered_load(facts: Facts) -> Check | None:
    """Achieved against offered concurrency or rate."""
    stage, totals = facts.summary.stage, facts.summary.totals
    if stage.load.sessions and facts.summary.sessions is not None:
        return _offered_sessions(facts, facts.summary.sessions)
    if stage.concurrency is not None:
        offered, achieved, what = float(stage.concurrency), facts.value("achieved_concurrency"), "requests in flight"
        checks = facts.summary.safe_checks
        if checks is not None and achieved is not None:  # a user is busy in a safety check, too
            achieved, what = achieved + checks.under_check, "requests in flight or in a safety check"
    elif facts.summary.offered_per_s is not None:
        offered, what = facts.summary.offered_per_s, "requests sent a second"
        achieved = totals.started / totals.window_s if totals.window_s else None
    else:
        return None
    if achieved is None:
        return None
    difference = relative(achieved, offered)
    if facts.summary.prompt_source == "scenario":
        return Check(4, "achieved = offered", PASS, f"{offered:g} users with a scenario of their own kept "
                     f"{achieved:.4g} {what} on average: between their requests they think, use tools, or send "
                     "several side by side.", {"offered": offered, "achieved": achieved})
    if stage.exact and difference < 0:  # users whose prompts are used up wait for the last answers
        return Check(4, "achieved = offered", PASS, f"{achieved:.4g} {what} of {offered:.4g} offered, over all "
                     "requests from the first to the last: with exactly so many, fewer are in flight at both ends.",
                     {"offered": offered, "achieved": achieved})
    return Check(4, "achieved = offered", graded(difference, CLOSE if stage.concurrency else 0.1),
                 f"{achieved:.4g} {what} of {offered:.4g} offered ({difference:+.1%}).",
                 {"offered": offered, "achieved": achieved})


def _offered_sessions(facts: Facts, sessions: Sessions) -> Check | None:
    """Sessions at a time, or begun a second; how many requests that makes is the sessions' own affair."""
    stage, window_s = facts.summary.stage, facts.summary.totals.window_s
    if stage.concurrency is not None:
        offered, achieved, what = float(stage.concurrency), sessions.under_way, "sessions under way"
    else:
        offered, what = facts.summary.offered_per_s or 0.0, "sessions begun a second"
        achieved = sessions.begun / window_s if window_s else None
    if achieved is None or not offered:
        return None
    difference = relative(achieved, offered)
    return Check(4, "achieved = offered", graded(difference, CLOSE if stage.concurrency else 0.1),
                 f"{achieved:.4g} {what} of {offered:.4g} offered ({difference:+.1%}).",
                 {"offered": offered, "achieved": achieved})


def as_many_as_asked(facts: Facts) -> Check | None:
    """Of a stage of exactly so many requests: that there is a record of each, and of no more."""
    stage, totals = facts.summary.stage, facts.summary.totals
    if not stage.exact or stage.requests is None:
        return None
    result = PASS if totals.started == stage.requests else FAIL
    return Check(4, "as many requests as asked", result, f"{totals.started} of exactly {stage.requests} requests were "
                 f"sent{'.' if result == PASS else ': a worker was lost, or the stage ended early.'}",
                 {"asked": stage.requests, "sent": totals.started})


def send_lateness(facts: Facts) -> Check | None:
    """Lateness of sends against the schedule; judged in an open loop, told in a closed one."""
    evidence = facts.summary.evidence
    p50, p99 = evidence.send_lateness_p50_s, evidence.send_lateness_p99_s
    if p50 is None or p99 is None:
        return None
    latency = facts.latency_s
    share = p99 / latency if latency else 0.0
    chance = evidence.late <= 1  # below 100 requests p99 is the one that was the latest
    result = PASS if share <= 0.1 else WARN if share <= 1.0 or chance or not facts.summary.stage.open_loop else FAIL
    return Check(4, "sends on schedule", result,
                 f"Sends were late by {format_duration(p50)} (p50) and {format_duration(p99)} (p99); {evidence.late} "
                 f"of {facts.summary.totals.started} by more than {format_duration(LATE_S)}.",
                 {"p50_s": p50, "p99_s": p99, "late": evidence.late, "p99_share_of_latency": share})


def all_sent(facts: Facts) -> Check | None:
    """Every request that was due inside the window of an open loop was sent."""
    asked, never = facts.summary.asked, facts.summary.never_sent
    if not asked or never is None:
        return None
    share = never / asked
    result = PASS if never <= 1 or share <= _UNSENT else WARN if share <= FAR else FAIL
    return Check(4, "all due requests sent", result, f"{never} of {asked} requests that were due were never sent"
                 + ("." if result == PASS else ": a worker was lost, or far behind its schedule."),
                 {"asked": asked, "never_sent": never})


def all_recorded(facts: Facts) -> Check | None:
    """Every record that the workers say they made is there. None where they did not say, as those of version 0.1."""
    made, there = facts.summary.stage.records, facts.summary.recorded
    if made is None:
        return _losses(facts)
    lost = max(0, made - there)
    why = f": {_told_losses(facts)}" if facts.summary.losses else "."
    return Check(4, "all records kept", FAIL if lost else PASS,
                 f"{lost} of the {made} records that the workers made of this stage are lost{why}" if lost else
                 f"All {made} records that the workers made of this stage are there.",
                 {"made": made, "recorded": there, "lost": lost})


def _losses(facts: Facts) -> Check | None:
    """Nobody counted: damage alone says that records are lost, of whichever stage."""
    if not facts.summary.losses:
        return None
    return Check(4, "all records kept", FAIL, "Records of this run are lost, how many is not known: "
                 f"{_told_losses(facts)}", {"losses": len(facts.summary.losses)})


def _told_losses(facts: Facts) -> str:
    return (f"{'; '.join(facts.summary.losses[:3])}. Where there is a sound copy of the journal, put it in its place, "
            "remove records/ and run 'fmload report'; else measure the stage again.")


def lock_step(facts: Facts) -> Check | None:
    """Users that send together, round after round: their requests wait for each other, and TTFT is that of a herd."""
    share, users = facts.summary.evidence.lock_step, facts.summary.stage.concurrency
    if share is None or users is None:
        return None
    expected = (1 + math.log(users)) / users
    together = share > max(LOCKED, (1 + expected) / 2)
    return Check(4, "users out of step", WARN if together else PASS,
                 f"{share:.0%} of the time lies in the longest 1 in {users} gaps between sends; of users that send "
                 f"independently it would be about {expected:.0%}"
                 + (": the requests arrive in herds, and their first tokens wait for each other. A longer ramp spreads "
                    "the users." if together else "."), {"share": share, "independent": expected})


def undisturbed(facts: Facts) -> Check | None:
    """Nothing befell the stage: all workers stayed, it was not interrupted."""
    stage = facts.summary.stage
    kinds = sorted({mark.kind for mark in stage.marks})
    if stage.status == "done" and not kinds:
        return Check(4, "undisturbed", PASS, "The stage ran to its end and kept its workers.", {})
    told = ", ".join(kinds) or stage.status
    return Check(4, "undisturbed", FAIL if stage.status in ("interrupted", "pending", "skipped") else WARN,
                 f"The stage is {stage.status}; what befell it: {told}.", {"status": stage.status, "marks": kinds})
