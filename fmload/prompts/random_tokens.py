"""Random vocabulary: prompts of tokens drawn at random, which no cache and no draft model can foresee."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.schema import Length, PromptSpec
from fmload.prompt import Prompt
from fmload.prompts.lengths import draw_length
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer

_WORDS_AT_THE_END = 6  # tokens left to words, with which the length can be hit exactly


class RandomTokens:
    """Random tokens, decoded; decoding and encoding again may merge some, so the last few tokens are words."""

    endless = True
    without = ("template", "filter.language")

    class Options(Strict):
        """Keys of `source: random`."""

        input_tokens: Length = Field(description="length of the prompts")

    def __init__(self, name: str, options: Options) -> None:
        self.name, self.options = name, options

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> RandomTokens:
        return cls(spec.name, spec.options)

    def fingerprint(self) -> str:
        return ""

    def items(self, seed: str) -> Iterator[str]:
        return (f"{seed}/{index}" for index in itertools.count())

    def make(self, item: str, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        draw = random.Random(item)
        length = draw_length(self.options.input_tokens, draw)
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
