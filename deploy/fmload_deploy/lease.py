"""Leases: what ends itself when it is not renewed, in case whoever made it vanishes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

from fmload.base.errors import FmloadError
from fmload.plugins import KINDS
from fmload_deploy.background import repeating
from fmload_deploy.base import Context
from fmload_deploy.resource import Resource

LEASE_S = 1800.0
KEPT_LEASE_S = 43_200.0
_RENEW_EVERY_S = 300.0


@runtime_checkable
class Leased(Protocol):
    """A kind whose resources end (themselves, or others) `lease_s` after the last `renew`."""

    def renew(self, resource: Resource, context: Context, lease_s: float) -> None: ...


@runtime_checkable
class Marked(Protocol):
    """A kind whose resources say in a tag until when they are wanted, for `sweep` to spare them; `mark` moves that."""

    def mark(self, resource: Resource, context: Context, lease_s: float) -> None: ...


@contextmanager
def renewing(context: Context) -> Iterator[None]:
    """Renews every lease in the ledger from a thread of its own while inside; what is kept has a long lease already."""
    if context.keep:
        yield
        return
    with repeating(lambda: renew_all(context, LEASE_S), _RENEW_EVERY_S, "lease"):
        yield


def renew_all(context: Context, lease_s: float) -> None:
    """Renew what is up and leased; a refusal is said, not raised: the next turn may do better."""
    for entry in context.ledger.entries():
        kind = KINDS.load(entry.resource.kind)() if entry.event == "created" else None
        try:
            if isinstance(kind, Leased):
                kind.renew(entry.resource, context, lease_s)
                context.ledger.renewed(entry.resource, entry.endpoint, datetime.now(UTC) + timedelta(seconds=lease_s))
            if isinstance(kind, Marked):
                kind.mark(entry.resource, context, lease_s)
        except FmloadError as error:
            context.say(f"{entry.resource}: lease not renewed: {error}")
