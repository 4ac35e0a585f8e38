"""Multi-turn conversations that grow: every turn repeats all that was said, as chat applications do."""

from __future__ import annotations

import random
from typing import Any, Literal

from pydantic import Field

from fmload.config import limits
from fmload.config.lengths import Length
from fmload.config.model import Strict
from fmload.config.values import Seconds
from fmload.model.prompt import Prompt
from fmload.prompts.invented import Invented, Item
from fmload.prompts.lengths import draw_length
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer


class Conversation(Invented):
    """Conversations of synthetic questions. The lengths of all answers are drawn, and asked for; what later turns
    repeat of them is drawn, too, or what the server said."""

    class Options(Strict):
        """Keys of `source: conversation`."""

        turns: Length = Field(description="questions in a conversation")
        input_tokens: Length = Field(description="length of each question")
        answer_tokens: Length = Field(description="length of each answer: asked for, and repeated in later turns")
        system_tokens: int = Field(
            0, ge=0, le=limits.TOKENS, description="length of a system message that all conversations share")
        answers: Literal["made_up", "served"] = Field(
            "made_up", description="what later turns repeat: answers drawn beforehand, or those that the server gave")
        think_s: Seconds = Field(0.0, alias="think", description="mean pause before each later question")
        think_kind: Literal["fixed", "exponential"] = "exponential"

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        seed, index = item
        draw = random.Random(f"{seed}/{index}")
        said: list[dict[str, Any]] = []
        if self.options.system_tokens:
            system = text_of(self.options.system_tokens, tokenizer.count, random.Random(f"{seed}/system"))
            said.append({"role": "system", "content": system})
        prompts = []
        for turn in range(draw_length(self.options.turns, draw)):
            said.append(self._say("user", self.options.input_tokens, tokenizer, draw, "" if turn else head))
            answer = self._say("assistant", self.options.answer_tokens, tokenizer, draw, "")
            prompts.append(Prompt(
                id="", prompt_set=self.name, messages=list(said), conversation=f"{self.name}-{index:06d}", turn=turn,
                output_tokens=tokenizer.count(answer["content"]), think_s=self._think_s(draw) if turn else 0.0,
                served=self.options.answers == "served"))
            said.append(answer)
        return prompts

    def _say(self, role: str, length: Length, tokenizer: Tokenizer, draw: random.Random, head: str) -> dict[str, str]:
        return {"role": role, "content": text_of(draw_length(length, draw), tokenizer.count, draw, head)}

    def _think_s(self, draw: random.Random) -> float:
        mean = self.options.think_s
        return draw.expovariate(1 / mean) if mean and self.options.think_kind == "exponential" else mean
