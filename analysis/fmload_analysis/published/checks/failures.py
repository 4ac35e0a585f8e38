"""Failed requests: told or hidden, few or many."""

from __future__ import annotations

from fmload_analysis.audit.facts import FAIL, FAR, PASS, WARN
from fmload_analysis.published.rows.published import NONE_COMPLETED, Correction, Published, Row
from fmload_analysis.verdict.table import Check


def failures(row: Row, published: Published) -> tuple[Check, list[Correction]] | None:
    """Failed requests are told, and few; those that never completed count as failed where nothing else is said."""
    errors, requests, share = (row.value(name) for name in ("errors", "requests", "error_rate"))
    if row.value("completed") == 0:
        return Check(6, "requests succeed", FAIL, f"{NONE_COMPLETED}: no figure is of an answer.",
                     {"errors": errors, "share": share}), []
    if share is None and errors is None:
        return None
    if errors and requests and not share:  # a rate of 0 beside failures: another check says so
        share = errors / requests
    failed = bool((share or 0) > 0 or (errors or 0) > 0)
    result = PASS if not failed else FAIL if share is not None and share > FAR else WARN
    return Check(6, "requests succeed", result, _sentence(row, errors, requests, share, failed),
                 {"errors": errors, "share": share}), []


def _sentence(row: Row, errors: float | None, requests: float | None, share: float | None, failed: bool) -> str:
    unfinished = row.value("incomplete")
    rest = f" {unfinished:g} were not finished when the run ended." if unfinished else ""
    if not failed:
        return f"No request failed.{rest}"
    hidden = "errors" not in row.figures and "error_rate" not in row.figures
    if hidden and errors is not None and requests:
        return (f"{errors:g} of {requests:g} requests did not complete, an error rate of {share or 0.0:.1%} that the "
                f"file does not tell; latencies and throughput are of the rest.{rest}")
    told = f"{share:.1%} of the requests failed" if share is not None else f"{errors:g} requests failed"
    return f"{told}; latencies and throughput are of the rest.{rest}"
