"""The interval of the rate at the highest load that meets, of what is measured at it and above it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Ends = tuple[float | None, float | None]


def span(own: Ends, missed_above: Sequence[tuple[float, float | None]], judged: bool) -> Ends:
    """`own`: the interval of the rate at the highest load that is shown to meet; `missed_above`: of every higher load
    that is shown to miss, the load and the upper end of its rate. The highest load that meets may be any below the
    lowest of them, where the rate is no lower than at the one measured. An end is None where it may lie anywhere.

    Not `judged` (no objectives): nothing higher counts.
    """
    low, high = own
    if low is None or high is None:
        return None, None
    if not judged:
        return own
    if not missed_above:
        return low, None
    _, next_up = min(missed_above, key=lambda pair: pair[0])
    return low, None if next_up is None else max(high, next_up)
