"""The requests of a stage without their chunks, a sample of them, and the stage by the second: for plots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS, Bools, Floats, Ints, of_level
from fmload.model.outcome import NEITHER
from fmload_analysis.records.words import Words
from fmload_analysis.stage.windows import inside

SAMPLE_ROWS = 2_000
BEYOND_S = 86_400  # before or after its window nothing of a stage happens: such instants are damaged


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one stage, without their chunks. Instants in seconds after the window's start.

    `metrics` holds the request metrics by name, and the columns that they are made of."""

    metrics: Mapping[str, Any]
    in_window: Bools  # started inside the window
    ok: Bools  # ended well
    failed: Bools  # or not answered within the drain; not what the client stopped or broke itself

    @classmethod
    def of(cls, table: Mapping[str, Any], window_ns: int) -> Requests:
        """Those of a stage's table."""
        ok = table["outcome"] == "ok"
        return cls(table, inside(table["begun"], window_ns), ok, ~ok & ~table["outcome"].isin(NEITHER))

    @property
    def begun_s(self) -> Floats:
        """When each was sent, or due."""
        return self.metrics["begun"] / NS  # type: ignore[no-any-return]

    @property
    def ended_s(self) -> Floats:
        """When each ended; +∞ where no end was seen."""
        return self.metrics["ended"] / NS  # type: ignore[no-any-return]

    @property
    def outcome(self) -> Words:
        return self.metrics["outcome"]  # type: ignore[no-any-return]

    @property
    def succeeded(self) -> Bools:
        """Started inside the window and ended well."""
        return self.in_window & self.ok


@dataclass(frozen=True, slots=True)
class Timeline:
    """The stage by the second, from the first request on: for plots and for the audit. `second` counts from the
    window's start and is negative before it."""

    second: Ints
    in_flight: Floats
    sent: Ints
    completed: Ints
    failed: Ints
    output_tokens: Floats


def timeline_of(requests: Requests, window_s: float, tokens_by_second: Mapping[int, float]) -> Timeline:
    """The timeline of all requests; one without an end counts as in flight to the window's end."""
    begun = requests.begun_s
    if not len(begun):
        none = np.array([], dtype=np.int64)
        return Timeline(none, np.array([]), none, none, none, np.array([]))
    ended = requests.ended_s
    ended[~np.isfinite(ended)] = window_s
    first = max(math.floor(float(np.nanmin(begun))), -BEYOND_S)
    last = max(min(math.ceil(float(ended.max())), math.ceil(window_s) + BEYOND_S), first + 1)
    edges = np.arange(first, last + 1)
    completed, failed = (np.histogram(ended[rows], bins=edges)[0] for rows in (requests.ok, requests.failed))
    seconds = edges[:-1]
    tokens = np.array([tokens_by_second.get(int(second), 0.0) for second in seconds])
    sent = np.histogram(begun, bins=edges)[0]
    return Timeline(seconds, _in_flight_by_second(begun, ended, edges), sent, completed, failed, tokens)


def _in_flight_by_second(begun: Floats, ended: Floats, edges: Ints) -> Floats:
    """Mean requests in flight in each second: the integral of arrivals minus departures, differenced."""
    def area(instants: Floats) -> Floats:
        ordered = instants[np.isfinite(instants)]
        ordered.sort()
        before = np.searchsorted(ordered, edges, side="right")
        sums = np.zeros(len(ordered) + 1)
        np.cumsum(ordered, out=sums[1:])
        return edges * before - sums[before]

    return np.diff(area(begun) - area(ended))


def sample_of(requests: Requests) -> Requests:
    """At most SAMPLE_ROWS of the requests that started inside the window, evenly drawn in order of start."""
    order = np.argsort(requests.begun_s, kind="stable")
    order = order[requests.in_window[order]]
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), SAMPLE_ROWS)).astype(np.int64))] if len(
        order) else order
    names = ("begun", "ended", "outcome", *(metric.name for metric in of_level("request")))
    return Requests({name: requests.metrics[name][picked] for name in names}, requests.in_window[picked],
                    requests.ok[picked], requests.failed[picked])
