"""A prompt source: `count to 10`, `count to 11`, and so on."""

from __future__ import annotations

from pydantic import Field

from fmload.config.model import Strict
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.tokenizer import Tokenizer


class Countdown(Invented):
    """`source: countdown`. Tokens are counted by the preparation, as nothing is said of them here."""

    class Options(Strict):
        """Its keys."""

        first: int = Field(10, ge=1, description="the number of the first prompt")

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        _, index = item
        return [Prompt(id="", prompt_set=self.name, text=f"{head}count to {self.options.first + index}")]
