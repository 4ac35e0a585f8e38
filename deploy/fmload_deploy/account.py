"""The account in which a resource lives: its clients, and the tags that everything there gets."""

from __future__ import annotations

from typing import Any

from fmload_deploy.base import Context
from fmload_deploy.resource import RUN_TAG, Resource


def client_for(resource: Resource, context: Context, service: str) -> Any:
    """The client of the account and region where `resource` lives."""
    return context.aws.client(service, resource.region, resource.detail.get("endpoint_url"))


def tags(context: Context, resource: Resource) -> list[dict[str, str]]:
    """The tags that everything gets, in AWS's usual form."""
    return [{"Key": key, "Value": value} for key, value in tag_map(context, resource).items()]


def tag_map(context: Context, resource: Resource) -> dict[str, str]:
    """The tags that everything gets: which run made it, and under which name the ledger has it."""
    return {RUN_TAG: context.run_id, "fmload:resource": resource.name}
