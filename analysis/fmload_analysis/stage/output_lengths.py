"""Answers against the lengths that were asked for: how many are shorter, how many longer, and by how much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fmload.metrics.definitions import Bools


@dataclass(frozen=True, slots=True)
class OutputLengths:
    """Of one stage, over the requests that started inside the window, succeeded, asked for a length, and whose tokens
    were counted (by the server or a tokenizer; a count of chunks is no length). `exact`: exactly that length was asked
    for, not just no more."""

    n: int
    asked_mean: float
    got_mean: float
    shorter: int
    longer: int
    exact: bool

    @property
    def difference(self) -> float:
        """Tokens that came ÷ tokens asked for − 1."""
        return self.got_mean / self.asked_mean - 1

    @property
    def mismatched(self) -> int:
        """Answers that have not the length asked for."""
        return self.shorter + self.longer


def output_lengths(table: Mapping[str, Any], good: Bools, exact: bool) -> OutputLengths | None:
    """What was asked against what came; None when no request that counts asked for a length."""
    asked, got = table["max_output_tokens"][good], table["tokens_of_choice"][good]
    kept = (asked > 0) & ~np.isnan(got) & table["tokens_source"][good].isin(("server", "tokenizer"))
    if not kept.any():
        return None
    asked, got = asked[kept], got[kept]
    return OutputLengths(len(got), float(asked.mean()), float(got.mean()), int((got < asked).sum()),
                         int((got > asked).sum()), exact)
