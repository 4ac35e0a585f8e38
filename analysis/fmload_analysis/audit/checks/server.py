"""What the server alone can tell: its prefix cache, and requests that it turned away."""

from __future__ import annotations

from fmload_analysis.audit.facts import CLOSE, FAR, PASS, WARN, Facts
from fmload_analysis.verdict.table import Check


def prefix_cache(facts: Facts) -> Check | None:
    """The server's share of prompt tokens found in its cache, against what it told with the answers."""
    theirs, ours = facts.server.cached_share, facts.value("cached_share")
    if theirs is None:
        return None
    if ours is None:
        return Check(7, "server's cache = ours", WARN if theirs > CLOSE else PASS,
                     f"The server's counters tell of {theirs:.1%} of the prompt tokens found in its cache; its answers "
                     "do not tell.", {"server": theirs})
    result = PASS if abs(theirs - ours) <= CLOSE + facts.edges else WARN
    return Check(7, "server's cache = ours", result,
                 f"The server found {theirs:.1%} of the prompt tokens in its cache by its counters, {ours:.1%} by its "
                 "answers.", {"server": theirs, "ours": ours})


def throttles(facts: Facts) -> Check | None:
    """Requests that the service throttled, against those that came back to us so: the others were tried again on the
    way."""
    theirs = facts.server.throttles
    if theirs is None:
        return None
    ours = facts.summary.outcomes.get("throttled", 0)
    unseen = theirs - ours
    result = WARN if unseen > max(1.0, FAR * theirs) else PASS
    told = f": {unseen:.0f} were tried again on the way, and are in the latencies." if result == WARN else "."
    return Check(4, "throttles seen by both", result,
                 f"The service counted {theirs:.0f} throttles in the periods of the window, {ours} came to us{told}",
                 {"server": theirs, "ours": ours})
