"""One master a results folder: two at once would load the endpoints twice, and write over each other. And one
compaction at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from fmload.base.errors import FmloadError
from fmload.results.folder import Results


def lock_folder(results: Results) -> IO[str]:
    """Claims a folder that exists for this process, until the file that is returned is closed or the process ends.

    Raises FmloadError while another process holds it, as the master of a `fmload run` that was killed. A file system
    without locks refuses nobody.
    """
    file = (results.logs / "master.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise FmloadError(f"a run still goes on in {results.root}: its master is process {holder}",
                          hint=f"wait until it has ended, or end it with 'kill -INT {holder}'") from error
    except OSError:
        return file
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


@contextmanager
def compacting(results: Results) -> Iterator[None]:
    """Whoever makes records of a folder's journals waits here for another who does: each would take the other's file
    in the making for its own, and the one that began first would have the last word. A file system without locks keeps
    nobody out. Raises OSError where there is no folder."""
    folder = os.open(results.root, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
