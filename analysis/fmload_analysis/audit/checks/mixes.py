"""Components of a mix: the share of the requests that was asked for."""

from __future__ import annotations

import math

from fmload_analysis.audit.facts import CLOSE, PASS, WARN, Facts
from fmload_analysis.verdict.table import Check

_CHANCE = 3.0  # standard errors


def share_of_mix(facts: Facts) -> Check | None:
    """Requests of the component, or its sessions, against its weight: drawn one by one in an open loop; told in a
    closed one, whose users are spread by weight and send as fast as they are answered."""
    part = facts.part
    if part is None or not part.all_started:
        return None
    share = part.started / part.all_started
    allowed = CLOSE * part.asked + _CHANCE * math.sqrt(part.asked * (1 - part.asked) / part.all_started)
    figures = {"asked": part.asked, "share": share, "allowed": allowed}
    what = "arrivals (requests and whole sessions)" if part.sessions else "requests"
    text = f"{part.started} of {part.all_started} {what} of the mix were this component's, {share:.1%}"
    if not facts.summary.stage.open_loop:
        return Check(4, "share of the mix", PASS, f"{text}; {part.asked:.1%} of the users were.", figures)
    result = PASS if abs(share - part.asked) <= allowed else WARN
    return Check(4, "share of the mix", result, f"{text}, of {part.asked:.1%} asked (chance allows ±{allowed:.1%}).",
                 figures)
