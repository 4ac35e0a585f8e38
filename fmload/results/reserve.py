"""Room that a run keeps free on its disk, so that it can still say how it ended when the disk is full."""

from __future__ import annotations

import os
from pathlib import Path

from fmload.results.folder import Results

RESERVE_BYTES = 128 * 1024


class Reserve:
    """A file of zeros that gives its room back once it is needed."""

    def __init__(self, results: Results) -> None:
        """Takes the room. Raises OSError where there is none."""
        self._path: Path = results.logs / ".reserve"
        with self._path.open("wb") as file:
            file.write(bytes(RESERVE_BYTES))
            file.flush()
            os.fsync(file.fileno())

    def release(self) -> None:
        """Give the room back; more than once does nothing."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return
