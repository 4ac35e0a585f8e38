"""Another model behind an endpoint that stands: UpdateEndpoint to another configuration, and what it leaves over.

AWS starts the new containers on instances of their own and ends the former ones when these serve: both are paid for
meanwhile, which the ledger counts as a resource of its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Event
from typing import Any

from fmload_deploy.account import client_for
from fmload_deploy.aws import explained, poll_s
from fmload_deploy.base import Context
from fmload_deploy.resource import Resource
from fmload_deploy.sagemaker.kinds import Endpoint, EndpointConfig, Model, log_of, wait_in_service
from fmload_deploy.sagemaker.serving_properties import S3Object
from fmload_deploy.start_failure import failed_start
from fmload_deploy.wait import retried

_UPDATE = "sagemaker-endpoint-update"
_FORMER: dict[str, type[EndpointConfig | Model | S3Object]] = {
    "sagemaker-endpoint-config": EndpointConfig, "sagemaker-model": Model, "s3-object": S3Object}


class Update:
    """The instances that AWS has besides while it updates an endpoint: they go by themselves."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        return None

    def delete(self, resource: Resource, context: Context) -> None:
        return


def serve(endpoint: Resource, config: str, context: Context, name: str, limit_s: float) -> None:
    """Have an endpoint that is in service serve by `config`; nothing where it does, or is of one run alone.

    Raises FmloadError, the container's log in hand, where AWS goes back to the configuration before.
    """
    if not context.shared or _config(endpoint, context) == config:
        return
    sagemaker = client_for(endpoint, context, "sagemaker")
    update = replace(endpoint, kind=_UPDATE, name=config)
    context.say(f"{name}: {endpoint} stands; it is updated to {config}")
    context.ledger.write("updated", endpoint, name)  # from now on it goes before what it is served by
    context.ledger.write("creating", update, name)
    began_s = time.time()
    retried(f"updating {endpoint}", lambda: _updated(sagemaker, endpoint, config), context, poll_s(sagemaker))
    try:
        wait_in_service(endpoint, context, limit_s, began_s)
    finally:
        Endpoint().settle(endpoint, replace(context, stop=Event()))  # AWS refuses the next update until then
        context.ledger.write("deleted", update, name)
    if _config(endpoint, context) != config:
        found = Endpoint().describe(endpoint, context) or {}
        raise failed_start(str(endpoint), f"not updated: {found.get('FailureReason', 'no reason given')}",
                           {f"{endpoint.name}-container.log": log_of(endpoint, context, began_s)}, context.logs)


def drop_former(context: Context, name: str, wanted: Sequence[Resource]) -> None:
    """Delete configurations, models and their files of the ledger that nothing of `wanted` is: an update has left
    them."""
    if not context.shared:  # the ledger may be that of several endpoints
        return
    kept = {resource.key for resource in wanted}
    for entry in reversed(context.ledger.entries()):
        kind = _FORMER.get(entry.resource.kind)
        if kind is not None and entry.up and entry.resource.key not in kept:
            context.ledger.write("deleting", entry.resource, name)
            kind().delete(entry.resource, context)
            context.ledger.write("deleted", entry.resource, name)


def _updated(sagemaker: Any, endpoint: Resource, config: str) -> bool:
    with explained(f"updating {endpoint}"):
        sagemaker.update_endpoint(EndpointName=endpoint.name, EndpointConfigName=config)
    return True


def _config(endpoint: Resource, context: Context) -> str:
    return str((Endpoint().describe(endpoint, context) or {}).get("EndpointConfigName", ""))
