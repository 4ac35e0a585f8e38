"""Fixed lengths in turn, as llama-recipes' benchmarks have them: 5, 25, 50, 100, 500, 1,000 and 2,000 tokens."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from fmload.config.model import Strict
from fmload.config.schema import PromptSpec
from fmload.prompt import Prompt
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer

_LLAMA_RECIPES = (5, 25, 50, 100, 500, 1000, 2000)


class Fixed:
    """Synthetic texts of each length in turn."""

    endless = True
    without = ("template", "filter.language")

    class Options(Strict):
        """Keys of `source: fixed`."""

        lengths: list[Annotated[int, Field(ge=1)]] = Field(list(_LLAMA_RECIPES), min_length=1)

    def __init__(self, name: str, lengths: list[int]) -> None:
        self.name, self.lengths = name, lengths

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Fixed:
        return cls(spec.name, spec.options.lengths)

    def fingerprint(self) -> str:
        return ""

    def items(self, seed: str) -> Iterator[tuple[str, int]]:
        return ((f"{seed}/{index}", length) for index, length in enumerate(itertools.cycle(self.lengths)))

    def make(self, item: tuple[str, int], tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, length = item
        text = text_of(length, tokenizer.count, random.Random(seed), head)
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=length)]
