"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, text: str, durable: bool = True) -> None:
    """Write a file aside and give it its name when it is complete: whoever reads it sees the old one or the new one,
    whatever ends this process or fills the disk. `durable`: it survives a power cut, too.

    Raises OSError; the file under its name is then the old one, and nothing else is left.
    """
    aside = aside_of(path)
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def aside_of(path: Path) -> Path:
    """Where this process writes a file until it is whole."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def remove_abandoned(folder: Path) -> None:
    """Remove what processes that are no more have left aside in a folder."""
    for aside in folder.glob(".*.part"):
        writer = aside.name.split(".")[-2]
        if writer.isdecimal() and not Path("/proc", writer).exists() and Path("/proc/self").exists():
            with suppress(OSError):
                aside.unlink(missing_ok=True)
