"""What became of the requests: failures, the reasons for which answers ended, and requests that left no record."""

from __future__ import annotations

from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts
from fmload_analysis.document.formats import percent, several
from fmload_analysis.stage.evidence import Evidence
from fmload_analysis.verdict.objections import MOST_ERRORS
from fmload_analysis.verdict.table import Check

_ABORTED = ("abort", "error")


def few_errors(facts: Facts) -> Check | None:
    """Failed requests of those that ended well or failed: with more than one in five, the figures are of the rest.

    A server that is given more than it can take turns requests away, or lets them wait beyond their limit: that is its
    answer to the load, which objectives and recommendations judge, and no doubt about what was measured."""
    totals, rate = facts.summary.totals, facts.value("error_rate")
    if rate is None:
        return None
    outcomes, away = facts.summary.outcomes, facts.summary.evidence.turned_away
    waited = sum(outcomes.get(name, 0) for name in _WAITED)
    broken = (totals.failed - away - waited) / max(totals.failed + totals.succeeded, 1)
    result = PASS if rate <= MOST_ERRORS else WARN if broken <= FAR else FAIL
    kinds = {name: count for name, count in outcomes.items() if name not in ("ok", "cancelled", "client")}
    named = ", ".join(f"{count} {name}" for name, count in sorted(kinds.items(), key=lambda item: -item[1]))
    text = f"{totals.failed:,} of {several(totals.failed + totals.succeeded, 'request')} failed ({percent(rate)})"
    text = f"{text}{f': {named}' if named else ''}."
    if rate > FAR and result == WARN:
        text += f" The server was overloaded: it turned {away:,} away, and {waited:,} waited beyond their limit."
    return Check(8, "requests succeed", result, text + (
        "" if result == PASS else " Latencies and throughput are those of the requests that got through."),
        {"error_rate": rate, "turned_away": away, **kinds})


_WAITED = ("timeout_first_token", "censored")


def finish_reasons(facts: Facts) -> Check | None:
    """Why the answers ended: blocked and aborted ones, and those cut off before the length that was asked for. The
    latter are whole answers of a server with a limit of its own, such as its context: told, and no FAIL."""
    evidence = facts.summary.evidence
    if not evidence.finish_reasons and not facts.summary.outcomes.get("blocked"):
        return None
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(
        evidence.finish_reasons.items(), key=lambda item: -item[1])[:6])
    blocked = facts.summary.outcomes.get("blocked", 0)
    aborted = sum(count for reason, count in evidence.finish_reasons.items() if reason.lower().startswith(_ABORTED))
    odd = [text for count, text in (
        (blocked, f"a guardrail or filter ended or replaced {blocked}"), (aborted, f"the server aborted {aborted}"),
        (evidence.no_reason, f"{evidence.no_reason} ended with no reason, where others tell one"),
        (evidence.cut_short, _cut_short(evidence))) if count]
    share = (blocked + aborted) / max(facts.summary.totals.started, 1)
    result = PASS if not odd else WARN if share <= FAR else FAIL
    return Check(8, "answers end by themselves or at the length asked for", result,
                 f"Answers ended by: {told or 'no reason told'}{'; ' if odd else ''}{'; '.join(odd)}.",
                 {**evidence.finish_reasons, "blocked": blocked, "aborted": aborted, "no_reason": evidence.no_reason,
                  "cut_short": evidence.cut_short})


def _cut_short(evidence: Evidence) -> str:
    text = f"{evidence.cut_short} were cut off at a length below the one asked for"
    if evidence.cut_short_got_mean is None or evidence.cut_short_asked_mean is None:
        return text
    return (f"{text}, {evidence.cut_short_got_mean:.4g} tokens on average of {evidence.cut_short_asked_mean:.4g}: the "
            "server's own limit, or its context is full")


def sent_again(facts: Facts) -> Check | None:
    """Requests that went out a second time, because the server closed their kept-alive connections without a byte. It
    closes idle ones so; one that fails under a request does the same."""
    again = facts.summary.evidence.sent_again
    if not again:
        return None
    share = again / max(facts.summary.totals.succeeded, 1)
    text = (f"{again:,} of {several(facts.summary.totals.succeeded, 'answer')} ({percent(share)}) came to a second "
            "sending: the server had closed the kept-alive connection of the first, without a byte and within half a "
            "second.")
    if share > MOST_ERRORS:
        text += (" One that fails under its requests looks the same, and these are no failures here: see its log, or "
                 "raise its keep-alive time above the pauses between requests.")
    return Check(8, "requests are sent once", WARN if share > MOST_ERRORS else PASS, text, {"sent_again": again})


def every_record(facts: Facts) -> Check | None:
    """No request without a record: the server finished no more than there are (what our own workers lost is told by
    `all_recorded`)."""
    theirs, window_s = facts.server.tokens.get("requests_per_s"), facts.summary.totals.window_s
    if theirs is None or not window_s or facts.counted_by_input:
        return None
    finished, ended = theirs * window_s, facts.summary.evidence.ended
    more = finished - ended * facts.summary.evidence.choices  # vLLM counts each answer of `n` as a request
    result = FAIL if more > max(2.0, (CLOSE + facts.edges) * finished) else PASS
    return Check(8, "no request without a record", result,
                 f"The server finished {finished:,.0f} requests in the window, {ended:,} are recorded here"
                 + (": the others left no record, or were another client's." if result == FAIL else "."),
                 {"server": finished, "recorded": ended})
