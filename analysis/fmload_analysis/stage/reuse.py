"""Prompts that an endpoint was sent more than once: a prefix cache may have answered in the model's place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fmload.metrics.definitions import Bools, Ints

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
    """`earlier`: the prompts, hashed, that earlier stages sent to the same server."""
    sent = np.flatnonzero(np.isfinite(table["sent"]))
    sent = sent[np.argsort(table["sent"][sent], kind="stable")]
    prompts, first = np.unique(table["prompt"][sent], return_index=True)
    again = np.ones(len(sent), dtype=bool)
    again[first] = False
    counted = in_window[sent]
    before = ~again & np.isin(table["prompt"][sent], earlier)
    cached = table["cached_tokens"][sent][counted & (again | before)]
    told = cached[~np.isnan(cached)]
    return Reuse(int(counted.sum()), int((counted & again).sum()), int((counted & before).sum()),
                 int((told > 0).sum()) if len(told) else None, prompts)
