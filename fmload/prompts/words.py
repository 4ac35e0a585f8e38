"""English sentences without end: the words of data/words.txt, put together by a small grammar."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

_CLAUSES = (
    "determiner adjective noun pastverb determiner noun preposition determiner noun",
    "determiner noun verb determiner adjective noun",
    "pronoun adverb pastverb determiner noun conjunction pronoun pastverb determiner adjective noun",
    "determiner noun preposition determiner noun pastverb number noun adverb",
    "adverb determiner adjective adjective noun pastverb preposition determiner noun",
    "determiner noun other adjective conjunction determiner noun other adjective",
    "pronoun pastverb determiner noun preposition determiner adjective noun conjunction determiner noun verb adverb",
    "preposition determiner noun determiner noun adverb verb determiner noun",
)


@cache
def classes() -> dict[str, list[str]]:
    """The words by class: noun, verb, …"""
    text = files("fmload.prompts").joinpath("data/words.txt").read_text(encoding="utf-8")
    lines = (line.partition(":") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: words.split() for name, _, words in lines}


@cache
def _patterns() -> list[list[list[str]]]:
    return [[classes()[kind] for kind in clause.split()] for clause in _CLAUSES]


def stream(draw: random.Random) -> Iterator[str]:
    """Words with their punctuation, clause after clause; to be joined by spaces."""
    end = "."
    while True:
        clause = [draw.choice(words) for words in draw.choice(_patterns())]
        yield clause[0].capitalize() if end in ".?" else clause[0]
        yield from clause[1:-1]
        end = draw.choice((".", ".", ".", ".", ",", ";", "?"))
        yield clause[-1] + end
