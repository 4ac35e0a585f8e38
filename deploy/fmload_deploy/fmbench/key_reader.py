"""Reading a foreign file key by key, and knowing afterwards which keys nobody read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Key = str | int


class KeyReader:
    """Nested mappings and lists, by path."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data
        self._read: set[tuple[Key, ...]] = set()

    def get(self, *path: Key) -> Any:
        """The value at the path, which counts as read with all that is in it; None when there is none."""
        value: Any = self._data
        for key in path:
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                return None
        self._read.add(path)
        return value

    def has(self, *path: Key) -> bool:
        """Whether there is a value at the path; it does not count as read."""
        read = set(self._read)
        found = self.get(*path) is not None
        self._read = read
        return found

    def unread(self) -> Iterator[tuple[str, Any]]:
        """Paths (`experiments[0].env`) and values of what nobody read; nulls are left out."""
        yield from self._unread((), self._data)

    def _unread(self, path: tuple[Key, ...], value: Any) -> Iterator[tuple[str, Any]]:
        if value is None or path in self._read:
            return
        if any(read[:len(path)] == path for read in self._read):
            entries = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, inner in entries:
                yield from self._unread((*path, key), inner)
        else:
            yield "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)[1:], value
