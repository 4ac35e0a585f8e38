"""Texts of many rows of which few differ: a number a row, and the texts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fmload.metrics.definitions import Bools

Objects = np.ndarray[Any, np.dtype[np.object_]]


class Words:
    """A column of texts, None where there is none. It compares, is indexed and is counted as an array of objects, by
    the numbers of its texts."""

    __slots__ = ("codes", "names")
    __hash__ = None  # type: ignore[assignment]  # it compares row by row

    def __init__(self, names: Iterable[Any], codes: np.ndarray[Any, Any]) -> None:
        self.names = tuple(names)
        self.codes = codes

    @classmethod
    def of(cls, values: Iterable[Any]) -> Words:
        """The column of these texts."""
        places: dict[Any, int] = {}
        codes = [places.setdefault(value, len(places)) for value in values]
        return cls(places, np.array(codes, dtype=np.int32))

    @classmethod
    def of_arrow(cls, column: pa.Array) -> Words:
        """A column of strings, or of a dictionary of them. Raises pa.ArrowException for anything else."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        names = column.dictionary.to_pylist()
        return cls([*names, None], pc.fill_null(column.indices, len(names)).to_numpy(zero_copy_only=False))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Words:
        """Of a mask, a slice or row numbers."""
        return Words(self.names, self.codes[rows])

    def at(self, row: int) -> Any:
        """The text of one row."""
        return self.names[self.codes[row]]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Objects:
        known = np.empty(len(self.names), dtype=object)
        known[:] = self.names
        return known[self.codes]  # type: ignore[no-any-return]

    def tolist(self) -> list[Any]:
        """The texts, row by row."""
        return list(np.asarray(self))

    def __eq__(self, text: object) -> Bools:  # type: ignore[override]
        return self.isin((text,))

    def __ne__(self, text: object) -> Bools:  # type: ignore[override]
        return ~self.isin((text,))

    def isin(self, texts: Iterable[object]) -> Bools:
        """Where the text is one of these."""
        wanted = tuple(texts)
        found: Bools = np.array([name in wanted for name in self.names] or [False], dtype=bool)[self.codes]
        return found

    def counted(self) -> Counter[Any]:
        """How often each text is there, in the order in which they come first."""
        counts = np.bincount(self.codes, minlength=len(self.names))
        used = np.flatnonzero(counts)
        first = {code: int(np.argmax(self.codes == code)) for code in used.tolist()}
        found: Counter[Any] = Counter()
        for code in sorted(first, key=lambda code: first[code]):
            found[self.names[code]] += int(counts[code])
        return found
