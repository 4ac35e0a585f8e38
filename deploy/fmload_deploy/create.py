"""The one way in which resources are created: looked for first, entered in the ledger, created, entered again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload.plugins import KINDS
from fmload_deploy.aws import explained, lag_s, pause_s
from fmload_deploy.base import Context, Kind
from fmload_deploy.ledger import Entry
from fmload_deploy.resource import Resource
from fmload_deploy.wait import RETRY_LIMIT_S, retried, wait_for

Create = Callable[[], Mapping[str, Any] | None]
# What AWS says of what it does not know: of what the run has made a moment ago, not yet.
_UNKNOWN = ("Could not find", "does not exist", "cannot be found", "NotFound")
_ROLE_NOT_YET = ("Invalid IAM Instance Profile", "must allow AWS EventBridge Scheduler to assume the role")
_EXISTS = ("already exist", "Cannot create already existing", "exists already")


def ensure(context: Context, endpoint: str, resource: Resource, create: Create) -> Resource:
    """The resource, created unless it exists already; its detail has the ids that `create` or `find` returned.

    Throttles, AWS's own trouble and what is not known everywhere yet are waited for, with a limit. A refusal is entered
    in the ledger, and raised as FmloadError.
    """
    kind: Kind = KINDS.load(resource.kind)()
    announced = next((entry for entry in context.ledger.entries() if entry.resource.key == resource.key), None)
    found = found_despite_lag(kind, resource, context, announced)
    if found is not None:
        context.say(f"{endpoint}: {resource} exists already")
    else:
        context.ledger.write("creating", resource, endpoint)
        context.say(f"{endpoint}: creating {resource}")
        found = _created(context, endpoint, resource, create)
    known = {} if announced is None else announced.resource.detail
    made = replace(resource, detail={**known, **resource.detail, **found})
    context.ledger.write("created", made, endpoint)
    return made


def found_despite_lag(kind: Kind, resource: Resource, context: Context,
                      announced: Entry | None) -> Mapping[str, Any] | None:
    """What `find` says; what the ledger has just announced is looked for until it must be visible if it exists."""
    url = resource.detail.get("endpoint_url")
    age_s = (datetime.now(UTC) - announced.created_utc).total_seconds() if announced and announced.up else None
    left_s = 0.0 if age_s is None or resource.region is None else lag_s(url) - age_s

    def look() -> tuple[Mapping[str, Any]] | None:
        found = kind.find(resource, context)
        return None if found is None else (found,)
    found = retried(f"looking for {resource}", look, context, pause_s(url))
    while found is None and left_s > 0 and not context.stop.wait(pause_s(url)):
        left_s -= pause_s(url)
        found = retried(f"looking for {resource}", look, context, pause_s(url))
    return found[0] if found else None


def _created(context: Context, endpoint: str, resource: Resource, create: Create) -> Mapping[str, Any]:
    def attempt() -> tuple[Mapping[str, Any]] | None:
        try:
            with explained(f"{endpoint}: {resource}"):
                return (create() or {},)
        except FmloadError as error:
            return _after(error, context, resource)
    try:
        return wait_for(f"{endpoint}: {resource}", attempt, context, RETRY_LIMIT_S,
                        pause_s(resource.detail.get("endpoint_url")))[0]
    except FmloadError as error:
        if isinstance(error.__cause__, ClientError):
            context.ledger.write("refused", resource, endpoint)
        raise


def _after(error: FmloadError, context: Context, resource: Resource) -> tuple[Mapping[str, Any]] | None:
    """None to try again; what exists, when an answer was lost and the call made twice. Else the error is raised."""
    cause = error.__cause__
    said = str(cause) if isinstance(cause, ClientError) else ""
    if any(words in said for words in _EXISTS):
        kind: Kind = KINDS.load(resource.kind)()
        found = kind.find(resource, context)
        if found is not None:
            return (found,)
    if _not_known_yet(said, context):
        return None
    raise error


def _not_known_yet(said: str, context: Context) -> bool:
    """Whether AWS does not know something that, by the ledger, this run has made."""
    if any(words in said for words in _ROLE_NOT_YET):
        return True
    made = {str(value) for entry in context.ledger.entries() if entry.up
            for value in (entry.resource.name, entry.resource.detail.get("id")) if value}
    return any(words in said for words in _UNKNOWN) and any(name in said for name in made)
