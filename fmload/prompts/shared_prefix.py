"""Shared prefixes on purpose: prompts that begin alike, so that a server's prefix cache has something to find."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from fmload.config import limits
from fmload.config.lengths import Length
from fmload.config.model import Rule, Strict
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer


class SharedPrefix(Invented):
    """A prefix of `prefix_tokens`, one of `prefixes`, before `share` of the prompts; then text of each prompt's own."""

    class Options(Strict):
        """Keys of `source: shared_prefix`."""

        prefix_tokens: int | None = Field(None, ge=1, le=limits.TOKENS, description="length of every prefix")
        hit_rate: float | None = Field(None, gt=0, lt=1, description=(
            "in its place: prefixes so long that this share of all input is prefix, which a cache can find again"))
        prefixes: int = Field(1, ge=1, le=limits.TOKENS, description="how many different prefixes there are")
        share: float = Field(1.0, ge=0, le=1, description="share of the prompts that begin with one of them")
        input_tokens: Length = Field(description="length of what follows the prefix")

        @classmethod
        def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
            if ("prefix_tokens" in given) == ("hit_rate" in given):
                yield "prefix_tokens", "give it, or hit_rate in its place, and not both"
            rate, share = given.get("hit_rate"), given.get("share", 1.0)
            if isinstance(rate, int | float) and isinstance(share, int | float) and rate >= share:
                yield "hit_rate", f"must be below share ({share:g}), as only prefixes are found again"

    def __init__(self, name: str, options: Options) -> None:
        super().__init__(name, options)
        self._prefix_tokens = prefix_tokens_of(options)
        self._texts: dict[tuple[str, str], str] = {}

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        draw = random.Random(f"{seed}/{index}")
        length = draw_length(self.options.input_tokens, draw) + self._prefix_tokens
        shared = draw.random() < self.options.share
        prefix = self._prefix(f"{seed}/prefix/{draw.randrange(self.options.prefixes)}", tokenizer) if shared else ""
        text = text_of(length, tokenizer.count, draw, prefix + head)
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=length)]

    def _prefix(self, seed: str, tokenizer: Tokenizer) -> str:
        key = seed, tokenizer.identity
        if key not in self._texts:
            self._texts[key] = text_of(self._prefix_tokens, tokenizer.count, random.Random(seed)) + " "
        return self._texts[key]


def prefix_tokens_of(options: SharedPrefix.Options) -> int:
    """The length of every prefix: as given, or p of h = s·p ÷ (p + r), with the share s of prompts that have one and r
    tokens behind it on average (all prompts have p + r tokens, so that their lengths tell nothing)."""
    if options.hit_rate is None:
        return options.prefix_tokens or 1
    rest = options.input_tokens
    mean = rest.mean if rest.mean is not None else ((rest.min or 0) + (rest.max or 0)) / 2
    return max(1, round(options.hit_rate * mean / (options.share - options.hit_rate)))
