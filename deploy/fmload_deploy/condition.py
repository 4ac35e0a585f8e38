"""Watches what was deployed while the run lives: what dies, is said at once and stands in the run's events.

A kind that can tell of trouble has `condition`; what it says is compared with what it said before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from fmload.base.errors import FmloadError
from fmload.plugins import KINDS
from fmload_deploy.background import repeating
from fmload_deploy.base import Context
from fmload_deploy.ledger import Entry
from fmload_deploy.resource import Resource

_LOOK_EVERY_S = 5.0
Troubles = dict[tuple[str, str], str]  # by endpoint and part


@runtime_checkable
class Watched(Protocol):
    """A kind whose resources can lose a part while they serve."""

    def condition(self, resource: Resource, context: Context) -> Mapping[str, str]:
        """What is wrong, by part (`copy 3`); empty when all is well."""
        ...


@contextmanager
def watched(context: Context) -> Iterator[None]:
    """Look at everything in the ledger, from a thread of its own, while inside."""
    known = Troubles()
    with repeating(lambda: look(context, known), _LOOK_EVERY_S, "condition"):
        yield


def look(context: Context, known: Troubles) -> None:
    """Tell what has changed since `known`, and bring that up to date. What cannot be asked keeps its last state."""
    for entry in context.ledger.entries():
        kind = KINDS.load(entry.resource.kind)() if entry.event == "created" else None
        if isinstance(kind, Watched):
            try:
                now = kind.condition(entry.resource, context)
            except FmloadError:
                continue
            _compare(context, entry, now, known)


def _compare(context: Context, entry: Entry, now: Mapping[str, str], known: Troubles) -> None:
    where = str(entry.resource)
    before = {part: text for (name, part), text in known.items() if name == where}
    for part in sorted(before.keys() | now.keys()):
        if now.get(part) != before.get(part):
            kind = "endpoint_degraded" if part in now else "endpoint_recovered"
            _tell(context, kind, entry.endpoint, f"{entry.resource}: {part}: {now.get(part, 'serves again')}")
    for part in before:
        del known[where, part]
    known.update({(where, part): text for part, text in now.items()})


def _tell(context: Context, kind: str, endpoint: str, detail: str) -> None:
    context.say(f"{endpoint}: {detail}")
    line = {"at_ns": time.monotonic_ns(), "kind": kind, "worker": None, "stage": None, "endpoint": endpoint,
            "detail": f"{endpoint}: {detail}"}
    with ((context.run_folder or context.ledger.path.parent) / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
