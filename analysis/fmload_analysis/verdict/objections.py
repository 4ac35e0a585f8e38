"""Why a stage may not be recommended, nor stand for the capacity of its endpoint."""

from __future__ import annotations

from fmload_analysis.document.formats import percent
from fmload_analysis.verdict.table import StageResult

MOST_ERRORS = 0.01  # of a stage that is recommended, where no objective says how many


def objections(result: StageResult) -> list[str]:
    """Why a stage may not be recommended; empty when it may: its audit did not fail, the client was not its limit, its
    objectives are met and not unknown, and it has no more errors than its objective allows, or 1 % without one."""
    found = ["the audit failed"] if result.audit == "FAIL" else []
    if result.client_bound and not found:
        found.append("the client was the limit")
    if result.objectives in ("missed", "unknown"):
        named = ", ".join(one.objective.name for one in result.verdicts if one.state == result.objectives)
        found.append(f"{named} {result.objectives}")
    if too_many_errors(result):
        found.append(f"{percent(result.value('error_rate') or 0.0)} errors")
    return found


def too_many_errors(result: StageResult) -> bool:
    """More than its objective allows, or than MOST_ERRORS where there is none."""
    limits = [one.objective.limit for one in result.verdicts if one.objective.name == "error_rate"]
    return (result.value("error_rate") or 0.0) > (limits[0] if limits else MOST_ERRORS)
