"""Packs full files of the master's journal away while the load goes on, each in a process of its own."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 256 << 20
LIMIT_S = 60.0  # for those that are still at it when the run ends


class Packer:
    """Neither the memory nor the time of packing are the master's. What fails is told, and its file stays as it was."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def pack(self, path: Path) -> None:
        """Begin with one file; returns at once."""
        self._running = [process for process in self._running if process.poll() is None]
        try:
            self._running.append(subprocess.Popen([sys.executable, "-P", "-m", "fmload.results.packing", str(path)],
                                                  stdin=subprocess.DEVNULL))
        except OSError as error:
            logger.warning("%s is not packed away: %s", path, error)

    def wait(self) -> None:
        """Until all are done, or the limit."""
        for process in self._running:
            try:
                process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
