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

from fmload.base.files import write_whole
from fmload.plugins import CHECKS
from fmload_analysis.audit.facts import FAIL, NOT_APPLICABLE, Facts
from fmload_analysis.verdict.table import Check, StageResult

GROUPS = {1: "Little's law", 2: "Tokens", 3: "Time", 4: "Load", 5: "Client", 6: "Samples", 7: "Cache", 8: "Outcomes"}
# What a reader would miss: (group, name, why it was not checked) of the checks that found nothing to look at.
_UNCHECKED = {
    "server_counters": (2, "server's counters = ours", "no collector tells of the endpoint's tokens and requests"),
    "token_counts": (2, "server's token count = tokenizer's", "the server tells no prompt tokens, or we count none"),
    "counted_texts": (2, "server's output count = tokenizer's", "no texts of answers were kept (keep_answers)"),
    "server_times": (3, "server's times = ours", "neither collectors nor answers tell of the server's own times"),
    "prefix_cache": (7, "server's cache = ours", "no collector tells of the prefix cache"),
    "cached_tokens": (7, "cached input tokens", "the server does not say how many it took from its cache"),
    "client_cpu": (5, "client CPU", "the workers told nothing of themselves in the window"),
    "every_record": (8, "no request without a record", "no collector tells how many requests the endpoint finished"),
}


def audit(facts: Facts) -> tuple[Check, ...]:
    """All checks of one stage; a group in which none applies is there once, as NOT APPLICABLE.

    Of a stage without a request: that nothing was measured, and what was lost.
    """
    if not facts.summary.totals.started:
        return _of_nothing(facts)
    found = {name: CHECKS.use(name, facts, gives=Check) for name in CHECKS.in_order()}
    checks = [check for check in found.values() if check]
    checks += [Check(group, title, NOT_APPLICABLE, f"Not checked: {why}.", {})
               for name, (group, title, why) in _UNCHECKED.items() if name in found and found[name] is None]
    missing = set(GROUPS) - {check.group for check in checks}
    checks += [Check(group, GROUPS[group], NOT_APPLICABLE, "Nothing to compare.", {}) for group in missing]
    return tuple(sorted(checks, key=lambda check: check.group))


def _of_nothing(facts: Facts) -> tuple[Check, ...]:
    why = "".join(f" {mark.detail}." for mark in facts.summary.stage.marks if mark.kind == "endpoint_refused")
    lost = CHECKS.use("all_recorded", facts, gives=Check)
    return (*([lost] if lost and lost.result == FAIL else []),
            Check(6, "enough requests", FAIL, f"No request started inside the window: nothing was measured.{why}", {}))


def audit_json(results: Sequence[StageResult]) -> dict[str, Any]:
    """The content of audit.json."""
    return {"schema": 1, "stages": [
        {"stage": result.stage, "endpoint": result.endpoint, "prompt_set": result.prompt_set,
         "audit": result.audit, "client_bound": result.client_bound,
         "checks": [asdict(check) for check in result.checks]} for result in results]}


def write_audit(path: Path, results: Sequence[StageResult]) -> None:
    """Writes audit.json."""
    write_whole(path, json.dumps(audit_json(results), indent=1, ensure_ascii=False) + "\n", durable=False)
