"""Writes a plan beside the run that it was made from: capacity.html and capacity.json."""

from __future__ import annotations

import json
from pathlib import Path

from fmload.base.files import write_whole
from fmload.results.folder import Results
from fmload_analysis.capacity.answer import Answer, as_json
from fmload_analysis.capacity.sections import sections
from fmload_analysis.report import html


def write(folder: Path, title: str, found: Answer) -> tuple[Path, Path]:
    """The paths of the page and of the JSON. Raises FmloadError where the folder holds links in their place."""
    results = Results(folder)
    results.refuse_links()
    settings = found.settings
    subtitle = (f"Capacity plan · {settings.routing.replace('_', ' ')} · {settings.seeds} seeds · "
                "simulated from what was measured")
    write_whole(results.capacity_html, html.render(title, subtitle, sections(found)), durable=False)
    write_whole(results.capacity_json, json.dumps(as_json(found), indent=1, ensure_ascii=False), durable=False)
    return results.capacity_html, results.capacity_json
