"""Shared prefixes on purpose: prompts that begin alike, so that a server's prefix cache has something to find."""

from __future__ import annotations

import random

from pydantic import Field

from fmload.config import limits
from fmload.config.model import Strict
from fmload.config.schema import Length
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer


class SharedPrefix(Invented):
    """A prefix of `prefix_tokens`, one of `prefixes`, before `share` of the prompts; then text of each prompt's own."""

    class Options(Strict):
        """Keys of `source: shared_prefix`."""

        prefix_tokens: int = Field(ge=1, le=limits.TOKENS, description="length of every prefix")
        prefixes: int = Field(1, ge=1, le=limits.TOKENS, description="how many different prefixes there are")
        share: float = Field(1.0, ge=0, le=1, description="share of the prompts that begin with one of them")
        input_tokens: Length = Field(description="length of what follows the prefix")

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self._texts: dict[tuple[str, str], str] = {}

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        draw = random.Random(f"{seed}/{index}")
        length = draw_length(self.options.input_tokens, draw) + self.options.prefix_tokens
        shared = draw.random() < self.options.share
        prefix = self._prefix(f"{seed}/prefix/{draw.randrange(self.options.prefixes)}", tokenizer) if shared else ""
        text = text_of(length, tokenizer.count, draw, prefix + head)
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=length)]

    def _prefix(self, seed: str, tokenizer: Tokenizer) -> str:
        key = seed, tokenizer.identity
        if key not in self._texts:
            self._texts[key] = text_of(self.options.prefix_tokens, tokenizer.count, random.Random(seed)) + " "
        return self._texts[key]
