"""The common half of traces: who asked when, with how many tokens. The text is made up, of exactly that length.

A trace's prompts carry the instant of their arrival (`offset_s`), which `load: {trace: …}` replays.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, Self

from pydantic import Field

from fmload.base.errors import Faults, FmloadError
from fmload.base.registry import did_you_mean
from fmload.config import limits
from fmload.config.model import Strict
from fmload.config.schema import PromptSpec
from fmload.config.values import RunPath
from fmload.model.prompt import Prompt
from fmload.prompts import files
from fmload.prompts.synthetic import text_of
from fmload.prompts.tokenizer import Tokenizer


class Arrival(NamedTuple):
    """One row of a trace: seconds on the trace's own clock, lengths, the ids of its blocks where it has them.

    `output_tokens` None: the prompt set draws it. `row`: kept by sources whose rows have the text itself.
    """

    at_s: float
    input_tokens: int
    output_tokens: int | None
    blocks: tuple[int, ...] = ()
    row: files.Row | None = None
    tenant: str | None = None


class Item(NamedTuple):
    """What one prompt is made from: an arrival, after the first one that is replayed, and the seed of its text."""

    offset_s: float
    arrival: Arrival
    seed: str


class TraceOptions(Strict):
    """Keys that every trace has."""

    files: list[RunPath] = Field(min_length=1, description="paths or patterns; s3://… and hf:… too")
    max_input_tokens: int | None = Field(None, ge=1, le=limits.TOKENS, description="longer prompts are cut to this")
    max_output_tokens: int | None = Field(None, ge=1, le=limits.TOKENS, description="longer answers are cut to this")


class Trace:
    """Rows of a trace, by their instants. A source says what a row is (`arrival`) and which columns it needs."""

    timed = True
    without: tuple[str, ...] = ("template", "filter.language")
    columns: tuple[str, ...]

    def __init__(self, spec: PromptSpec) -> None:
        self.options: Any = spec.options
        self.name = spec.name
        self.start_s = 0.0
        self.duration_s: float | None = None

    @classmethod
    def from_spec(cls, spec: PromptSpec) -> Self:
        return cls(spec)

    def names(self) -> list[str]:
        """The files to read, as named."""
        return list(self.options.files)

    def within(self, start_s: float, duration_s: float | None) -> Self:
        """The part of the trace from `start_s` after its first row on, `duration_s` long (None: to its end)."""
        part = copy(self)
        part.start_s, part.duration_s = start_s, duration_s
        return part

    def fingerprint(self) -> str:
        return f"{files.fingerprint(self._found)}\n{self.start_s} {self.duration_s}"

    def arrival(self, row: files.Row) -> Arrival | None:
        """The arrival that a row tells of; None for one that is left out. Raises ValueError for a row that is none."""
        raise NotImplementedError

    def items(self, seed: str) -> Iterator[Item]:
        """The arrivals of the part that is asked for, in their order."""
        arrivals = sorted(self._arrivals(), key=attrgetter("at_s"))
        if not arrivals:
            raise FmloadError(f"prompt set '{self.name}': no rows in {', '.join(self.names())} that can be replayed")
        begin_s = arrivals[0].at_s + self.start_s
        end_s = begin_s + (self.duration_s or math.inf)
        kept = [arrival for arrival in arrivals if begin_s <= arrival.at_s < end_s]
        if not kept:
            lasts_s = arrivals[-1].at_s - arrivals[0].at_s
            raise FmloadError(f"prompt set '{self.name}': nothing arrives in the part that is asked for; the trace "
                              f"lasts {lasts_s:.0f}s", hint="change start or duration of load.trace")
        return iter([Item(arrival.at_s - begin_s, arrival, f"{seed}/{index}") for index, arrival in enumerate(kept)])

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        tokens_in = _cut(item.arrival.input_tokens, self.options.max_input_tokens)
        text = self.text(item, tokens_in, tokenizer, head)
        return [Prompt(id="", prompt_set=self.name, text=text, input_tokens=tokens_in,
                       output_tokens=self.output_tokens(item), offset_s=round(item.offset_s, 6),
                       tenant=item.arrival.tenant)]

    def output_tokens(self, item: Item) -> int | None:
        """The length of the answer to ask for, where the row has one."""
        tokens = item.arrival.output_tokens
        return None if tokens is None else _cut(tokens, self.options.max_output_tokens)

    def text(self, item: Item, tokens: int, tokenizer: Tokenizer, head: str) -> str:
        """A text of exactly so many tokens."""
        return text_of(tokens, tokenizer.count, random.Random(item.seed), head)

    def _arrivals(self) -> Iterator[Arrival]:
        """The arrivals of all rows. Raises FmloadError with all rows that are none."""
        faults = Faults()
        for row in files.rows(self._found, faults):
            with faults.kept():
                arrival = self._arrival(row)
                if arrival is not None:
                    yield arrival
        faults.check()

    def _arrival(self, row: files.Row) -> Arrival | None:
        try:
            arrival = self.arrival(row)
            if arrival is not None and not math.isfinite(arrival.at_s):
                raise ValueError(f"the instant is {arrival.at_s}")
        except KeyError as error:
            raise self._without_column(str(error.args[0]), row) from error
        except (TypeError, ValueError) as error:
            raise FmloadError(f"{row.where}: not a row of the trace: {error}",
                              hint=f"it needs {', '.join(self.columns)}") from error
        return arrival

    def _without_column(self, column: str, row: files.Row) -> FmloadError:
        known = sorted(row.values)
        return FmloadError(f"{row.where}: no column '{column}'{did_you_mean(column, known)}",
                           hint=f"columns: {', '.join(known)}; this source needs {', '.join(self.columns)}")

    @cached_property
    def _found(self) -> Sequence[files.Found]:
        return files.find(self.names())


def _cut(tokens: int, most: int | None) -> int:
    """A length that can be asked for: at least 1, at most `most`."""
    return max(1, tokens if most is None else min(tokens, most))
