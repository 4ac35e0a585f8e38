"""The sections of the report, in its order: one file each with `render(analysis)`, one line in `fmload.plugins`.

None means that the run holds nothing for the section. Sections of other distributions come last.
"""

from __future__ import annotations

from collections.abc import Iterator

from fmload.plugins import SECTIONS
from fmload_analysis.document.document import Section
from fmload_analysis.model import Analysis


def rendered(analysis: Analysis) -> Iterator[Section]:
    """The sections that have something to say."""
    for name in SECTIONS.in_order():
        section = SECTIONS.load(name)(analysis)
        if section is not None:
            yield section
