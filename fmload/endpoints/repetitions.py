"""Texts that come twice: chunks that repeat the text so far, and a last one that repeats it all."""

from __future__ import annotations

from itertools import pairwise

from fmload.endpoints.chunk_tokens import Told
from fmload.model.reading import Chunk, Reading

_AT_LEAST = 4  # chunks: fewer may begin alike by chance
_CHARACTERS = 16  # of a text that is said twice: "no no" may be meant


def taken_out(reading: Reading, told: Told) -> str | None:
    """Leave each text once, and say in words what was found; None where nothing was."""
    chunks = reading.chunks
    if _repeat_the_text_so_far(chunks):
        reading.chunks = [chunks[0], *(after._replace(text=after.text[len(before.text):])
                                       for before, after in pairwise(chunks))]
        return "each chunk repeats the text so far: only what it adds is taken for its text"
    if _last_repeats_all(chunks):
        told.forget(len(chunks) - 1)
        del chunks[-1]
        return "the last chunk repeats the whole text: left out"
    return None


def _repeat_the_text_so_far(chunks: list[Chunk]) -> bool:
    """Whether every chunk holds all the text before it and more (cumulative streams, as DashScope's are by default).
    Of any other answer the first two chunks tell."""
    return len(chunks) >= _AT_LEAST and all(
        len(after.text) > len(before.text) > 0 and after.text.startswith(before.text) and after.channel == "answer"
        for before, after in pairwise(chunks))


def _last_repeats_all(chunks: list[Chunk]) -> bool:
    """Whether the last chunk is the text of all chunks of its channel before it, as where a server ends a stream with
    the whole message."""
    if len(chunks) <= _AT_LEAST or len(last := chunks[-1].text) < _CHARACTERS:
        return False
    channel, length = chunks[-1].channel, len(last)
    before = [chunk.text for chunk in chunks[:-1] if chunk.channel == channel]
    return len(before) >= _AT_LEAST and sum(map(len, before)) == length and "".join(before) == last
