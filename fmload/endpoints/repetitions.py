"""Texts that come twice: chunks that repeat the text so far, each of them, one, or a last one that repeats it all."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from operator import attrgetter

from fmload.endpoints.chunk_tokens import Told
from fmload.model.reading import Channel, Chunk, Reading

_AT_LEAST = 4  # chunks: fewer may begin alike by chance
_CHARACTERS = 16  # of a text that is said twice: "no no" may be meant
_text = attrgetter("text")


def taken_out(reading: Reading, told: Told | None = None) -> str | None:
    """Leave each text once, and say in words what was found; None where nothing was. What was `told` of the tokens
    of chunks holds no more where one was."""
    chunks = reading.chunks
    if _repeat_the_text_so_far(chunks):
        reading.chunks = [chunks[0], *(after._replace(text=after.text[len(before.text):])
                                       for before, after in pairwise(chunks))]
        return "each chunk repeats the text so far: only what it adds is taken for its text"
    if len(chunks) <= _AT_LEAST or reading.choices > 1 or max(map(len, map(_text, chunks))) < _CHARACTERS:
        return None
    once = _once(chunks)
    if once == chunks:
        return None
    reading.chunks = once
    if told is not None:
        told.forget()
    return "a chunk repeats the whole text before it: only what it adds is taken for its text"


def _repeat_the_text_so_far(chunks: list[Chunk]) -> bool:
    """Whether every chunk holds all the text before it and more (cumulative streams, as DashScope's are by default).
    Of any other answer the first two chunks tell."""
    return len(chunks) >= _AT_LEAST and all(
        len(after.text) > len(before.text) > 0 and after.text.startswith(before.text) and after.channel == "answer"
        for before, after in pairwise(chunks))


def _once(chunks: list[Chunk]) -> list[Chunk]:
    """The chunks without what repeats all that was said in their channel before; none where that is all they hold."""
    said: dict[Channel, list[str]] = defaultdict(list)
    length: dict[Channel, int] = defaultdict(int)
    once = []
    for chunk in chunks:
        before, parts = length[chunk.channel], said[chunk.channel]
        if before >= _CHARACTERS and len(parts) >= _AT_LEAST and len(chunk.text) >= before and (
                chunk.text.startswith("".join(parts))):
            chunk = chunk._replace(text=chunk.text[before:], tokens=1)
            if not chunk.text:
                continue
        once.append(chunk)
        parts.append(chunk.text)
        length[chunk.channel] += len(chunk.text)
    return once
