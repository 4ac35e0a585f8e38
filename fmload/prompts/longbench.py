"""LongBench: questions about long contexts (2wikimqa, hotpotqa, narrativeqa, triviaqa, and their _e variants)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fmload.config.values import RunPath
from fmload.prompts.table import RowOptions, Rows, Values

Dataset = Literal["2wikimqa", "2wikimqa_e", "hotpotqa", "hotpotqa_e", "narrativeqa", "triviaqa", "triviaqa_e"]


class LongBench(Rows):
    """Rows with `input`, `context`, `answers`, `length`, `dataset`, `language`, `_id`."""

    template = ("Answer the question from the passages below, with the answer alone.\n\n{context}\n\n"
                "Question: {input}\nAnswer:")

    class Options(RowOptions):
        """Keys of `source: longbench`. Without `files` the published archive is fetched from the Hub."""

        dataset: Dataset = "hotpotqa"
        files: list[RunPath] = Field(default_factory=list, description="JSONL of the same columns; else from the Hub")

    def names(self) -> list[str]:
        return self.options.files or [f"hf:THUDM/LongBench/data.zip!data/{self.options.dataset}.jsonl"]

    def records(self, values: Values) -> list[Values]:
        answers = values.get("answers") or [None]
        return [{**values, "reference": answers[0] if isinstance(answers, list) else answers}]
