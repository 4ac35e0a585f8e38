"""The requests of a stage as columns, each in as few bytes as its values need, to the last digit.

Ten million requests of some sixty columns do not fit into memory as numbers of eight bytes. Most of them are small
whole numbers, the same in all requests, or lie near another instant of the same request; and every metric of a request
follows from its instants. So rows are gathered in blocks; of a full block each column is kept in the smallest form that
gives the same numbers back, and what follows from other columns is computed when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from fmload.metrics.definitions import METRICS, Bools, Columns, Floats, Ints, Metric, of_level
from fmload_analysis.records.words import Words

BLOCK_ROWS = 65_536
KEPT_ROWS = 100_000  # of a smaller table, columns that were asked for stay as they are

Values = np.ndarray[Any, Any]
_NEAR = {"sent": "due", "first_token": "sent", "first_answer": "first_token", "last_token": "first_token",
         "end": "last_token", "first_earliest": "first_token", "server_input_tokens": "input_tokens",
         "prompt_tokens": "input_tokens", "delivered": "output_tokens", "tokens_inside": "output_tokens"}


@dataclass(frozen=True, slots=True)
class Rows(Columns):
    """Requests without their chunks: of these it is known how many they are, and what the first one holds."""

    counts: Ints = field(default_factory=lambda: np.array([], dtype=np.int64))
    first: Floats = field(default_factory=lambda: np.array([]))

    @property
    def chunk_counts(self) -> Ints:
        return self.counts

    @property
    def first_chunk_tokens(self) -> Floats:
        return self.first


# What the columns that are not kept are computed of: the fields of Rows by the columns of the table.
_FIELDS = {"scheduled_ns": "due", "send_ns": "sent", "first_token_ns": "first_token", "first_answer_ns": "first_answer",
           "last_token_ns": "last_token", "input_tokens": "input_tokens", "output_tokens": "output_tokens",
           "streamed": "streamed", "counts": "chunks", "first": "first_chunk", "choices": "choices",
           "checks_s": "checks"}
_OF: Mapping[str, tuple[str, ...]] = {
    "ttft": ("first_token_ns", "send_ns"), "ttft_scheduled": ("first_token_ns", "scheduled_ns"),
    "ttfa": ("first_answer_ns", "send_ns"), "e2e": ("last_token_ns", "send_ns"),
    "e2e_scheduled": ("last_token_ns", "scheduled_ns"), "send_lateness": ("send_ns", "scheduled_ns"),
    "tpot": ("send_ns", "output_tokens", "choices", "first", "streamed", "counts", "last_token_ns", "first_token_ns"),
    "e2e_with_checks": ("last_token_ns", "send_ns", "checks_s")}
_NONE: Any = np.array([])


def _metric(name: str) -> Callable[[Block], Values]:
    needed = {one: _FIELDS[one] for one in _OF[name]}

    def compute(columns: Block) -> Values:
        given: dict[str, Any] = {one: columns[column] for one, column in needed.items()}
        others = dict.fromkeys((one.name for one in fields(Columns) if one.default is MISSING
                                and one.default_factory is MISSING), _NONE)
        found: Values = METRICS[name].function(Rows(**{**others, **given}))
        return found

    return compute


def _otherwise(values: Floats, others: Floats | float) -> Floats:
    return np.where(np.isnan(values), others, values)


_COMPUTED: Mapping[str, Callable[[Any], Values]] = {
    **{name: _metric(name) for name in _OF},
    "begun": lambda columns: _otherwise(columns["sent"], columns["due"]),
    "ended": lambda columns: _otherwise(columns["end"], _otherwise(columns["last_token"], np.inf)),
    "answered": lambda columns: _otherwise(columns["first_token"], columns["last_token"]),
    "tokens_of_choice": lambda columns: columns["output_tokens"] / np.maximum(columns["choices"], 1),
}


def kept_metrics() -> list[Metric]:
    """The metrics of a request that do not follow from columns of the table: counts, and those of other packages."""
    return [metric for metric in of_level("request") if metric.name not in _COMPUTED]


class Table(Mapping[str, Any]):
    """Columns by name, added batch by batch; each one is made anew when it is asked for."""

    def __init__(self) -> None:
        self.rows = 0
        self._blocks: list[Block] = []
        self._waiting: dict[str, list[Values]] = {}
        self._waiting_rows = 0
        self._texts: dict[str, dict[Any, int]] = {}
        self._asked: dict[str, Any] = {}

    def add(self, columns: Mapping[str, Values | Words]) -> None:
        """More rows: the same columns each time, of one length."""
        rows = len(next(iter(columns.values())))
        for name, values in columns.items():
            plain = self._coded(name, values) if isinstance(values, Words) else values
            self._waiting.setdefault(name, []).append(plain)
        self.rows, self._waiting_rows = self.rows + rows, self._waiting_rows + rows
        self._asked.clear()
        if self._waiting_rows >= BLOCK_ROWS:
            self._close()

    def _coded(self, name: str, words: Words) -> Values:
        known = self._texts.setdefault(name, {})
        places = np.array([known.setdefault(text, len(known)) for text in words.names] or [0], dtype=np.int32)
        return places[words.codes]  # type: ignore[no-any-return]

    def _close(self) -> None:
        if self._waiting_rows:
            whole = {name: np.concatenate(parts) for name, parts in self._waiting.items()}
            large = bool(self._blocks) or self._waiting_rows >= BLOCK_ROWS
            self._blocks.append(Block(whole, self._waiting_rows, large))
            self._waiting, self._waiting_rows = {}, 0

    def blocks(self) -> Iterator[Mapping[str, Any]]:
        """The table some ten thousand rows at a time."""
        self._close()
        for block in self._blocks:
            yield _View(self, block)

    def __getitem__(self, name: str) -> Any:
        if name not in self._asked:
            if self.rows > KEPT_ROWS:
                return self._made(name)
            self._asked[name] = self._made(name)
        return self._asked[name]

    def _made(self, name: str) -> Any:
        self._close()
        if not self._blocks:
            raise KeyError(name)
        first = self._blocks[0][name]
        whole, end = np.empty(self.rows, first.dtype), 0
        for block in self._blocks:
            whole[end:end + block.rows] = first if block is self._blocks[0] else block[name]
            end += block.rows
        return self.shown(name, whole)

    def shown(self, name: str, values: Values) -> Any:
        """The values, or the texts that they stand for."""
        return Words(self._texts[name], values) if name in self._texts else values

    def __iter__(self) -> Iterator[str]:
        self._close()
        return iter([*self._blocks[0].kept, *_COMPUTED] if self._blocks else ())

    def __len__(self) -> int:
        return sum(1 for _ in self)


Made = TypeVar("Made", bound=Values)


def in_blocks(table: Mapping[str, Any], make: Callable[[Mapping[str, Any]], Made]) -> Made:
    """What is made, row by row or of some of the rows, of columns of a table: of a large one block by block, so that
    none of them is there whole beside it."""
    if not isinstance(table, Table) or table.rows <= BLOCK_ROWS:
        return make(table)
    whole, end = None, 0
    for block in table.blocks():
        found = make(block)
        whole = np.empty(table.rows, found.dtype) if whole is None else whole
        whole[end:end + len(found)] = found
        end += len(found)
    return whole[:end]  # type: ignore[index, return-value]


class Part(Mapping[str, Any]):
    """Some rows of a table."""

    def __init__(self, table: Mapping[str, Any], rows: Bools) -> None:
        self._table, self._rows = table, rows

    def __getitem__(self, name: str) -> Any:
        return self._table[name][self._rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


class Block:
    """Some rows, each column in its smallest form."""

    __slots__ = ("kept", "rows")

    def __init__(self, whole: Mapping[str, Values], rows: int, small_forms: bool = True) -> None:
        self.rows = rows
        if not small_forms:  # of a small stage they save little, and take time
            self.kept = {name: Form(values, values.dtype) for name, values in whole.items()}
            return
        self.kept = {name: smallest(values, _NEAR.get(name) if _NEAR.get(name) in whole else None, whole)
                     for name, values in whole.items()}

    def __getitem__(self, name: str) -> Values:
        if name in self.kept:
            form = self.kept[name]
            return form.values(self.rows, self[form.near] if form.near else None)
        return _COMPUTED[name](self)


class _View(Mapping[str, Any]):
    """A block with the texts of its table."""

    def __init__(self, table: Table, block: Block) -> None:
        self._table, self._block = table, block

    def __getitem__(self, name: str) -> Any:
        return self._table.shown(name, self._block[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


@dataclass(frozen=True, slots=True)
class Form:
    """One column of a block: numbers that, brought back to `dtype`, and added to another column where `near` names one,
    are its values; one number where all are the same. The lowest number of a signed type, and the highest of an
    unsigned one, stand for NaN where `blanks` says so."""

    stored: Values
    dtype: np.dtype[Any]
    near: str | None = None
    blanks: bool = False

    def values(self, rows: int, reference: Values | None = None) -> Values:
        """The column as it was."""
        if not self.stored.ndim:
            found = np.full(rows, self.stored, self.dtype)
        else:
            found = self.stored.astype(self.dtype)
            if self.blanks:
                found[self.stored == _blank(self.stored.dtype)] = np.nan
        return found if reference is None else found + reference


_WHOLE: tuple[np.dtype[Any], ...] = tuple(np.dtype(kind) for kind in (
    np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32))


def _blank(kind: np.dtype[Any]) -> int:
    limits = np.iinfo(kind)
    return int(limits.min if kind.kind == "i" else limits.max)


def smallest(values: Values, near: str | None = None, whole: Mapping[str, Values] | None = None) -> Form:
    """The smallest form that gives exactly these values back."""
    plain = _form(values)
    if near is None or whole is None or not plain.stored.ndim or plain.stored.itemsize <= 2:
        return plain
    with np.errstate(invalid="ignore"):
        beside = _form(values - whole[near], near)
    smaller = beside.stored.nbytes < plain.stored.nbytes
    return beside if smaller and _same(beside.values(len(values), whole[near]), values) else plain


def _form(values: Values, near: str | None = None) -> Form:
    if not len(values) or _same(np.full(len(values), values[0]), values):
        return Form(values[0].copy() if len(values) else np.zeros((), values.dtype), values.dtype, near)
    if values.dtype == np.bool_:
        return Form(values, values.dtype, near)
    blank = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    known = values[~blank]
    low, high = float(known.min()), float(known.max())
    for kind in _WHOLE:
        limits = np.iinfo(kind)
        if (limits.min < low and high < limits.max) or (kind.kind == "u" and low == 0 and high < limits.max):
            stored: Values = np.where(blank, _blank(kind), values).astype(kind)
            found = Form(stored, values.dtype, near, bool(blank.any()))
            return found if _same(found.values(len(values)), values) else Form(values, values.dtype, near)
    return Form(values, values.dtype, near)


def _same(values: Values, others: Values) -> bool:
    """Whether all are the same to the last bit; one NaN is as another."""
    if values.dtype.kind != "f":
        return bool((values == others).all())
    same = values.view(np.int64) == others.view(np.int64)
    return bool((same | np.isnan(values) & np.isnan(others)).all())
