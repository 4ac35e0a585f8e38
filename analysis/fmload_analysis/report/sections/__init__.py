"""The sections of the report, in its order: one file each with `render(analysis) -> Section | None`, one line here.

None means that the run holds nothing for the section. Sections of other distributions come last.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.document import Section
from analysis.pipeline import Analysis
from fmload.registry import Registry

_TABLE = {
    "headline": "analysis.sections.headline:render",
    "price_performance": "analysis.sections.price_performance:render",
    "recommendations": "analysis.sections.recommendations:render",
    "search": "analysis.sections.search:render",
    "stages": "analysis.sections.stages:render",
    "token_latency": "analysis.sections.token_latency:render",
    "arrivals": "analysis.sections.arrivals:render",
    "load_latency": "analysis.sections.load_latency:render",
    "prompt_size": "analysis.sections.prompt_size:render",
    "output_lengths": "analysis.sections.output_lengths:render",
    "throughput": "analysis.sections.throughput:render",
    "mix": "analysis.sections.mix:render",
    "addresses": "analysis.sections.addresses:render",
    "repeats": "analysis.sections.repeats:render",
    "missed": "analysis.sections.missed:render",
    "errors": "analysis.sections.errors:render",
    "safe_check": "analysis.sections.safe_check:render",
    "cost": "analysis.sections.cost:render",
    "quality": "analysis.sections.quality:render",
    "limits": "analysis.sections.limits:render",
    "endpoint_metrics": "analysis.sections.endpoint_metrics:render",
    "audit": "analysis.sections.audit:render",
    "client": "analysis.sections.client:render",
    "timeline": "analysis.sections.timeline:render",
    "configuration": "analysis.sections.configuration:render",
    "glossary": "analysis.sections.glossary:render",
}
SECTIONS = Registry("report section", _TABLE)


def rendered(analysis: Analysis) -> Iterator[Section]:
    """The sections that have something to say."""
    for name in [*_TABLE, *(other for other in SECTIONS if other not in _TABLE)]:
        section = SECTIONS.load(name)(analysis)
        if section is not None:
            yield section
