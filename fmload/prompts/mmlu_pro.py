"""MMLU-Pro's form: questions with up to ten options, of which one is right."""

from __future__ import annotations

from string import ascii_uppercase

from fmload.prompts.table import RowOptions, Rows, Values


class MMLUPro(Rows):
    """Rows with `question`, `options` (a list) and `answer` (the letter) or `answer_index` (its place, from 0)."""

    template = ("{question}\n\n{choices}\n\nThink it through step by step, and end with \"The answer is (X)\", X being "
                "the letter of the right option.")
    columns = ("question", "options")

    class Options(RowOptions):
        """Keys of `source: mmlu_pro`."""

    def records(self, values: Values) -> list[Values]:
        options = values["options"]
        if not isinstance(options, list) or not 2 <= len(options) <= len(ascii_uppercase):
            raise ValueError("options must be a list of 2 to 26")
        letters = ascii_uppercase[:len(options)]
        index = values.get("answer_index")
        right = letters[index] if isinstance(index, int) and 0 <= index < len(options) else values.get("answer")
        if right is None or str(right).strip().upper() not in letters:
            raise ValueError(f"its answer is none of {letters[0]} to {letters[-1]}")
        choices = "\n".join(f"({letter}) {option}" for letter, option in zip(letters, options, strict=False))
        return [{**values, "choices": choices, "reference": str(right).strip().upper()}]
