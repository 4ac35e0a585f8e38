"""The ledger of verdicts: a JSON line each, appended before the next question is asked, so that none is paid twice."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from fmload.base.errors import FmloadError

SETTLED = ("ok", "garbage")


@dataclass(frozen=True, slots=True)
class Entry:
    """One question to one judge, and how it ended.

    `outcome`: `ok`, `garbage` (a reply without a verdict: paid for, not asked again), else the failure of the last
    attempt. `throttled` counts the refused attempts among `attempts`. Tokens are the server's counts, None: unknown.
    """

    key: str
    judge: str
    kind: str
    outcome: str
    choice: str | None = None
    reason: str = ""
    reply: str = ""  # the beginning, where it was garbage; the message, where it failed
    attempts: int = 1
    throttled: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None


_NAMES = {column.name for column in fields(Entry)}


class Ledger:
    """The file, open to one process at a time. Raises FmloadError when another one has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise FmloadError(f"{path} is in use by another evaluation", hint="wait until it has ended") from error
        self.entries: dict[str, Entry] = {}
        for entry in _read(path, self._fd):
            self._take(entry)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        os.close(self._fd)

    def settled(self, key: str) -> bool:
        """Whether the question was answered: it is not asked again."""
        return key in self.entries and self.entries[key].outcome in SETTLED

    def append(self, entry: Entry) -> None:
        """Keep an entry; in the file when this returns. Raises FmloadError when the disk refuses."""
        line = json.dumps(asdict(entry)).encode() + b"\n"
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            raise FmloadError(f"{self._path} cannot be written: {error.strerror}") from error
        if written != len(line):
            raise FmloadError(f"{self._path} cannot be written: the disk is full")
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        """The newest entry of a question stands, with the attempts of those before it counted in."""
        if (before := self.entries.get(entry.key)) is not None:
            entry = replace(entry, attempts=before.attempts + entry.attempts,
                            throttled=before.throttled + entry.throttled)
        self.entries[entry.key] = entry


def _read(path: Path, fd: int) -> Iterator[Entry]:
    """The entries, the newest of each question last. A torn last line, which a crash leaves, is cut off."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.ftruncate(fd, whole)
    for number, line in enumerate(data[:whole].splitlines(), 1):
        try:
            values: dict[str, Any] = json.loads(line)
            yield Entry(**{name: value for name, value in values.items() if name in _NAMES})
        except (ValueError, TypeError, AttributeError) as error:
            raise FmloadError(f"{path}:{number}: not a verdict: {error}", hint="mend or remove the line") from error
