"""Characters that were cut in half between two chunks, put together again."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable

from fmload.model.reading import Chunk

# A high half at the end may find its other half in the next chunk. What `surrogateescape` made of a byte is left to the
# decoder; every other half that stands alone is none of a character.
_open_half = re.compile("[\ud800-\udbff]$").search
_lone = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class Mender:
    """Takes a text in pieces and gives the same pieces in whole characters: half of one waits for the next piece."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._half = ""

    def add(self, text: str) -> str:
        """The piece, with what an earlier one left over; text that can be encoded."""
        text = self._half + text
        open_half = _open_half(text)
        self._half = open_half[0] if open_half else ""
        if open_half:
            text = text[:-1]
        if not text.isascii():
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return self._decode(_lone.sub("\ufffd", text).encode("utf-8", "surrogateescape"))

    def end(self) -> str:
        """What is left when nothing more comes: U+FFFD for half a character, else nothing."""
        left = self._decode(b"", True) + ("\ufffd" if self._half else "")
        self._half = ""
        return left


def is_whole(chunks: Iterable[Chunk]) -> bool:
    """Whether no text holds half a character."""
    try:
        for chunk in chunks:
            _ = chunk.text.isascii() or chunk.text.encode()
            _ = chunk.thought.isascii() or chunk.thought.encode()
    except UnicodeEncodeError:
        return False
    return True


def mended(chunks: list[Chunk]) -> list[Chunk]:
    """The chunks with characters that were cut in half whole again, each in the chunk that completed it."""
    texts, thoughts = Mender(), Mender()
    whole = [chunk._replace(text=texts.add(chunk.text), thought=thoughts.add(chunk.thought)) for chunk in chunks]
    if whole:
        whole[-1] = whole[-1]._replace(text=whole[-1].text + texts.end(), thought=whole[-1].thought + thoughts.end())
    return whole
