"""A tokenizer without mercy: three letters a token, across words, with marks of its own in a chat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fmload.prompts.tokenizer import Message, Tokenizer


class ThreeLetters(Tokenizer):
    """Every three characters are one token: cutting anywhere shifts all that follows."""

    name = "three-letters"
    identity = "three-letters-1"

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._places: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [self._id(text[start:start + 3]) for start in range(0, len(text), 3)]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self._texts[token] for token in ids)

    def chat_count(self, messages: Sequence[Message]) -> int:
        return self.count("".join(f"<|{one['role']}|>{one['content']}" for one in messages))

    def _id(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self._texts)
            self._texts.append(text)
        return self._places[text]

    def _ids(self) -> Iterable[int]:
        self.encode("the quick brown fox jumps over the lazy dog")
        return range(len(self._texts))
