"""What the stage metrics are made of, of the columns of requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fmload.metrics.definitions import NS, Bools, Floats, SoundTotals, Totals, meets
from fmload_analysis.stage.stats import finite
from fmload_analysis.stage.table import in_blocks
from fmload_analysis.stage.timeline import Requests
from fmload_analysis.stage.windows import inside, overlap_ns


def totals_of(window_ns: int, table: Mapping[str, Any], requests: Requests, completed: Bools,
              limits: Mapping[str, float], accelerators: int | None = None) -> Totals:
    """The sums over the requests of a table, which may be a part of a stage's; `limits` are those of a good one."""
    started, outcome = requests.in_window, requests.outcome
    first_inside = inside(table["answered"], window_ns)
    embeds = np.isfinite(table["inputs"])
    cached = finite(table["cached_tokens"], completed)
    area = in_blocks(table, lambda some: _in_flight_ns(some["sent"], some["ended"], window_ns)).sum()
    return Totals(
        window_s=window_ns / NS, started=int(started.sum()), succeeded=int(requests.succeeded.sum()),
        failed=int((started & requests.failed).sum()), completed=int(completed.sum()),
        good=int((completed & meets(requests.metrics, limits, len(outcome))).sum()) if limits else None,
        tokens_out=float(table["tokens_inside"].sum()),
        tokens_out_failed=float(table["tokens_inside"][outcome != "ok"].sum()),
        tokens_in=float(np.nansum(table["input_tokens"][first_inside])),
        tokens_in_failed=float(np.nansum(table["input_tokens"][first_inside & (outcome != "ok")])),
        completed_tokens_in=float(np.nansum(table["input_tokens"][completed])),
        completed_tokens_out=float(np.nansum(table["output_tokens"][completed])),
        completed_tokens_cached=float(cached.sum()) if len(cached) else None,
        completed_inputs=float(np.nansum(table["inputs"][completed])) if embeds.any() else None,
        completed_images=float(np.nansum(table["images"][completed])) if np.isfinite(table["images"]).any() else None,
        images_in=_sent(table["images_in"], requests), media_bytes=_sent(table["media_bytes"], requests),
        sound=_sound(table, completed), in_flight_s=float(area) / NS, accelerators=accelerators)


def _in_flight_ns(sent: Floats, ended: Floats, window_ns: int) -> Floats:
    """Of those that were sent."""
    known = np.isfinite(sent)
    return overlap_ns(sent[known], ended[known], window_ns)


def _sound(table: Mapping[str, Any], completed: Bools) -> SoundTotals | None:
    """Of the requests that ended well in the window; None where none has to do with sound."""
    heard, named = np.isfinite(table["audio_in_s"]), np.isfinite(table["characters"])
    if not heard.any() and not named.any():
        return None
    seconds, played = table["audio"][completed], np.isfinite(table["stalls"]) & completed
    return SoundTotals(
        spoken=not heard.any(), audio_s=float(seconds.sum()) if np.isfinite(seconds).all() else None,
        characters=float(np.nansum(table["characters"][completed])),
        played=int(played.sum()), stuttered=int((table["stalls"][played] > 0).sum()))


def _sent(values: Floats, requests: Requests) -> float | None:
    """The sum over the requests that were sent inside the window and ended well; None where none has any."""
    return float(np.nansum(values[requests.succeeded])) if np.isfinite(values).any() else None
