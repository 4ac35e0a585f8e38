"""The ledger: what a run creates, written and synced to disk before each create call, and read back to delete it.

One JSON object a line, appended. The first line names the run; each other line is an event of one resource:
`creating` (before the call), `refused` (AWS said no: nothing exists), `created`, `updated` (it stands on what was made
after it), `renewed` (its lease), `deleting`, `deleted`. A line torn by a crash is skipped: the call that it announced
was not made.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fmload.base.errors import FmloadError
from fmload.base.files import aside_of
from fmload_deploy.resource import Resource

NAME = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A resource as the ledger last knew it. `created_utc` is when its price began to run, `lease_utc` when it ends by
    itself (None: never, as far as the ledger knows), `ended_utc` when it was deleted."""

    resource: Resource
    endpoint: str
    event: str
    created_utc: datetime
    lease_utc: datetime | None = None
    ended_utc: datetime | None = None

    @property
    def up(self) -> bool:
        """Whether it may still exist."""
        return self.event not in ("deleted", "refused")


class Ledger:
    """One run's ledger. Safe for the threads of one process; one process writes at a time."""

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.run_id = run_id
        self._lock = threading.Lock()

    @classmethod
    def begin(cls, path: Path, name: str, run_id: str | None = None) -> Ledger:
        """The ledger at `path`; made when there is none yet, with a new run id unless one is given. It has its name
        once it names its run: others read it meanwhile."""
        if path.exists():
            return cls.open(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        ledger = cls(aside_of(path), run_id or f"{name}-{secrets.token_hex(3)}")
        ledger.path.unlink(missing_ok=True)
        ledger._append({"event": "run", "run": ledger.run_id, "host": socket.gethostname(), "pid": os.getpid()})
        ledger.path = ledger.path.replace(path)
        return ledger

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """The ledger at `path`. Raises FmloadError when there is none or it does not name its run."""
        try:
            first = next(_lines(path), {})
        except OSError as error:
            raise FmloadError(f"cannot read the ledger {path}: {error.strerror}",
                              hint="without it, 'fmload deploy sweep' finds what a run left by its tags") from error
        if first.get("event") != "run":
            raise FmloadError(f"{path} is not a ledger", hint=f"a ledger is named {NAME} and lies in a results folder")
        return cls(path, first["run"])

    def write(self, event: str, resource: Resource, endpoint: str) -> None:
        """Append an event and return once it is on the disk."""
        self._append({"event": event, "endpoint": endpoint, **asdict(resource)})

    def renewed(self, resource: Resource, endpoint: str, until: datetime) -> None:
        """Write down that the resource ends itself at `until`."""
        self._append({"event": "renewed", "endpoint": endpoint, **asdict(resource), "until": until.isoformat()})

    def entries(self) -> list[Entry]:
        """Every resource as last known, in the order of creation."""
        return self._read()[0]

    def standing(self, resource: Resource) -> Entry | None:
        """What it holds of a resource that may exist; None where it holds none."""
        return next((entry for entry in self.entries() if entry.up and entry.resource.key == resource.key), None)

    def lives(self) -> list[Entry]:
        """All that has been paid for: the entries, and before them what stood under the same names and is gone."""
        last, earlier = self._read()
        return [*earlier, *last]

    def _read(self) -> tuple[list[Entry], list[Entry]]:
        known: dict[tuple[str, str, str | None], Entry] = {}
        earlier: list[Entry] = []
        for line in _lines(self.path):
            if line["event"] == "run":
                continue
            resource = Resource(line["kind"], line["name"], line["region"], line["hourly"], line["detail"])
            at = datetime.fromisoformat(line["at"])
            before = known.get(resource.key)
            if line["event"] == "renewed":
                if before is not None:
                    known[resource.key] = replace(before, lease_utc=datetime.fromisoformat(line["until"]))
            elif line["event"] == "updated" and before is not None:
                known[resource.key] = known.pop(resource.key)
            elif before is None or not before.up:
                if before is not None:
                    earlier.append(known.pop(resource.key))
                known[resource.key] = Entry(resource, line["endpoint"], line["event"], at)
            else:
                known[resource.key] = replace(before, resource=resource, endpoint=line["endpoint"], event=line["event"],
                                              ended_utc=at if line["event"] == "deleted" else None)
        return list(known.values()), earlier

    def _append(self, line: dict[str, Any]) -> None:
        data = json.dumps({"at": datetime.now(UTC).isoformat(), **line}) + "\n"
        with self._lock:
            try:
                descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(descriptor, self._mend() + data.encode())
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise FmloadError(f"cannot write the ledger {self.path}: {error.strerror}",
                                  hint="nothing is created that is not in the ledger first; free the disk, or name "
                                       "another results folder") from error

    def _mend(self) -> bytes:
        """A line feed when a crash tore the last line, so that the next one stands alone."""
        data = self.path.read_bytes()[-1:]
        return b"\n" if data not in (b"", b"\n") else b""


def ledgers_in(folder: Path) -> list[Path]:
    """The ledgers of a results folder: its own, or of a search over stacks those of its machines and trials."""
    patterns = (NAME, f"machines/*/{NAME}", f"trials/*/{NAME}")
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                continue
            if isinstance(line, dict) and "event" in line:
                yield line
