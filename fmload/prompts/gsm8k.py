"""GSM8K's form: word problems whose answer is a number, `question` and `answer` (worked out, ending in `#### 42`)."""

from __future__ import annotations

from fmload.prompts.table import RowOptions, Rows, Values

MARK = "####"


class GSM8K(Rows):
    """Rows with `question` and `answer`; the ground truth is the number behind `####`."""

    template = ("{question}\n\nThink it through step by step, and end with a line that holds nothing but #### and the "
                "number.")
    columns = ("question", "answer")

    class Options(RowOptions):
        """Keys of `source: gsm8k`."""

    def records(self, values: Values) -> list[Values]:
        _, mark, number = str(values["answer"]).rpartition(MARK)
        if not mark or not number.strip():
            raise ValueError(f"no number behind {MARK} in its answer")
        return [{**values, "reference": number.strip()}]
