"""A check of the audit: a stage in which every request was answered in a round number of tokens is strange."""

from __future__ import annotations

from fmload_analysis.audit.facts import PASS, WARN, Facts
from fmload_analysis.verdict.table import Check


def round_numbers(facts: Facts) -> Check | None:
    """None where no mean is known. 2 is the audit's group of tokens."""
    mean = facts.value("output_tokens_mean")
    if mean is None:
        return None
    result = WARN if mean % 100 == 0 else PASS
    return Check(2, "round numbers", result, f"An answer held {mean:.1f} tokens on average.", {"mean": mean})
