"""Writes the page of a search over stacks: report.md with its figures, report.html, winner.yml and next.yml."""

from __future__ import annotations

from pathlib import Path

from fmload.base.files import write_whole
from fmload.model.stack import StackSearch
from fmload.results import search_file
from fmload.results.folder import Results
from fmload_analysis.document import formats, markdown
from fmload_analysis.report import html
from fmload_analysis.report.report import draw
from fmload_analysis.stacks.sections import sections
from fmload_analysis.stacks.winner import ready

WINNER = "winner.yml"
NEXT = "next.yml"  # the suggestion beside the winner


def write(root: Path) -> tuple[Path, ...]:
    """The page of the search as far as it is; the paths of what was written."""
    results = Results(root)
    results.refuse_links()
    search = search_file.read(root)
    winner = ready(root, search)
    found = sections(search, winner)
    draw(found, results.figures)
    subtitle = _subtitle(search)
    head, _, rest = markdown.render(search.name, found).partition("\n\n")
    write_whole(results.report_md, f"{head}\n\n{subtitle} · [interactive report](report.html)\n\n{rest}", durable=False)
    write_whole(results.report_html, html.render(search.name, subtitle, found), durable=False)
    if winner is None:
        return results.report_html, results.report_md
    write_whole(root / WINNER, winner.run_file, durable=False)
    if winner.after is None:
        (root / NEXT).unlink(missing_ok=True)  # of an earlier winner
    else:
        write_whole(root / NEXT, winner.after, durable=False)
    return results.report_html, results.report_md, root / WINNER


def _subtitle(search: StackSearch) -> str:
    return (f"Search over serving stacks · {formats.several(len(search.candidates), 'candidate')} · strategy "
            f"{search.strategy} · {formats.several(len(search.trials), 'trial')}"
            f"{'' if search.ended else ' · not over yet'}")
