"""What became of the requests: failures, the reasons for which answers ended, and requests that left no record."""

from __future__ import annotations

from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts
from fmload_analysis.document.formats import percent, several
from fmload_analysis.verdict.objections import MOST_ERRORS
from fmload_analysis.verdict.table import Check

_ABORTED = ("abort", "error")


def few_errors(facts: Facts) -> Check | None:
    """Failed requests of those that ended well or failed: with more than one in five, the figures are of the rest."""
    totals, rate = facts.summary.totals, facts.value("error_rate")
    if rate is None:
        return None
    result = PASS if rate <= MOST_ERRORS else WARN if rate <= FAR else FAIL
    kinds = {name: count for name, count in facts.summary.outcomes.items() if name not in ("ok", "cancelled", "client")}
    named = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items(), key=lambda item: -item[1]))
    text = f"{totals.failed:,} of {several(totals.failed + totals.succeeded, 'request')} failed ({percent(rate)})"
    return Check(8, "requests succeed", result, f"{text}{f': {named}' if named else ''}." + (
        "" if result == PASS else " Latencies and throughput are those of the requests that got through."),
        {"error_rate": rate, **kinds})


def finish_reasons(facts: Facts) -> Check | None:
    """Why the answers ended: blocked and aborted ones, and those cut off before the length that was asked for."""
    evidence = facts.summary.evidence
    if not evidence.finish_reasons and not facts.summary.outcomes.get("blocked"):
        return None
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(
        evidence.finish_reasons.items(), key=lambda item: -item[1])[:6])
    blocked = facts.summary.outcomes.get("blocked", 0)
    aborted = sum(count for reason, count in evidence.finish_reasons.items() if reason.lower().startswith(_ABORTED))
    odd = [text for count, text in (
        (blocked, f"a guardrail or filter ended or replaced {blocked}"), (aborted, f"the server aborted {aborted}"),
        (evidence.cut_short, f"{evidence.cut_short} were cut off at a length below the one asked for")) if count]
    share = (blocked + aborted + evidence.cut_short) / max(facts.summary.totals.started, 1)
    result = PASS if not odd else WARN if share <= FAR else FAIL
    return Check(8, "answers end by themselves or at the length asked for", result,
                 f"Answers ended by: {told or 'no reason told'}{'; ' if odd else ''}{'; '.join(odd)}.",
                 {**evidence.finish_reasons, "blocked": blocked, "aborted": aborted, "cut_short": evidence.cut_short})


def every_record(facts: Facts) -> Check | None:
    """No request without a record: the server finished no more than there are (what our own workers lost is told by
    `all_recorded`)."""
    theirs, window_s = facts.server.tokens.get("requests_per_s"), facts.summary.totals.window_s
    if theirs is None or not window_s:
        return None
    finished, ended = theirs * window_s, facts.summary.evidence.ended
    more = finished - ended
    result = FAIL if more > max(2.0, (CLOSE + facts.edges) * finished) else PASS
    return Check(8, "no request without a record", result,
                 f"The server finished {finished:,.0f} requests in the window, {ended:,} are recorded here"
                 + (": the others left no record, or were another client's." if result == FAIL else "."),
                 {"server": finished, "recorded": ended})
