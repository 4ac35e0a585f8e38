"""The account in which a resource lives: its clients, and the tags that everything there gets."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

import boto3

from fmload.config.schema import EndpointSpec
from fmload_deploy import owner
from fmload_deploy.base import Context
from fmload_deploy.resource import RUN_TAG, Resource


def client_for(resource: Resource, context: Context, service: str) -> Any:
    """The client of the account and region where `resource` lives."""
    return context.aws.client(service, resource.region, resource.detail.get("endpoint_url"))


def tags(context: Context, resource: Resource) -> list[dict[str, str]]:
    """The tags that everything gets, in AWS's usual form."""
    return [{"Key": key, "Value": value} for key, value in tag_map(context, resource).items()]


def tag_map(context: Context, resource: Resource) -> dict[str, str]:
    """The tags that everything gets: which run made it and under which name the ledger has it; whose run that is, on
    which host; when and in which region it was made; until when its lease lasts."""
    now = time.time()
    return {RUN_TAG: context.run_id, "fmload:resource": resource.name,
            owner.OWNER_TAG: context.aws.owner(resource.region, resource.detail.get("endpoint_url")),
            owner.HOST_TAG: owner.host(), owner.REGION_TAG: resource.region or "none",
            owner.CREATED_TAG: datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            owner.LEASE_TAG: str(int(now + context.lease_s))}


def region_of(spec: EndpointSpec, run_region: str | None, otherwise: str | None = None) -> str | None:
    """The region of an endpoint: its own, the run's, AWS_REGION's, or `otherwise`."""
    own = getattr(spec.options, "region", None)
    return own or run_region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or otherwise


def partition(region: str | None) -> str:
    """The partition of a region: aws, aws-cn, aws-us-gov, …"""
    session: Any = boto3.Session()
    return str(session.get_partition_for_region(region)) if region else "aws"
