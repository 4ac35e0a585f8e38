"""A worker's journal: all that the master does not have yet, and the newest of what it has."""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

from fmload.protocol.delivery import Outbox
from fmload.results.segments import Segments

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 64 << 20


class Spool:
    """Files of SEGMENT_BYTES; one goes when the master has acknowledged all of it and a later one is full, too.

    So the newest records are in two journals, and a worker of a long run keeps three files at most while its master
    takes what it sends. `outbox` holds the same frames in the same order. Raises OSError.
    """

    def __init__(self, path: Path, outbox: Outbox) -> None:
        self._outbox = outbox
        self._full: deque[tuple[Path, int]] = deque()  # and how many frames were appended up to its end
        self._segments = Segments(path, SEGMENT_BYTES, self._keep_newest)

    def append(self, packed: bytes) -> None:
        """Write one frame. Raises OSError when the disk refuses."""
        self._segments.append(packed)

    def close(self) -> None:
        """Give the file back."""
        self._segments.close()

    def _keep_newest(self, path: Path, count: int) -> None:
        while self._full and self._full[0][1] <= self._outbox.acknowledged:
            _remove(self._full.popleft()[0])
        self._full.append((path, count))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("%s, which the master has, could not be removed: %s", path, error)
