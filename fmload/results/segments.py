"""A journal in several files of bounded size, so that what is older can be packed away or removed while it grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fmload.results.journal import Journal

Closed = Callable[[Path, int], None]


class Segments:
    """One writer's journal: the file at `path`, and once it has `at_most` bytes `NAME.0001.log` and so on beside it.

    `closed` is told of each file that is complete, and how many frames were appended up to its end; not of one that was
    there before. Raises OSError.
    """

    def __init__(self, path: Path, at_most: int, closed: Closed) -> None:
        self._path, self._at_most, self._closed = path, at_most, closed
        self._number, self._count = 0, 0
        self._size = path.stat().st_size if path.exists() else 0
        self._is_ours = not self._size
        self._journal = Journal(path)

    def append(self, packed: bytes) -> None:
        """Write one frame. Raises OSError when the disk refuses; what came before stays readable."""
        if self._size >= self._at_most:
            self._begin_next()
        self._journal.append(packed)
        self._count += 1
        self._size += len(packed)

    def close(self) -> None:
        """Give the file back; appending afterwards is an error."""
        self._journal.close()

    def _begin_next(self) -> None:
        number = self._number + 1
        while (path := self._path.with_name(f"{self._path.stem}.{number:04d}.log")).exists():
            number += 1
        following, full, is_ours = Journal(path), self._journal, self._is_ours
        self._journal, self._number, self._size, self._is_ours = following, number, 0, True
        full.close()
        if is_ours:
            self._closed(full.path, self._count)
