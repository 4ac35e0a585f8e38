"""How a run goes to a fleet and its results come back: files by name, put and taken by either side.

`run.tar` goes in; `status.json` and, once, `results.json` and the parts that it lists (`delivery.py`) come out; `stop`
asks for an end in order, `taken` says that the results have arrived. On one host it is a folder, on EC2 a bucket, on
Kubernetes a folder of the master's pod, reached through the API server. None of them needs a port that is open to the
outside.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from fmload.base.files import aside_of, write_whole

RUN, STATUS, RESULTS, STOP, TAKEN = "run.tar", "status.json", "results.json", "stop", "taken"


class Mailbox(Protocol):
    """Either side's end. A file appears whole or not at all; a later one of the same name replaces it."""

    def send(self, name: str, path: Path) -> None: ...

    def write(self, name: str, text: str) -> None: ...

    def read(self, name: str) -> str | None:
        """A text; None where there is none."""
        ...

    def fetch(self, name: str, path: Path) -> bool:
        """Whether there was such a file, which lies at `path` now."""
        ...


class Folder:
    """A mailbox in a folder of this host."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def send(self, name: str, path: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(path, aside := aside_of(self.root / name))
        aside.replace(self.root / name)

    def write(self, name: str, text: str) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(self.root / name, text, durable=False)

    def read(self, name: str) -> str | None:
        path = self.root / name
        return path.read_text(encoding="utf-8") if path.exists() else None

    def fetch(self, name: str, path: Path) -> bool:
        if not (self.root / name).exists():
            return False
        shutil.copyfile(self.root / name, path)
        return True
