"""The audit: checks that the numbers of a stage agree with each other, each PASS, WARN or FAIL with its figures.

`CHECKS` is the list; each check is a function of `Facts` and returns a Check, or None where it does not apply.
Measured stages bring records' evidence, the client's health and, where it was collected, the server's telemetry;
stages from published tables bring only their columns, and are checked as far as these go.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fmload_analysis.audit.checks.addresses import addresses
from fmload_analysis.audit.checks.client import client_cpu, client_host, client_lag, stamping_delay
from fmload_analysis.audit.checks.facts import FAIL, NOT_APPLICABLE, CheckFunction, Facts
from fmload_analysis.audit.checks.load import all_sent, littles_law, offered_load, send_lateness, undisturbed
from fmload_analysis.audit.checks.mixes import share_of_mix
from fmload_analysis.audit.checks.samples import (
    cached_tokens,
    enough_samples,
    known_well_enough,
    repeated_prompts,
    steady,
    warmed_up,
    warmup_ended,
)
from fmload_analysis.audit.checks.server import prefix_cache, throttles
from fmload_analysis.audit.checks.timing import buffered_streams, censored_tokens, order_of_instants, server_times
from fmload_analysis.audit.checks.tokens import (
    echoes,
    output_lengths,
    output_limit,
    server_counters,
    token_counts,
    token_source,
    token_sums,
    tokens_per_chunk,
)
from fmload_analysis.verdict.table import Check, StageResult

GROUPS = {1: "Little's law", 2: "Tokens", 3: "Time", 4: "Load", 5: "Client", 6: "Samples", 7: "Cache"}

CHECKS: tuple[CheckFunction, ...] = (
    littles_law, token_sums, token_counts, token_source, output_limit, output_lengths, echoes, tokens_per_chunk,
    server_counters, order_of_instants, buffered_streams, censored_tokens, server_times, offered_load, send_lateness,
    all_sent, addresses, share_of_mix, undisturbed, client_cpu, client_host, client_lag, stamping_delay,
    enough_samples, steady, warmed_up, warmup_ended, known_well_enough, cached_tokens, repeated_prompts,
    prefix_cache, throttles)


def audit(facts: Facts) -> tuple[Check, ...]:
    """All checks of one stage; a group in which none applies is there once, as NOT APPLICABLE.

    A stage without a request gets one FAIL: nothing was measured.
    """
    if not facts.summary.totals.started:
        return (Check(6, "enough requests", FAIL, "No request started inside the window: nothing was measured.", {}),)
    checks = [check for check in (function(facts) for function in CHECKS) if check]
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
