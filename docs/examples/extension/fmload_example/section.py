"""A section of the report: the longest wait for a first token."""

from __future__ import annotations

from fmload_analysis.document.document import Paragraph, Section
from fmload_analysis.verdict.analysis import Analysis


def render(analysis: Analysis) -> Section | None:
    """None where no stage has a TTFT."""
    found = [longest for result in analysis.results if (longest := result.value("ttft_max")) is not None]
    if not found:
        return None
    return Section("longest", "The longest wait", [Paragraph(f"A first token took {max(found):.3f} s at most.")])
