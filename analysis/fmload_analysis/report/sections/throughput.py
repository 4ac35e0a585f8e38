"""Throughput against latency: what each level of load buys. Where there is no price it is the answer page's chart."""

from __future__ import annotations

from fmload_analysis.document.document import Section
from fmload_analysis.document.questions import QUEUE
from fmload_analysis.report import tradeoff
from fmload_analysis.verdict.analysis import Analysis


def render(analysis: Analysis) -> Section | None:
    """One chart. None where it stands on the answer page, or nothing was measured."""
    chart = tradeoff.throughput(analysis)
    if not chart.series or tradeoff.of(analysis) == chart:
        return None
    return Section("throughput", "Throughput and latency", [chart], QUEUE)
