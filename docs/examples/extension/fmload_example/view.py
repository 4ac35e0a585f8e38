"""A view, `fmload report --as stopwatch`: what one would have measured with a stopwatch."""

from __future__ import annotations

import numpy as np

from fmload_analysis.published.views import Figures, ViewFacts


def stopwatch(facts: ViewFacts) -> Figures:
    """The mean from the request to the last token, in whole seconds; None without an answer."""
    seconds = facts.last - facts.send
    return {"seconds": float(np.round(seconds.mean())) if len(seconds) else None}
