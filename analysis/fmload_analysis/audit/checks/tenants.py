"""Tenants: the share of the requests that was asked for, of each."""

from __future__ import annotations

import math

from fmload_analysis.audit.facts import CLOSE, PASS, WARN, Facts
from fmload_analysis.stage.tenants import TenantSummary
from fmload_analysis.verdict.table import Check

_CHANCE = 3.0  # standard errors


def share_of_tenants(facts: Facts) -> Check | None:
    """Requests of each tenant against its weight, where they are drawn by weight. Those of sessions come together, and
    are told alone: chance allows more there than it does for single requests."""
    drawn = [one for one in facts.summary.tenants if one.weight is not None]
    sent = sum(one.totals.started for one in facts.summary.tenants)
    if not drawn or not sent or len(facts.summary.tenants) < 2:
        return None
    far = [one.name for one in drawn if abs(one.totals.started / sent - (one.weight or 0.0)) > _allowed(one, sent)]
    told = ", ".join(f"{one.name} {one.totals.started / sent:.1%} of {one.weight:.1%}" for one in drawn)
    figures = {one.name: {"asked": one.weight, "share": one.totals.started / sent, "allowed": _allowed(one, sent)}
               for one in drawn}
    in_sessions = facts.summary.sessions is not None
    result = WARN if far and not in_sessions else PASS
    text = f"Of {sent} requests, tenants sent, of what was asked: {told}"
    return Check(4, "share of the tenants", result, f"{text}; beyond chance: {', '.join(far)}." if result == WARN
                 else f"{text}.", figures)


def _allowed(one: TenantSummary, sent: int) -> float:
    weight = one.weight or 0.0
    return CLOSE * weight + _CHANCE * math.sqrt(weight * (1 - weight) / sent)
