"""Random vocabulary: prompts of tokens drawn at random, which no cache and no draft model can foresee."""

from __future__ import annotations

import random

from pydantic import Field

from fmload.config.lengths import Length
from fmload.config.model import Strict
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.synthetic import mark, text_of
from fmload.prompts.tokenizer import Tokenizer

_WORDS_AT_THE_END = 6  # tokens left to words, with which the length can be hit exactly


class RandomTokens(Invented):
    """Random tokens, decoded; decoding and encoding again may merge some, so the last few tokens are words."""

    marked = True

    class Options(Strict):
        """Keys of `source: random`."""

        input_tokens: Length = Field(description="length of the prompts")

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        draw = random.Random(f"{seed}/{index}")
        length = draw_length(self.options.input_tokens, draw)
        head = mark(head, length)
        text = text_of(length, tokenizer.count, draw, head + _noise(length - _WORDS_AT_THE_END, tokenizer, draw, head))
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=length)]


def _noise(most: int, tokenizer: Tokenizer, draw: random.Random, head: str) -> str:
    """Text of random tokens that, after `head`, has about `most` tokens and never more; ends with a space."""
    ids = draw.choices(tokenizer.plain_ids, k=max(most, 0))
    while ids:
        text = tokenizer.decode(ids) + " "
        over = tokenizer.count(head + text) - most
        if over <= 0:
            return text
        del ids[-over:]
    return ""
