"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str, durable: bool = True) -> None:
    """Write a file aside and give it its name when it is complete: whoever reads it sees the old one or the new one,
    whatever ends this process or fills the disk. `durable`: it survives a power cut, too.

    Raises OSError; the file under its name is then the old one, and nothing else is left.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
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
