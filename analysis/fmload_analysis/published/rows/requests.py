"""Requests as another tool recorded them, and the figures of a stage that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fmload_analysis.published.rows.figures import Figures
from fmload_analysis.published.rows.published import Row
from fmload_analysis.published.rows.request import Request

_STATS = (50, 90, 95, 99)


def row_of(requests: Sequence[Request], label: str | None = None) -> Row:
    """The stage of these requests: from the first send to the last end; linear percentiles of those that succeeded."""
    good = [request for request in requests if request.error is None and not request.cut_off]
    cut = sum(request.cut_off for request in requests)
    figures = Figures("")
    figures.put("requests", float(len(requests) - cut))
    figures.put("completed", float(len(good)))
    figures.put("errors", float(len(requests) - cut - len(good)))
    figures.put("incomplete", float(cut) if cut else None)
    ends = [end for end in (request.end_s or request.last_s for request in requests) if end is not None]
    seconds = max(ends) - min(request.send_s for request in requests) if ends else 0.0
    if seconds > 0:
        _rates(figures, good, seconds)
    _latencies(figures, good)
    return figures.row(label, requests=tuple(requests))


def _rates(figures: Figures, good: Sequence[Request], seconds: float) -> None:
    figures.put("duration_s", seconds)
    figures.put("transactions_per_minute", len(good) / seconds * 60)
    for name, values in (("output_tokens", [request.output_tokens for request in good]),
                         ("input_tokens", [request.input_tokens for request in good])):
        known = [value for value in values if value is not None]
        if known:
            figures.put(name, sum(known))
            figures.put(f"{name}_per_s", sum(known) / seconds)
            _keep(figures, name, known)
    spans = [request.last_s - request.send_s for request in good if request.last_s is not None]
    if spans:
        figures.put("achieved_concurrency", sum(spans) / seconds)


def _latencies(figures: Figures, good: Sequence[Request]) -> None:
    _keep(figures, "ttft", [one.first_s - one.send_s for one in good if one.first_s is not None])
    _keep(figures, "e2e", [one.last_s - one.send_s for one in good if one.last_s is not None])
    _keep(figures, "icl", [gap for one in good for gap in one.gaps_s])
    _keep(figures, "tpot", [(one.last_s - one.first_s) / ((one.output_tokens or 0.0) - 1) for one in good
                            if one.first_s is not None and one.last_s is not None and (one.output_tokens or 0) > 1])


def _keep(figures: Figures, metric: str, values: Sequence[float]) -> None:
    if not values:
        return
    array = np.array(values)
    figures.put(f"{metric}_mean", float(array.mean()))
    figures.put(f"{metric}_std", float(array.std()))
    for stat in _STATS:
        figures.put(f"{metric}_p{stat}", float(np.percentile(array, stat)))
    figures.put(f"{metric}_min", float(array.min()))
    figures.put(f"{metric}_max", float(array.max()))
