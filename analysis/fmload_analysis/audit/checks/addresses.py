"""Several addresses of one model: equal load, equal speed, equal failures."""

from __future__ import annotations

import math

from fmload.base.units import format_duration
from fmload_analysis.audit.facts import CLOSE, FAIL, FAR, PASS, WARN, Facts
from fmload_analysis.stage.addresses import AddressSummary
from fmload_analysis.verdict.table import Check

_CHANCE = 3.0  # standard errors beyond which a difference is no chance
_RARE = 0.001  # of a rank test


def addresses(facts: Facts) -> Check | None:
    """Whether the addresses got the same load, answered as fast, and failed alike."""
    found = facts.summary.addresses
    if not found:
        return None
    by_turns = facts.summary.endpoint.balance == "round_robin"
    remarks = [remark for one in found for remark in (
        _idle(one), _uneven(one, found) if by_turns else None, _slow(one), _failing(one, found)) if remark]
    dead = any(one.counted and one.failed == one.counted for one in found) and any(
        one.failed < one.counted for one in found)
    figures = {one.address: {"share": one.share, "error_rate": one.error_rate, "latency_p50_s": one.latency_p50}
               for one in found}
    if not remarks:
        return Check(4, "addresses alike", PASS, f"{len(found)} addresses got {_range(found)} of the requests each and "
                     "were alike in speed and failures.", figures)
    return Check(4, "addresses alike", FAIL if dead else WARN, " ".join(remarks), figures)


def _range(found: tuple[AddressSummary, ...]) -> str:
    low, high = min(one.share for one in found), max(one.share for one in found)
    return f"{low:.0%}" if f"{low:.0%}" == f"{high:.0%}" else f"{low:.0%} to {high:.0%}"


def _idle(one: AddressSummary) -> str | None:
    return None if one.requests else f"{one.address} got no request."


def _uneven(one: AddressSummary, found: tuple[AddressSummary, ...]) -> str | None:
    """Each takes its turn; in a mix, the turns of one component come by chance."""
    requests, even = sum(other.requests for other in found), 1 / len(found)
    allowed = CLOSE * even + _CHANCE * math.sqrt(even * (1 - even) / max(requests, 1))
    if not one.requests or abs(one.share - even) <= allowed:
        return None
    return f"{one.address} got {one.share:.1%} of the requests, not {even:.1%}."


def _slow(one: AddressSummary) -> str | None:
    own, others, test = one.latency_p50, one.others_p50, one.against_others
    if own is None or others is None or test is None or test.p_value >= _RARE or own <= (1 + FAR) * others:
        return None
    return f"{one.address} was slower: {format_duration(own)} at the median, {format_duration(others)} elsewhere."


def _failing(one: AddressSummary, found: tuple[AddressSummary, ...]) -> str | None:
    """More failures than elsewhere, beyond chance (difference of two shares)."""
    n, m = one.counted, sum(other.counted for other in found) - one.counted
    if not n or not m:
        return None
    elsewhere = sum(other.failed for other in found) - one.failed
    pooled = (one.failed + elsewhere) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if one.failed / n - elsewhere / m <= _CHANCE * error:
        return None
    return f"{one.address} failed {one.failed / n:.1%} of its requests, the others {elsewhere / m:.1%}."
