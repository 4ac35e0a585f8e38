"""The audit: checks that the numbers of a stage agree with each other, each PASS, WARN or FAIL with its figures.

`fmload.plugins.CHECKS` is the table; a check is a function of `Facts` that returns a Check, or None where it does not
apply.
Measured stages bring records' evidence, the client's health and, where it was collected, the server's telemetry;
stages from published tables bring only their columns, and are checked as far as these go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmload.plugins import CHECKS
from fmload_analysis.audit.facts import FAIL, NOT_APPLICABLE, Facts
from fmload_analysis.verdict.table import Check, StageResult

GROUPS = {1: "Little's law", 2: "Tokens", 3: "Time", 4: "Load", 5: "Client", 6: "Samples", 7: "Cache"}



def audit(facts: Facts) -> tuple[Check, ...]:
    """All checks of one stage; a group in which none applies is there once, as NOT APPLICABLE.

    A stage without a request gets one FAIL: nothing was measured.
    """
    if not facts.summary.totals.started:
        return (Check(6, "enough requests", FAIL, "No request started inside the window: nothing was measured.", {}),)
    checks = [check for name in CHECKS.in_order() if (check := CHECKS.load(name)(facts))]
    missing = set(GROUPS) - {check.group for check in checks}
    checks += [Check(group, GROUPS[group], NOT_APPLICABLE, "Nothing to compare.", {}) for group in missing]
    return tuple(sorted(checks, key=lambda check: check.group))


def audit_json(results: Sequence[StageResult]) -> dict[str, Any]:
    """The content of audit.json."""
    return {"schema": 1, "stages": [
        {"stage": result.stage, "endpoint": result.endpoint, "prompt_set": result.prompt_set,
         "audit": result.audit, "client_bound": result.client_bound,
         "checks": [asdict(check) for check in result.checks]} for result in results]}


def write_audit(path: Path, results: Sequence[StageResult]) -> None:
    """Writes audit.json."""
    path.write_text(json.dumps(audit_json(results), indent=1, ensure_ascii=False) + "\n")
