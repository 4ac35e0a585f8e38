"""The sections of the report, in its order: one file each with `render(analysis) -> Section | None`, one line here.

None means that the run holds nothing for the section. Sections of other distributions come last.
"""

from __future__ import annotations

from collections.abc import Iterator

from fmload.base.registry import Registry
from fmload_analysis.document.document import Section
from fmload_analysis.pipeline import Analysis

_TABLE = {
    "headline": "fmload_analysis.report.sections.headline:render",
    "price_performance": "fmload_analysis.report.sections.price_performance:render",
    "recommendations": "fmload_analysis.report.sections.recommendations:render",
    "search": "fmload_analysis.report.sections.search:render",
    "stages": "fmload_analysis.report.sections.stages:render",
    "token_latency": "fmload_analysis.report.sections.token_latency:render",
    "arrivals": "fmload_analysis.report.sections.arrivals:render",
    "load_latency": "fmload_analysis.report.sections.load_latency:render",
    "prompt_size": "fmload_analysis.report.sections.prompt_size:render",
    "output_lengths": "fmload_analysis.report.sections.output_lengths:render",
    "throughput": "fmload_analysis.report.sections.throughput:render",
    "mix": "fmload_analysis.report.sections.mix:render",
    "addresses": "fmload_analysis.report.sections.addresses:render",
    "repeats": "fmload_analysis.report.sections.repeats:render",
    "missed": "fmload_analysis.report.sections.missed:render",
    "errors": "fmload_analysis.report.sections.errors:render",
    "safe_check": "fmload_analysis.report.sections.safe_check:render",
    "cost": "fmload_analysis.report.sections.cost:render",
    "quality": "fmload_analysis.report.sections.quality:render",
    "limits": "fmload_analysis.report.sections.limits:render",
    "endpoint_metrics": "fmload_analysis.report.sections.endpoint_metrics:render",
    "audit": "fmload_analysis.report.sections.audit:render",
    "client": "fmload_analysis.report.sections.client:render",
    "timeline": "fmload_analysis.report.sections.timeline:render",
    "configuration": "fmload_analysis.report.sections.configuration:render",
    "glossary": "fmload_analysis.report.sections.glossary:render",
}
SECTIONS = Registry("report section", _TABLE)


def rendered(analysis: Analysis) -> Iterator[Section]:
    """The sections that have something to say."""
    for name in [*_TABLE, *(other for other in SECTIONS if other not in _TABLE)]:
        section = SECTIONS.load(name)(analysis)
        if section is not None:
            yield section
