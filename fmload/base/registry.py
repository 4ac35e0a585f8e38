"""Lazy tables from a name to the object that implements it, open to third parties by entry point."""

from __future__ import annotations

import difflib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import Any

from fmload.base.errors import FmloadError, first_line


@dataclass(frozen=True, slots=True)
class Entry:
    """What implements a name: `module:attribute` or `module`, and the distribution that adds it ("" for our own)."""

    target: str
    distribution: str = ""

    def found(self) -> Any:
        """The object. Raises whatever its import raises."""
        module, _, attribute = self.target.partition(":")
        return attrgetter(attribute)(import_module(module)) if attribute else import_module(module)


class Registry:
    """Names to `module:attribute` or `module` strings; nothing is imported before `load`.

    `kind` names what is registered ("endpoint protocol"), for messages, and the entry-point group
    `fmload.<kind with underscores>` through which other distributions add entries. `about` says what an entry is,
    `needs` the attributes that one has; an entry of another distribution without them is refused.
    """

    def __init__(self, kind: str, table: Mapping[str, str], about: str = "",
                 needs: Sequence[str] = ("__call__",)) -> None:
        self.kind, self.about, self.needs = kind, about, needs
        self._table = dict(table)

    @property
    def group(self) -> str:
        """The entry-point group, for example `fmload.endpoint_protocol`."""
        return "fmload." + self.kind.replace(" ", "_")

    def _all(self) -> dict[str, tuple[Entry, ...]]:
        """Every name with all that claim it, our own first."""
        found: dict[str, tuple[Entry, ...]] = {name: (Entry(target),) for name, target in self._table.items()}
        for name, entry in _plugins(self.group, tuple(sys.path)):
            found[name] = (*found.get(name, ()), entry)
        return found

    def _of(self, name: str) -> tuple[Entry, ...]:
        """All that claim one name, our own first."""
        own = (Entry(self._table[name]),) if name in self._table else ()
        return (*own, *(entry for other, entry in _plugins(self.group, tuple(sys.path)) if other == name))

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
        """The object registered under `name`. Raises FmloadError with a suggestion when there is none, and with the
        name of the distribution when one of another distribution cannot be used or claims a name that is taken."""
        entries = self._of(name)
        if not entries:
            raise FmloadError(f"unknown {self.kind} '{name}'{did_you_mean(name, self.names())}",
                              hint=f"known: {', '.join(self.names())}")
        if len(entries) > 1:
            raise self._claimed_twice(name, entries)
        entry, = entries
        return self._foreign(name, entry) if entry.distribution else entry.found()

    def use(self, name: str, *arguments: Any, gives: type | None = None) -> Any:
        """Call what is registered under `name`. Raises FmloadError where that of another distribution fails, or gives
        neither None nor what it should, `gives`."""
        given, distribution = self.guarded(name, self.load(name))(*arguments), self._of(name)[0].distribution
        if distribution and gives is not None and not isinstance(given, gives | None):
            raise self._refused(name, distribution, f"gave {given!r:.80}: neither a {gives.__name__} nor None")
        return given

    def guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the entry `name`. What it raises becomes a FmloadError where it is another distribution's."""
        distribution = self._of(name)[0].distribution
        if not distribution:
            return function

        @wraps(function)
        def called(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except FmloadError:
                raise
            except Exception as error:
                raise self._refused(name, distribution, f"failed: {_told(error)}") from error
        return called

    def problems(self) -> Iterator[FmloadError]:
        """What is wrong with the entries of other distributions, each loaded."""
        for name, entries in self._all().items():
            if entries[-1].distribution:
                try:
                    self.load(name)
                except FmloadError as error:
                    yield error

    def _foreign(self, name: str, entry: Entry) -> Any:
        try:
            found = entry.found()
        except (Exception, SystemExit) as error:
            raise self._refused(name, entry.distribution,
                                f"cannot be loaded: {entry.target}: {_told(error)}") from error
        if lacking := [word for word in self.needs if not hasattr(found, word)]:
            lacks = "it cannot be called" if lacking == ["__call__"] else f"it has no {', '.join(lacking)}"
            raise self._refused(name, entry.distribution,
                                f"is not what it should be: {entry.target}: {lacks}")
        return found

    def _refused(self, name: str, distribution: str, why: str) -> FmloadError:
        return FmloadError(f"{self.kind} '{name}' of {distribution} {why}",
                           hint=f"mend or uninstall {distribution.partition(' ')[0]}; 'fmload help extending' says "
                                "what an entry is")

    def _claimed_twice(self, name: str, entries: Sequence[Entry]) -> FmloadError:
        claimed = " and by ".join(entry.distribution or "fmload itself" for entry in entries)
        others = " or ".join(entry.distribution.partition(" ")[0] for entry in entries if entry.distribution)
        return FmloadError(f"{self.kind} '{name}' is claimed by {claimed}",
                           hint=f"uninstall {others}, or rename the entry point in it")


@cache
def _plugins(group: str, path: tuple[str, ...]) -> tuple[tuple[str, Entry], ...]:
    """The entries of other distributions on this path: reading what is installed takes 10 ms."""
    return tuple((point.name, _entry(point)) for point in sorted(installed(path).select(group=group)))


@cache
def installed(path: tuple[str, ...]) -> Any:  # of Python 3.11 another type than of 3.12
    """All entry points on this path, read once for all groups."""
    return entry_points()


@contextmanager
def installed_read_once() -> Iterator[None]:
    """Whoever asks inside for the entry points of a group has them from one reading of all that is installed."""
    asked = importlib.metadata.entry_points
    importlib.metadata.entry_points = installed(tuple(sys.path)).select
    try:
        yield
    finally:
        importlib.metadata.entry_points = asked


def _entry(point: EntryPoint) -> Entry:
    target = point.module + (f":{point.attr}" if point.attr else "")
    return Entry(target, f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution")


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def did_you_mean(word: str, known: list[str]) -> str:
    """`; did you mean 'x'?` for the closest known word, or an empty string."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
