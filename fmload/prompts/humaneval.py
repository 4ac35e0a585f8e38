"""HumanEval's form: functions to be written, with tests: `task_id`, `prompt`, `entry_point`, `test`."""

from __future__ import annotations

import json

from pydantic import Field

from fmload.prompts.table import RowOptions, Rows, Values


class HumanEval(Rows):
    """Rows with `prompt` (signature and docstring), `entry_point` and `test` (which defines `check(candidate)`)."""

    template = ("Complete this Python function. Answer with the whole function in one code block, and nothing else.\n\n"
                "```python\n{prompt}\n```")
    columns = ("prompt", "entry_point", "test")

    class Options(RowOptions):
        """Keys of `source: humaneval`."""

        run_code: bool = Field(False, description="run what the model writes against the tests, in a process of this "
                                                  "host with limits of time and memory; without it nothing is judged")

    def records(self, values: Values) -> list[Values]:
        if not str(values["entry_point"]).isidentifier():
            raise ValueError("entry_point must be the name of a function")
        kept = {key: str(values[key]) for key in ("prompt", "entry_point", "test")}
        return [{**values, "reference": json.dumps(kept)}]
