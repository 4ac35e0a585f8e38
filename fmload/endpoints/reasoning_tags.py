"""Reasoning that a model writes into its answer between tags, where nothing on the server's side takes it out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fmload.model.reading import Chunk, Reading

# The name of the tag: `think` for <think>…</think>.
Tag = Annotated[str | None, Field(pattern=r"^[A-Za-z_|]{1,40}$")]


def split(reading: Reading, tag: str | None) -> None:
    """Make what stands between the tags reasoning. A text that closes what it has not opened began as reasoning: some
    templates open it in the prompt. Nothing happens where the server has told reasoning apart by itself."""
    chunks = reading.chunks
    if tag is None or any(chunk.channel == "reasoning" or chunk.thought for chunk in chunks):
        return
    said = reading.said("answer")
    cuts = _cuts(said, f"<{tag}>", f"</{tag}>")
    if cuts:
        reading.chunks = _recut(chunks, cuts)


def _cuts(said: str, opening: str, closing: str) -> list[tuple[int, int]]:
    """Spans of the answer that are reasoning, tags included, in order."""
    spans: list[tuple[int, int]] = []
    first_close, first_open = said.find(closing), said.find(opening)
    at = 0
    if first_close >= 0 and not 0 <= first_open < first_close:
        at = first_close + len(closing)
        spans.append((0, at))
    while (begin := said.find(opening, at)) >= 0:
        end = said.find(closing, begin)
        at = len(said) if end < 0 else end + len(closing)
        spans.append((begin, at))
    return spans


def _recut(chunks: list[Chunk], spans: list[tuple[int, int]]) -> list[Chunk]:
    """The chunks, each with what of its text is outside of the spans as answer, and the rest as reasoning."""
    recut: list[Chunk] = []
    position = place = 0
    for chunk in chunks:
        if chunk.channel != "answer" or not chunk.text:
            recut.append(chunk)
            continue
        begin, position = position, position + len(chunk.text)
        thought, answer, at = "", "", begin
        while place < len(spans) and spans[place][0] < position:
            start, end = max(spans[place][0], begin), min(spans[place][1], position)
            answer += chunk.text[at - begin:start - begin]
            thought += chunk.text[start - begin:end - begin]
            at = end
            if spans[place][1] > position:
                break
            place += 1
        answer += chunk.text[at - begin:]
        recut.append(chunk._replace(text=answer, thought=thought) if answer
                     else chunk._replace(channel="reasoning", text=thought))
    return recut
