"""OpenOrca-like sets: an instruction to the system, a question, and the answer that was given."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.prompts.table import Item, RowOptions, Rows
from fmload.prompts.tokenizer import Tokenizer


class OpenOrca(Rows):
    """Rows with `system_prompt`, `question`, `response`; the columns' names can be changed."""

    class Options(RowOptions):
        """Keys of `source: openorca`."""

        system_column: str = "system_prompt"
        question_column: str = "question"
        response_column: str = "response"
        answer_lengths: bool = Field(False, description="ask for answers as long as those in the file")

    without = ("template",)

    def __init__(self, spec: PromptSpec) -> None:
        super().__init__(spec)
        self.columns = (spec.options.question_column,)

    def check(self, columns: set[str]) -> None:
        return

    def prove(self, item: Item) -> None:
        return

    def make(self, item: Any, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        options, values = self.options, item.values
        system, answer = values.get(options.system_column), values.get(options.response_column)
        messages = [{"role": "system", "content": str(system)}] if system else []
        messages.append({"role": "user", "content": str(values.get(options.question_column) or "")})
        messages[0]["content"] = head + messages[0]["content"]
        length = max(tokenizer.count(str(answer)), 1) if answer and options.answer_lengths else None
        return [Prompt(id="", prompt_set=self.name, messages=messages, output_tokens=length,
                       reference=str(answer) if answer else None)]
