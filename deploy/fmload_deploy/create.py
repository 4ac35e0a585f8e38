"""The one way in which resources are created: looked for first, entered in the ledger, created, entered again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fmload.plugins import KINDS
from fmload_deploy.base import Context, Kind
from fmload_deploy.resource import Resource


def ensure(context: Context, endpoint: str, resource: Resource,
           create: Callable[[], Mapping[str, Any] | None]) -> Resource:
    """The resource, created unless it exists already; its detail has the ids that `create` or `find` returned."""
    kind: Kind = KINDS.load(resource.kind)()
    found = kind.find(resource, context)
    if found is not None:
        context.say(f"{endpoint}: {resource} exists already")
    else:
        context.ledger.write("creating", resource, endpoint)
        context.say(f"{endpoint}: creating {resource}")
        found = create() or {}
    made = replace(resource, detail={**_known(context, resource), **resource.detail, **found})
    context.ledger.write("created", made, endpoint)
    return made


def _known(context: Context, resource: Resource) -> Mapping[str, Any]:
    """What an earlier `up` of this run wrote of it."""
    return next((entry.resource.detail for entry in context.ledger.entries() if entry.resource.key == resource.key), {})
