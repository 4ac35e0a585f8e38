"""The user's own log: requests as they came, with their texts, or with made-up ones of the lengths that it has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Rule
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.prompts import table
from fmload.prompts.files import Row
from fmload.prompts.tokenizer import Tokenizer
from fmload.prompts.trace import Arrival, Item, Trace, TraceOptions

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_LATEST_S = 1e11  # the year 5138


class Log(Trace):
    """Rows of JSONL, CSV or Parquet with a `timestamp`, and what `source: jsonl` reads; or the lengths alone."""

    class Options(table.ColumnNames, TraceOptions):
        """Keys of `source: log`."""

        timestamp_column: str = Field("timestamp", description="when it came: a number, or a date and time (ISO 8601)")
        timestamp_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="of timestamps that are numbers")
        input_tokens_column: str | None = Field(
            None, description="the length of the prompt: its text is made up, whatever text the row has")

        @classmethod
        def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
            if "max_input_tokens" in given and "input_tokens_column" not in given:
                yield "max_input_tokens", ("cuts made-up texts (input_tokens_column); those of the log are sent whole: "
                                           "leave long ones out with filter.tokens")

    without = ("filter.language",)

    def __init__(self, spec: PromptSpec) -> None:
        """Raises FmloadError for a template or an image where texts are made up."""
        super().__init__(spec)
        options = spec.options
        self._table = table.Table(spec)
        self._columns: set[str] = set()
        self.columns = tuple(filter(None, (options.timestamp_column, options.input_tokens_column,
                                           options.input_tokens_column and options.tenant_column)))
        if options.input_tokens_column and (spec.template or options.image_column):
            raise FmloadError(f"prompt set '{spec.name}': input_tokens_column has texts made up; neither template nor "
                              "image_column goes with it", hint="leave one of them out")

    def fingerprint(self) -> str:
        return f"{super().fingerprint()}\n{self._table.fingerprint()}"

    def arrival(self, row: Row) -> Arrival | None:
        options, values = self.options, row.values
        self._columns |= values.keys()
        at_s = self._at_s(values)
        output_tokens = table.whole(values, options.output_tokens_column, row.where, least=0)
        if options.input_tokens_column:
            tenant = table.plain(values, options.tenant_column, row.where) if options.tenant_column else None
            return Arrival(at_s, table.tokens(values, options.input_tokens_column), output_tokens, tenant=tenant)
        self._prompts(row, "")
        return Arrival(at_s, 0, output_tokens, row=row)

    def items(self, seed: str) -> Iterator[Item]:
        """Raises FmloadError, too, for a column that no row has."""
        items = super().items(seed)
        if not self.options.input_tokens_column:
            self._table.check(self._columns)
        return items

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        row = item.arrival.row
        if row is None:
            return super().make(item, tokenizer, head)
        prompts = self._prompts(row, head)
        for prompt in prompts:
            prompt.offset_s, prompt.output_tokens = round(item.offset_s, 6), self.output_tokens(item)
        return prompts

    def _at_s(self, values: Mapping[str, Any]) -> float:
        column = self.options.timestamp_column
        try:
            return _instant_s(values[column], self.options.timestamp_unit)
        except ValueError as error:
            raise ValueError(f"{column}: {error}") from error

    def _prompts(self, row: Row, head: str) -> list[Prompt]:
        """Raises FmloadError for a row without text: its arrival would be missing from the replay."""
        prompts = self._table.prompts(table.Item(row.values, row.where, row.folder), head, least_output=0)
        if not prompts:
            raise FmloadError(f"{row.where}: no text in '{self.options.column}'",
                              hint="leave the row out; or name input_tokens_column, which has texts made up")
        return prompts


def _instant_s(value: Any, unit: str) -> float:
    """Seconds on the log's own clock. Raises ValueError for what is no instant."""
    if isinstance(value, str):
        value = _read(value.strip())
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no instant")
    at_s = value / _PER_SECOND[unit]
    if abs(at_s) > _LATEST_S:
        raise ValueError(f"{value} is not in the unit '{unit}' (it would be after the year 5000): set timestamp_unit")
    return at_s


def _read(value: str) -> float | datetime:
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is neither a number nor a date and time (ISO 8601)") from error
