"""The questions that a reader has, in their order; every section of a report answers one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fmload_analysis.document.document import Section

ONE_USER = "How fast is it for one user?"
BATCH = "How many inputs a request?"
SOUND = "How much sound a second, and does it play smoothly?"
QUEUE = "Where does it begin to queue?"
MONTH = "What would a month cost?"
LIMIT = "What was the limit?"
FAILED = "What went wrong?"
STAGES = "What came of every stage?"
BELIEVE = "Can I believe this?"
OTHER = "What else was found?"
HOW = "How was it run, and what do the words mean?"
QUESTIONS = (ONE_USER, BATCH, SOUND, QUEUE, MONTH, LIMIT, FAILED, STAGES, OTHER, BELIEVE, HOW)


@dataclass(frozen=True, slots=True)
class Chapter:
    """One question with the sections that answer it."""

    question: str
    sections: Sequence[Section]

    @property
    def id(self) -> str:
        """Its anchor: `how-fast-is-it-for-one-user`."""
        return "-".join("".join(letter if letter.isalnum() else " " for letter in self.question.lower()).split())

    @property
    def gist(self) -> str:
        """What its sections say in a sentence each; blank where none does."""
        return " ".join(section.gist for section in self.sections if section.gist)


def opening(sections: Iterable[Section]) -> list[Section]:
    """Those that stand open, before any question."""
    return [section for section in sections if not section.question]


def chapters(sections: Iterable[Section]) -> list[Chapter]:
    """A chapter for each question that a section answers, in the order of QUESTIONS; others follow."""
    found: dict[str, list[Section]] = {}
    for section in sections:
        if section.question:
            found.setdefault(section.question, []).append(section)
    ordered = [*(each for each in QUESTIONS if each in found), *(each for each in found if each not in QUESTIONS)]
    return [Chapter(question, found[question]) for question in ordered]
