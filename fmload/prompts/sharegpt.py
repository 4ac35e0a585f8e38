"""ShareGPT: conversations of people with a model; the first turn alone, or turn by turn with all that came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from fmload.config import limits
from fmload.config.values import Seconds
from fmload.model.prompt import Prompt
from fmload.prompts.table import Item, RowOptions, Rows, Values, objects
from fmload.prompts.tokenizer import Tokenizer

_ROLES = {"system": "system", **dict.fromkeys(("gpt", "chatgpt", "assistant", "model", "bing", "bard"), "assistant")}


def said_in(turns: Sequence[Any]) -> list[dict[str, Any]]:
    """The messages of a conversation; who is no model is a user. What says nothing is left out."""
    return [{"role": _ROLES.get(str(turn.get("from")), "user"), "content": str(turn["value"])}
            for turn in turns if isinstance(turn, dict) and turn.get("value")]


class ShareGPT(Rows):
    """Rows with `conversations`: a list of `{from, value}`."""

    class Options(RowOptions):
        """Keys of `source: sharegpt`."""

        turns: int = Field(
            1, ge=1, le=limits.TOKENS, description="questions of a conversation that are sent, one after the other")
        answer_lengths: bool = Field(True, description="ask for answers as long as those in the file")
        answers: Literal["recorded", "served"] = Field(
            "recorded", description="what later turns repeat: the answers of the file, or those that the server gave")
        think_s: Seconds = Field(0.0, alias="think", description="pause before each later question")

    columns = ("conversations",)
    without = ("template",)

    def check(self, columns: set[str]) -> None:
        return

    def prove(self, item: Item) -> None:
        return

    def records(self, values: Values) -> list[Values]:
        said = said_in(objects(values, "conversations"))
        return [{**values, "said": said}] if any(message["role"] == "user" for message in said) else []

    def make(self, item: Any, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        said = item.values["said"]
        asked = [index for index, message in enumerate(said) if message["role"] == "user"][:self.options.turns]
        return [self._turn(item, said, index, turn, head, tokenizer) for turn, index in enumerate(asked)]

    def _turn(self, item: Any, said: list[dict[str, str]], index: int, turn: int, head: str,
              tokenizer: Tokenizer) -> Prompt:
        messages = [{**said[0], "content": head + said[0]["content"]}, *said[1:index + 1]]
        answer = said[index + 1]["content"] if index + 1 < len(said) else ""
        length = max(tokenizer.count(answer), 1) if answer and self.options.answer_lengths else None
        return Prompt(
            id="", prompt_set=self.name, messages=messages, output_tokens=length, reference=answer or None,
            conversation=str(item.values.get("id") or item.where) if self.options.turns > 1 else None,
            turn=turn, think_s=self.options.think_s if turn else 0.0,
            served=self.options.turns > 1 and self.options.answers == "served")
