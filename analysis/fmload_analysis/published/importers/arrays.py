"""The arrays of vLLM and SGLang (`--save-detailed`, `--output-details`): one entry a request."""

from __future__ import annotations

from typing import Any

import numpy as np

from fmload_analysis.published.rows.reading import numbers, sequence


def recomputed(content: dict[str, Any], where: str) -> dict[str, float]:
    """Figures of the requests that stand in the object: TTFT, chunk gaps, totals; empty where there are no arrays.

    Times in seconds, of requests without an error. vLLM writes 0 as the TTFT and the length of a request that failed.
    """
    if not isinstance(content.get("ttfts"), list):
        return {}
    errors = [bool(error) for error in sequence(content.get("errors"), f"{where}: errors")]
    first = numbers(content.get("ttfts"), f"{where}: ttfts")
    good = [not failed for failed in errors] if len(errors) == len(first) else [value > 0 for value in first]
    found = _of("ttft", [value for value, kept in zip(first, good, strict=True) if kept])
    lengths = numbers(content.get("output_lens"), f"{where}: output_lens")
    found["output_tokens"] = float(sum(lengths)) if lengths else 0.0
    gaps = [numbers(entry, f"{where}: itls[{at}]") for at, entry in enumerate(
        sequence(content.get("itls"), f"{where}: itls"))]
    if len(gaps) == len(first):
        found |= _of("icl", [gap for own, kept in zip(gaps, good, strict=True) if kept for gap in own])
        found["completed"] = float(sum(good))
    return {name: value for name, value in found.items() if value}


def _of(metric: str, values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    array = np.array(values)
    return {f"{metric}_mean": float(array.mean()), f"{metric}_std": float(array.std()),
            **{f"{metric}_p{p}": float(np.percentile(array, p)) for p in (50, 90, 95, 99)}}
