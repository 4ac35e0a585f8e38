"""Lazy tables from a name to the object that implements it, open to third parties by entry point."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from fmload.base.errors import FmloadError


class Registry:
    """Names to `module:attribute` or `module` strings; nothing is imported before `load`.

    `kind` names what is registered ("endpoint protocol"), for messages, and the entry-point group
    `fmload.<kind with underscores>` through which other distributions add entries. `about` says what an entry is.
    """

    def __init__(self, kind: str, table: Mapping[str, str], about: str = "") -> None:
        self.kind, self.about = kind, about
        self._table = dict(table)

    @property
    def group(self) -> str:
        """The entry-point group, for example `fmload.endpoint_protocol`."""
        return "fmload." + self.kind.replace(" ", "_")

    def _all(self) -> dict[str, str]:
        return {**_plugins(self.group, tuple(sys.path)), **self._table}

    def own(self) -> list[str]:
        """The names that are in the table itself, in its order."""
        return list(self._table)

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._all())

    def in_order(self) -> list[str]:
        """All names in the order of the table; those of other distributions come last."""
        return list(dict.fromkeys((*self._table, *self.names())))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def load(self, name: str) -> Any:
        """The object registered under `name`. Raises FmloadError with a suggestion when there is none."""
        target = self._all().get(name)
        if target is None:
            raise FmloadError(f"unknown {self.kind} '{name}'{did_you_mean(name, self.names())}",
                              hint=f"known: {', '.join(self.names())}")
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute) if attribute else import_module(module)


@cache
def _plugins(group: str, path: tuple[str, ...]) -> dict[str, str]:
    """The entries of other distributions on this path: reading what is installed takes 10 ms."""
    return {point.name: point.value for point in entry_points(group=group)}


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
