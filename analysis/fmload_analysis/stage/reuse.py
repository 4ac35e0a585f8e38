"""Prompts that an endpoint was sent more than once: a prefix cache may have answered in the model's place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fmload.metrics.definitions import Bools, Floats, Ints

MOST_ROWS = 1_000_000  # of which prompts are looked up at a time
NO_PROMPTS: Ints = np.array([], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Reuse:
    """Of the requests of a window that were sent (`requests`): those whose prompt had been sent earlier in the same
    stage, its ramp and warm-up included, and those of the others whose prompt had been sent in an earlier stage.

    `cached`: of both together, those in which the server told of cached tokens; None where it told in none of them
    whether there were any. `prompts`: all that the stage sent, hashed, each once, in ascending order.
    """

    requests: int = 0
    in_stage: int = 0
    in_earlier: int = 0
    cached: int | None = None
    prompts: Ints = field(default_factory=lambda: NO_PROMPTS)

    @property
    def repeated(self) -> int:
        """Requests whose prompt the endpoint had been sent before."""
        return self.in_stage + self.in_earlier

    @property
    def share(self) -> float:
        """The same, of all that were sent; 0 of none."""
        return self.repeated / self.requests if self.requests else 0.0


def reuse_of(table: Mapping[str, Any], in_window: Bools, earlier: Ints) -> Reuse:
    """`earlier`: the prompts, hashed, that earlier stages sent to the same server, in ascending order."""
    sent = np.isfinite(table["sent"])
    again, before, prompts = _seen(table["prompt"], table["sent"], sent, earlier)
    counted = in_window & sent
    cached = table["cached_tokens"][counted & (again | before)]
    told = cached[~np.isnan(cached)]
    return Reuse(int(counted.sum()), int((counted & again).sum()), int((counted & before).sum()),
                 int((told > 0).sum()) if len(told) else None, np.concatenate(prompts) if prompts else NO_PROMPTS)


def _seen(hashed: Ints, sent_ns: Floats, sent: Bools, earlier: Ints) -> tuple[Bools, Bools, list[Ints]]:
    """Which prompts had been sent in the stage, or else before it; and the different ones, in ascending order."""
    again, before = np.zeros(len(hashed), dtype=bool), np.zeros(len(hashed), dtype=bool)
    prompts = []
    for rows in _parts(hashed, sent):
        order = rows[np.argsort(sent_ns[rows], kind="stable")]
        found, first = np.unique(hashed[order], return_index=True)
        repeated = np.ones(len(order), dtype=bool)
        repeated[first] = False
        again[order], before[order] = repeated, ~repeated & _among(hashed[order], earlier)
        prompts.append(found)
    return again, before, prompts


def _parts(hashed: Ints, sent: Bools) -> Iterator[Ints]:
    """The rows that were sent, by the leading bits of their hash in ascending order: so many at a time that what is
    made of them stays small."""
    if len(hashed) <= MOST_ROWS:
        yield np.flatnonzero(sent)
        return
    leading = (hashed >> 60).astype(np.int8)
    for part in range(-8, 8):
        yield np.flatnonzero(sent & (leading == part))


def _among(hashed: Ints, earlier: Ints) -> Bools:
    if not len(earlier):
        return np.zeros(len(hashed), dtype=bool)
    found: Bools = earlier[np.minimum(np.searchsorted(earlier, hashed), len(earlier) - 1)] == hashed
    return found
