"""Fixed lengths in turn, as llama-recipes' benchmarks have them: 5, 25, 50, 100, 500, 1,000 and 2,000 tokens."""

from __future__ import annotations

import random
from typing import Annotated

from pydantic import Field

from fmload.config import limits
from fmload.config.model import Strict
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.synthetic import mark, text_of
from fmload.prompts.tokenizer import Tokenizer

_LLAMA_RECIPES = (5, 25, 50, 100, 500, 1000, 2000)


class Fixed(Invented):
    """Synthetic texts of each length in turn."""

    marked = True

    class Options(Strict):
        """Keys of `source: fixed`."""

        lengths: list[Annotated[int, Field(ge=1, le=limits.TOKENS)]] = Field(list(_LLAMA_RECIPES), min_length=1)

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        length = self.options.lengths[index % len(self.options.lengths)]
        text = text_of(length, tokenizer.count, random.Random(f"{seed}/{index}"), mark(head, length))
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=length)]
