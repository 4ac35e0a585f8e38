"""report.md: the answer page, and each question in short, fit for a pull request; what is left out is beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fmload.base import neutral
from fmload_analysis.document import markdown
from fmload_analysis.document.document import Block, Bullets, Callout, Chart, Code, FactList, Paragraph, Section, Table
from fmload_analysis.document.questions import BELIEVE, HOW, Chapter, chapters, opening

MOST_LINES = 195
MOST_ROWS = 12
MOST_BULLETS = 6
_LINK = re.compile(r"\]\(#([a-z-]+)\)")  # to a section, which stands in a file of its own here
_OWN_LINES = 6  # of a question: its heading, its gist and the link, with the blank lines between them


def render(title: str, head: str, sections: Sequence[Section], files: Mapping[str, str]) -> str:
    """The page as text, under 200 lines. `files` says in which file beside it each section stands in full."""
    parts = [f"# {neutral.markdown(title)}", neutral.markdown(head)]
    for section in opening(sections):
        parts += [f"## {neutral.markdown(section.title)}", *_blocks(section.blocks)]
    found = chapters(sections)
    shown = _fitting(found, MOST_LINES - _lines(parts) - _OWN_LINES * len(found))
    for chapter in found:
        parts += _chapter(chapter, files, shown)
    return _LINK.sub(lambda link: f"]({files.get(link[1], '')})", "\n\n".join(parts)) + "\n"


def _fitting(found: Sequence[Chapter], room: int) -> dict[str, list[str]]:
    """The sections for which there is room, by their ids: the first of each question before any second one."""
    shown: dict[str, list[str]] = {}
    waiting = [(place, chapter.question, section) for chapter in found if chapter.question != HOW
               for place, section in enumerate(chapter.sections)]
    for _, question, section in sorted(waiting, key=lambda each: each[0]):
        parts = [f"### {neutral.markdown(section.title)}", *_blocks(section.blocks, question)]
        if len(parts) > 1 and _lines(parts) <= room:
            shown[section.id] = parts
            room -= _lines(parts)
    return shown


def _chapter(chapter: Chapter, files: Mapping[str, str], shown: Mapping[str, Sequence[str]]) -> list[str]:
    """Heading, gist, the sections for which there is room, and where all of it is."""
    parts = [f"## {chapter.question}", *([neutral.markdown(chapter.gist)] if chapter.gist else [])]
    for section in chapter.sections:
        parts += shown.get(section.id, ())
    listed = ", ".join(f"[{name}]({name})" for name in dict.fromkeys(files[one.id] for one in chapter.sections))
    titles = ", ".join(section.title for section in chapter.sections)
    return [*parts, f"In full in {listed}: {neutral.markdown(titles)}."]


def _lines(parts: Sequence[str]) -> int:
    return sum(part.count("\n") + 2 for part in parts)


def _blocks(blocks: Sequence[Block], question: str = "") -> list[str]:
    """Those that fit a short page, cut: of a question's sections the first table and the first picture."""
    kept: list[Block] = []
    for block in blocks:
        first = not any(type(other) is type(block) for other in kept)
        if isinstance(block, Callout | FactList | Paragraph) or (
                isinstance(block, Bullets | Table | Chart) and (first or not question)):
            kept.append(_cut(block))
    if question == BELIEVE:
        kept = [block for block in kept if isinstance(block, Bullets | Paragraph | Callout)]
    return [text for block in kept if not isinstance(block, Code) and (text := markdown.block(block))]


def _cut(block: Block) -> Block:
    if isinstance(block, Table) and len(block.rows) > MOST_ROWS:
        more = f"The first {MOST_ROWS} of {len(block.rows):,} rows."
        return replace(block, rows=block.rows[:MOST_ROWS], caption=f"{block.caption} {more}".strip(), folded=False)
    if isinstance(block, Bullets) and len(block.items) > MOST_BULLETS:
        more = f"and {len(block.items) - MOST_BULLETS} more"
        return Bullets([*block.items[:MOST_BULLETS], more])
    return block
