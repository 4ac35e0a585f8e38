"""What was deployed for a run, how long it stood, and what that cost: read from the run's ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

LEDGER = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Deployed:
    """One thing that was created and is paid for by the hour. `usd_per_hour` is None when its price is unknown,
    `deleted` when it was still up (or nobody knows) at the end of the ledger."""

    endpoint: str
    kind: str
    name: str
    region: str | None
    usd_per_hour: float | None
    created: datetime
    deleted: datetime | None = None

    @property
    def duration_s(self) -> float | None:
        """How long it stood; None while it stands."""
        return (self.deleted - self.created).total_seconds() if self.deleted else None

    @property
    def usd(self) -> float | None:
        """What it cost from its creation to its deletion; None when either or the price is unknown."""
        if self.usd_per_hour is None or self.duration_s is None:
            return None
        return self.usd_per_hour / 3600 * self.duration_s


def deployed(root: Path) -> list[Deployed]:
    """Everything of the run in `root` with an hourly price, known or not, each time that it stood; what was refused
    never did. Empty when nothing was deployed."""
    up: dict[tuple[Any, ...], Deployed] = {}
    gone: list[Deployed] = []
    for line in _lines(root / LEDGER):
        key = (line["kind"], line["name"], line["region"])
        at = datetime.fromisoformat(line["at"])
        if line["event"] == "deleted" and key in up:
            gone.append(replace(up.pop(key), deleted=at))
        elif line["event"] == "refused":
            up.pop(key, None)
        elif key not in up and line["event"] in ("creating", "created") and line["hourly"] != 0:
            up[key] = Deployed(line["endpoint"], line["kind"], line["name"], line["region"], line["hourly"], at)
    return sorted([*gone, *up.values()], key=lambda each: each.created)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # torn by a crash: what it announced was not done
        if isinstance(line, dict) and line.get("event") not in (None, "run"):
            yield line
