"""Instants that must be in order, and streams that must be streams."""

from __future__ import annotations

from collections.abc import Sequence

from fmload.base.units import format_duration
from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts
from fmload_analysis.document.formats import several
from fmload_analysis.stage.streams import Stall
from fmload_analysis.stage.telemetry import DECODE
from fmload_analysis.verdict.table import Check

NETWORK_S = 0.25  # a round trip around the world


def order_of_instants(facts: Facts) -> Check | None:
    """TTFT ≤ E2E, and TTFT + TPOT × (N − n_1) = E2E, request by request."""
    evidence, n = facts.summary.evidence, facts.summary.totals.succeeded
    if not n or not facts.summary.totals.makes_text:
        return None  # nothing is sent, or no token is made
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
    name = "itl" if facts.summary.distributions["itl"].n else "icl"
    itl = facts.summary.distributions[name]
    bounds = ""
    if itl.low and itl.high and itl.low.get(99.0) is not None and itl.high.get(99.0) is not None:
        bounds = (f"; with them, {name.upper()} p99 lies between {format_duration(itl.low[99.0])} and "
                  f"{format_duration(itl.high[99.0])}")
    return Check(3, "interval-censored tokens", PASS if share <= CLOSE else WARN,
                 f"{share:.2%} of the gaps between chunks touch a read that held several events, and are left out of "
                 f"the percentiles{bounds}.", {"share": share})


def late_first_tokens(facts: Facts) -> Check | None:
    """First tokens that came in a read with later ones: TTFT is at most what is shown, and TPOT at least."""
    evidence = facts.summary.evidence
    if not evidence.several_chunks:
        return None
    share = evidence.late_firsts / evidence.several_chunks
    delay, gap = evidence.lag_max_p99_s, facts.value("icl_p50") or facts.value("icl_mean")
    by_client = bool(delay and gap and delay > gap)
    result = PASS if share <= CLOSE else FAIL if share > FAR and by_client else WARN
    text = (f"Of {evidence.several_chunks} streams {evidence.late_firsts} ({share:.1%}) brought their first token in a "
            "read with later ones")
    if evidence.late_firsts:
        text += f"; with them, {_bounds(facts, 'ttft')} and {_bounds(facts, 'tpot')}"
    if result != PASS:
        text += (": client-late, the load generator read too late" if by_client else
                 ": client-late, or the server or something on the way sent several at once")
    return Check(3, "first tokens in reads of their own", result, f"{text}.",
                 {"late": evidence.late_firsts, "streams": evidence.several_chunks, "share": share,
                  "client_late": result != PASS}, client_bound=result == FAIL)


def _bounds(facts: Facts, name: str) -> str:
    found = facts.summary.distributions[name]
    low, high = ((side or {}).get(50.0) for side in (found.low, found.high))
    if low is None or high is None:
        return f"{name.upper()} is as shown"
    return f"{name.upper()} p50 lies between {format_duration(low)} and {format_duration(high)}"


def stalls(facts: Facts) -> Check | None:
    """Silences of all streams at once, with their instants: the server, or the way to it, stood still. Those in which
    the server read a prompt while the others waited are told, and are no FAIL."""
    evidence, window_s = facts.summary.evidence, facts.summary.totals.window_s
    if not evidence.several_chunks or not window_s:
        return None
    found = evidence.stalls
    share = sum(stall.length_s for stall in found) / window_s
    unexplained = sum(stall.length_s for stall in found if not stall.by_prompt) / window_s
    result = PASS if not found else WARN if unexplained <= _STALLED else FAIL
    return Check(3, "no stall of all streams", result, _told_stalls(found, share),
                 {"stalls": [[stall.at_s, stall.length_s] for stall in found], "share": share,
                  "by_prompts": sum(stall.by_prompt for stall in found)})


def _told_stalls(found: Sequence[Stall], share: float) -> str:
    if not found:
        return "No silence of all streams was found."
    longest = sorted(found, key=lambda stall: (stall.by_prompt, -stall.length_s))[:3]
    told = ", ".join(f"{format_duration(stall.length_s)} at {format_duration(stall.at_s)} after the window opened"
                     for stall in longest)
    text = (f"All streams were silent {several(len(found), 'time')}, "
            f"{format_duration(sum(stall.length_s for stall in found))} together ({share:.1%} of the window): {told}")
    read = sum(stall.by_prompt for stall in found)
    return f"{text}{f'; in {read} of them the server read a prompt, which holds up the rest' if read else ''}."


def server_times(facts: Facts) -> Check | None:
    """The server's own times beside the client's. Of a first token the difference is network and client, and it is
    stated; of the times between tokens nothing of the way remains on average, so that they must agree.

    A client that saw tokens well before the server says to have made them: one of the two is wrong.
    """
    pairs = {name: (ours, theirs) for name, theirs in facts.server.times_s.items()
             if name in _NAMES and (ours := _ours(facts, name)) is not None}
    if not pairs:
        return None
    worst = max((_graded(name, ours, theirs, facts.edges) for name, (ours, theirs) in pairs.items()), key=_RANK.index)
    told = "; ".join(f"{_NAMES[name]} mean {format_duration(ours)} here, "
                     f"{format_duration(theirs)} by the server ({_signed(ours - theirs)})"
                     for name, (ours, theirs) in pairs.items())
    queue_s, preempted = facts.server.times_s.get("queue_mean"), facts.server.preemptions
    told += f"; queue {format_duration(queue_s)} mean" if queue_s is not None else ""
    told += f"; {preempted:.0f} preemptions" if preempted else ""
    return Check(3, "server's times = ours", worst, f"{told}." + (
        " What is more here is network and client." if "ttft_mean" in pairs and worst == PASS else ""),
        {name: {"ours": ours, "server": theirs} for name, (ours, theirs) in pairs.items()})


_RANK = (PASS, WARN, FAIL)
_STALLED = 0.1  # of the window
_NAMES = {"ttft_mean": "TTFT", "tpot_mean": "TPOT", "itl_mean": "ITL", DECODE: "decoding ÷ tokens"}


def _ours(facts: Facts, name: str) -> float | None:
    return facts.summary.evidence.decode_s_per_token if name == DECODE else facts.value(name)


def _graded(name: str, ours: float, theirs: float, edges: float) -> str:
    ahead = (theirs - ours) / theirs if theirs else 0.0
    if name != "ttft_mean":
        apart = abs(ahead)
        return FAIL if apart > FAR + edges else WARN if apart > CLOSE + edges else PASS
    far = ours - theirs > max(NETWORK_S, (FAR + edges) * theirs)
    return FAIL if ahead > FAR + edges else WARN if ahead > CLOSE + edges or far else PASS


def _signed(seconds: float) -> str:
    return ("+" if seconds >= 0 else "−") + format_duration(abs(seconds))
