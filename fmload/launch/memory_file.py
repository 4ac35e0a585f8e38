"""A file that only this process and its children see."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


@contextmanager
def memory_file() -> Iterator[int]:
    """An empty file as a descriptor. It has no name on any disk: nothing is left of it, whatever ends this process.
    Where there are no files in memory (macOS) it is one whose name is taken away at once."""
    memory = getattr(os, "memfd_create", None)
    with os.fdopen(memory("fmload"), "wb") if memory else TemporaryFile() as file:
        yield file.fileno()
