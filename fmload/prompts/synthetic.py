"""Synthetic prompts: sentences of real words, of exactly the length that was drawn under the endpoint's tokenizer."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.lengths import Length
from fmload.config.model import Strict
from fmload.model.prompt import Prompt
from fmload.prompts import words
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.tokenizer import Tokenizer

Count = Callable[[str], int]
_TRIES = 2000
SHORTEST_MARKED = 24  # tokens: a block and a half of vLLM's prefix cache, of which a mark takes up to one


class Synthetic(Invented):
    """Texts whose token count is drawn, and hit exactly: the text itself is counted, so that nothing can drift."""

    marked = True

    class Options(Strict):
        """Keys of `source: synthetic`."""

        input_tokens: Length = Field(description="length of the prompts")
        count_template: bool = Field(False, description="the length includes what the chat template adds")

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        draw = random.Random(f"{seed}/{index}")
        length = draw_length(self.options.input_tokens, draw)
        count = chat_count_of(tokenizer) if self.options.count_template else tokenizer.count
        text = text_of(length, count, draw, mark(head, length))
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=length)]


def mark(head: str, length: int) -> str:
    """What a prompt of so many tokens begins with: nothing where it is shorter than the blocks that caches keep."""
    return head if length >= SHORTEST_MARKED else ""


def chat_count_of(tokenizer: Tokenizer) -> Count:
    """Counts a text as the one user message of a chat."""
    return lambda text: tokenizer.chat_count([{"role": "user", "content": text}])


def text_of(length: int, count: Count, draw: random.Random, head: str = "") -> str:
    """A text that begins with `head` and of which `count` gives exactly `length`.

    Raises FmloadError when the tokenizer allows none, as when `length` is below what the template alone has.
    """
    drawn = list(itertools.islice(words.stream(draw), max(length, 1)))
    kept = _longest(drawn, length, count, head)
    for _ in range(_TRIES):
        text = head + " ".join(kept)
        missing = length - count(text)
        if missing == 0 and kept:
            return text
        word = _short(draw) if missing > 0 else ""
        if word and count(f"{text} {word}" if kept else head + word) <= length:
            kept.append(word)
        elif kept and (missing < 0 or draw.random() < 0.1):
            kept.pop()
    raise FmloadError(f"no text of exactly {length} tokens can be made",
                      hint="ask for longer prompts" if length < 20 else "use another tokenizer")


def _longest(drawn: list[str], length: int, count: Count, head: str) -> list[str]:
    """About as many of the words as fit into `length` tokens."""
    take = len(drawn)
    for _ in range(3):
        tokens = count(head + " ".join(drawn[:take]))
        if tokens <= length and take == len(drawn):
            break
        take = min(len(drawn), max(0, take - round((tokens - length) * take / max(tokens, 1))))
    return drawn[:take]


def _short(draw: random.Random) -> str:
    """A word that most tokenizers hold as one token."""
    return draw.choice(words.classes()[draw.choice(("preposition", "pronoun", "noun", "other"))])
