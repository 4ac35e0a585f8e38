"""Instants that must be in order, and streams that must be streams."""

from __future__ import annotations

from fmload.base.units import format_duration
from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts
from fmload_analysis.verdict.table import Check

NETWORK_S = 0.25  # a round trip around the world


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


def server_times(facts: Facts) -> Check | None:
    """The server's own TTFT and ITL beside the client's: the difference is network and client, and it is stated.

    A client that saw tokens well before the server says to have made them: one of the two is wrong.
    """
    pairs = {name: (ours, theirs) for name, theirs in facts.server.times_s.items()
             if (ours := facts.value(name)) is not None}
    if not pairs:
        return None
    ahead = max((theirs - ours) / theirs if theirs else 0.0 for ours, theirs in pairs.values())
    behind_s = max(ours - theirs for ours, theirs in pairs.values())
    far = behind_s > max(NETWORK_S, *((FAR + facts.edges) * theirs for _, theirs in pairs.values()))
    told = "; ".join(f"{name.removesuffix('_mean').upper()} mean {format_duration(ours)} here, "
                     f"{format_duration(theirs)} by the server ({_signed(ours - theirs)})"
                     for name, (ours, theirs) in pairs.items())
    queue_s, preempted = facts.server.times_s.get("queue_mean"), facts.server.preemptions
    told += f"; queue {format_duration(queue_s)} mean" if queue_s is not None else ""
    told += f"; {preempted:.0f} preemptions" if preempted else ""
    result = FAIL if ahead > FAR + facts.edges else WARN if ahead > CLOSE + facts.edges or far else PASS
    return Check(3, "server's times = ours", result, f"{told}. What is more here is network and client.",
                 {name: {"ours": ours, "server": theirs} for name, (ours, theirs) in pairs.items()})


def _signed(seconds: float) -> str:
    return ("+" if seconds >= 0 else "−") + format_duration(abs(seconds))
