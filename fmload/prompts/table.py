"""Prompts from rows of files: the user's own JSONL, CSV or Parquet, and what every published data set builds on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import Field

from fmload.base.errors import Faults, FmloadError
from fmload.base.registry import did_you_mean
from fmload.config import limits
from fmload.config.model import Strict
from fmload.config.problems import shown
from fmload.config.schema import PromptSpec
from fmload.config.values import RunPath
from fmload.model.prompt import Prompt
from fmload.prompts import files
from fmload.prompts.images import image_part
from fmload.prompts.template import Template
from fmload.prompts.tokenizer import Tokenizer

Values = dict[str, Any]


class Item(NamedTuple):
    """A row, or the part of one, that becomes one prompt or one conversation."""

    values: Values
    where: str
    folder: str


class RowOptions(Strict):
    """Keys that every source of rows has."""

    files: list[RunPath] = Field(min_length=1, description="paths or patterns; s3://… and hf:… too")
    shuffle: bool = Field(True, description="rows in an order drawn by the seed")
    language_column: str = Field("language", description="what filter.language looks at")


class Rows:
    """The common half of sources that read rows. A source says what a row is (`records`) and what it becomes."""

    template: ClassVar[str] = "{prompt}"
    columns: tuple[str, ...] = ()  # of the file, without which a row is none; a template's own are looked at besides

    def __init__(self, spec: PromptSpec) -> None:
        self.options: Any = spec.options
        self.name = spec.name
        self.language = spec.filter.language if spec.filter else None
        self.written = Template.load(spec.template) if spec.template else None

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Self:
        return cls(spec)

    def names(self) -> list[str]:
        """The files to read, as named."""
        return list(self.options.files)

    def records(self, values: Values) -> list[Values]:
        """The flat records that one row of the file holds; one, unless a source knows better. Raises ValueError for a
        row that is none."""
        return [values]

    def make(self, item: Any, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        text = head + self._template.render(item.values)
        return [Prompt(id="", prompt_set=self.name, text=text, reference=reference(item.values))]

    def fingerprint(self) -> str:
        template = self.written.text if self.written else self.template
        return f"{files.fingerprint(self._found)}\n{template}"

    def items(self, seed: str) -> Iterator[Item]:
        """The records in an order that the seed decides, those of the language asked for.

        Raises FmloadError with all rows of which no prompt can be made.
        """
        faults = Faults()
        made = self._items(faults)
        with faults.kept():
            if made:
                self.check({column for item in made for column in item.values})
                made = self._of_language(made)
                self._prove(made, faults)
        faults.check()
        if not made:
            raise FmloadError(f"prompt set '{self.name}': no rows in {', '.join(self.names())}",
                              hint="name files that hold some")
        if self.options.shuffle:
            random.Random(seed).shuffle(made)
        return iter(made)

    def check(self, columns: set[str]) -> None:
        """Raises FmloadError when a column that is needed is in no record."""
        self._template.check(columns)

    def prove(self, item: Item) -> None:
        """Raises FmloadError when no prompt can be made of a record, because a column is missing."""
        require(self._template.fields, item.values, item.where)

    def _items(self, faults: Faults) -> list[Item]:
        """The records of all rows, whatever their language."""
        made = []
        for row in files.rows(self._found, faults):
            with faults.kept():
                require(self.columns, row.values, row.where)
                made += [Item(values, row.where, row.folder) for values in self._records(row)]
        return made

    def _prove(self, items: list[Item], faults: Faults) -> None:
        for item in items:
            with faults.kept():
                self.prove(item)

    def _records(self, row: files.Row) -> list[Values]:
        try:
            return self.records(row.values)
        except ValueError as error:
            raise FmloadError(f"{row.where}: {error}",
                                  hint="'fmload help prompts' says which rows a source takes") from error

    def _of_language(self, items: list[Item]) -> list[Item]:
        column = self.options.language_column
        if self.language is None:
            return items
        if not any(column in item.values for item in items):
            known = sorted({name for item in items for name in item.values})
            raise FmloadError(f"prompt set '{self.name}': filter.language needs a column '{column}'"
                              f"{did_you_mean(column, known)}",
                              hint=f"set language_column; columns: {', '.join(known)}")
        spoken = [item for item in items if item.values.get(column) == self.language]
        if not spoken:
            known = sorted({str(item.values.get(column)) for item in items})
            raise FmloadError(f"prompt set '{self.name}': no row of language '{self.language}'; there are: "
                              f"{', '.join(known[:20])}", hint="change filter.language or language_column")
        return spoken

    @property
    def _template(self) -> Template:
        return self.written or Template(self.template, f"the template of source '{type(self).__name__.lower()}'")

    @cached_property
    def _found(self) -> Sequence[files.Found]:
        return files.find(self.names())


def reference(values: Values) -> str | None:
    """The ground truth of a record, where its source has put one under `reference`."""
    value = values.get("reference")
    return None if value is None else str(value)


class ColumnNames(Strict):
    """Which columns of the user's own rows mean what."""

    column: str = Field("prompt", description="the text, where there is neither template nor messages column")
    messages_column: str = Field("messages", description="chat messages; used where there is no template")
    inputs_column: str = Field("input", description="a list of texts to embed in one request; without a template")
    documents_column: str = Field("documents", description="texts to rank by the row's query; without a template")
    query_column: str = Field("query", description="the query of a row that has documents")
    image_column: str | None = Field(None, description="an image that goes with the text in one chat message")
    reference_column: str | None = Field(None, description="the ground truth; if not named, that of `reference`")
    output_tokens_column: str | None = Field(None, description="the length of the answer to ask for")
    tenant_column: str | None = Field(None, description="whose request it is, by the name of one of the run's tenants")


class Table(Rows):
    """The user's own rows: a template, a column with chat messages, or a column with the prompt's text."""

    class Options(ColumnNames, RowOptions):
        """Keys of `source: jsonl`, `csv` and `parquet`."""

    def check(self, columns: set[str]) -> None:
        if self.written:
            self.written.check(columns)
        named = [self.options.image_column, self.options.reference_column, self.options.output_tokens_column,
                 self.options.tenant_column]
        if not self.written and not {self.options.messages_column, *self._lists} & columns:
            named.append(self.options.column)
        known = sorted(columns)
        for column in named:
            if column is not None and column not in columns:
                remedy = "; name the one with the text: column" if column == self.options.column else ""
                raise FmloadError(f"prompt set '{self.name}': no column '{column}' in {', '.join(self.names())}"
                                  f"{did_you_mean(column, known)}", hint=f"columns: {', '.join(known)}{remedy}")

    def prove(self, item: Item) -> None:
        """Raises FmloadError when no prompt can be made of a row."""
        self.prompts(item, "")

    def make(self, item: Any, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        return self.prompts(item, head)

    def prompts(self, item: Item, head: str, least_output: int = 1) -> list[Prompt]:
        """The prompt of a row; none when its text is empty. Raises FmloadError naming the row and the column."""
        options, values = self.options, item.values
        prompt = Prompt(id="", prompt_set=self.name, reference=self._reference(values, item.where),
                        output_tokens=whole(values, options.output_tokens_column, item.where, least_output),
                        tenant=plain(values, options.tenant_column, item.where) if options.tenant_column else None)
        if not self.written and values.get(options.messages_column) is not None:
            prompt.messages = _with_head(values[options.messages_column], head,
                                         f"{item.where}: {options.messages_column}")
            return [prompt]
        if (inputs := self._inputs(values, item.where)) is not None:
            prompt.inputs = inputs
            if self.options.documents_column in values:
                require([self.options.query_column], values, item.where)
                prompt.text = plain(values, self.options.query_column, item.where) or ""
            return [prompt] if inputs else []
        text = self._text(values, item.where)
        if not text:
            return []
        if options.image_column:
            image = image_part(values.get(options.image_column), item.folder, f"{item.where}: {options.image_column}")
            prompt.messages = [{"role": "user", "content": [{"type": "text", "text": head + text}, image]}]
        else:
            prompt.text = head + text
        return [prompt]

    @property
    def _lists(self) -> tuple[str, str]:
        """The columns that hold all texts of one request."""
        return self.options.documents_column, self.options.inputs_column

    def _inputs(self, values: Values, where: str) -> list[str] | None:
        """The texts of a row that is one request of several; None for a row of one text. Raises FmloadError for a
        list that holds anything but texts."""
        column = next((name for name in self._lists if isinstance(values.get(name), list)), None)
        if self.written or column is None:
            return None
        for place, one in enumerate(values[column]):
            if not isinstance(one, str) or not one:
                raise FmloadError(f"{where}: {column}: must be a list of texts; at {place} there is {shown(one)}",
                                  hint="write each text as one string")
        return list(values[column])

    def _reference(self, values: Values, where: str) -> str | None:
        column = self.options.reference_column
        if column is None:
            return values["reference"] if isinstance(values.get("reference"), str) else None
        return plain(values, column, where)

    def _text(self, values: Values, where: str) -> str:
        column = self.options.column
        require(self.written.fields if self.written else [column], values, where)
        if self.written:
            return self.written.render(values)
        return plain(values, column, where) or ""


def require(columns: Sequence[str], values: Values, where: str) -> None:
    """Raises FmloadError when the row lacks one of the columns."""
    for column in columns:
        if column not in values:
            raise FmloadError(f"{where}: no '{column}'{did_you_mean(column, list(values))}",
                              hint=f"the row has {', '.join(values) or 'nothing'}")


def objects(values: Values, column: str) -> list[Values]:
    """The list of objects in a column; empty where there is none. Raises ValueError for anything else."""
    value = values.get(column)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"{column}: must be a list of objects, not {shown(value)}")
    return value


def plain(values: Values, column: str, where: str) -> str | None:
    """The text or number in a column, as text; None where it is empty. Raises FmloadError naming `where` for anything
    else."""
    value = values.get(column)
    if value is None or value != value:  # NaN, which pandas writes where nothing is
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    chat = isinstance(value, list | dict)
    raise FmloadError(f"{where}: {column}: must be text, not {shown(value)}", hint=(
        "chat messages belong in a column of their own (messages_column)" if chat else "write it as text"))


def whole(values: Values, column: str | None, where: str, least: int = 1) -> int | None:
    """The number of tokens in a column; None where it is empty. Raises FmloadError naming `where` for anything else."""
    if column is None or values.get(column) in (None, "") or values[column] != values[column]:
        return None
    try:
        return tokens(values, column, least)
    except ValueError as error:
        raise FmloadError(f"{where}: {error}", hint="mend it, or leave it empty") from error


def tokens(values: Values, column: str, least: int = 0) -> int:
    """The number of tokens in a column. Raises ValueError for what is none, KeyError without the column."""
    value = values[column]
    try:
        number = float("nan" if isinstance(value, bool) else value)
    except (TypeError, ValueError):
        number = -1.0
    if number < least or not number.is_integer():
        raise ValueError(f"{column}: must be a whole number of at least {least}, not {shown(value)}")
    if number > limits.TOKENS:
        raise ValueError(f"{column}: must be at most {limits.TOKENS:,} tokens, not {shown(value)}")
    return int(number)


def _no_chat(messages: Any) -> str:
    """What stands in place of chat messages; nothing when they are some."""
    if not isinstance(messages, list):
        return shown(messages)
    if not messages:
        return "an empty list"
    wrong = [one for one in messages if not isinstance(one, dict) or not isinstance(one.get("role"), str)]
    return f"one without a role: {shown(wrong[0])}" if wrong else ""


def _with_head(messages: Any, head: str, where: str) -> list[dict[str, Any]]:
    """The messages, the first text of a user's beginning with `head`; nulls, with which Parquet fills absent keys,
    left out."""
    wrong = _no_chat(messages)
    if wrong:
        raise FmloadError(f"{where}: not a list of chat messages, but {wrong}",
                          hint='for example [{"role": "user", "content": "…"}]')
    said = [{key: value for key, value in one.items() if value is not None} for one in messages]
    asked = next((one for one in said if one["role"] == "user" and isinstance(one.get("content"), str)), None)
    if asked is not None:
        asked["content"] = head + asked["content"]
    return said
