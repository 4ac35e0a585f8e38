"""Emulators for tests, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import forking
from tests.forking import START_LIMIT_S
from tests.forking import Forked as Emulator

__all__ = ["START_LIMIT_S", "Emulator", "ready", "start"]


def start(options: Sequence[str], output: Path) -> Emulator:
    """An emulator with these options of `python -m fmload.emulator`, in this folder and environment; what it prints is
    added to `output`."""
    return forking.start("fmload.emulator", options, output)


def ready(process: Emulator | subprocess.Popen[Any], told: Path, output: Path) -> dict[str, Any]:
    """What an emulator tells in its `--ready-file`, which is there, and whole, once it listens. Fails the test where it
    ends, or takes too long."""
    limit = time.monotonic() + START_LIMIT_S
    while not told.exists():
        assert process.poll() is None, f"the emulator ended: {output.read_text()}"
        assert time.monotonic() < limit, f"not ready within {START_LIMIT_S:g} s: {output.read_text()}"
        time.sleep(0.02)
    found: dict[str, Any] = json.loads(told.read_text())
    return found
