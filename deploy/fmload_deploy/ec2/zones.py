"""Where an instance may be started: one subnet of every zone that offers its type, tried one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from fmload_deploy.aws import code
from fmload_deploy.ec2.options import Options

_NO_ROOM = ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientCapacity", "Unsupported",
            "InsufficientReservedInstanceCapacity")


def no_room(error: ClientError) -> bool:
    """Whether another zone, or a later moment, may have what this one has not."""
    return code(error).startswith(_NO_ROOM)


def subnets(ec2: Any, options: Options) -> Sequence[str | None]:
    """Subnets in the order in which they are tried: the run file's, else the default VPC's where the type is offered.

    `[None]` where there is no default subnet, or nobody may look: AWS chooses.
    """
    if options.subnet:
        return [options.subnet]
    if options.subnets:
        return options.subnets
    return subnets_for(ec2, options.instance_type)


def subnets_for(ec2: Any, instance_type: str) -> Sequence[str | None]:
    """The default VPC's subnets where the type is offered; `[None]` as above."""
    try:
        found = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        offered = offering_zones(ec2, instance_type)
    except ClientError:
        return [None]
    return [one["SubnetId"] for one in found if one["AvailabilityZone"] in offered] or [None]


def offering_zones(ec2: Any, instance_type: str) -> list[str]:
    """The region's zones that offer the type."""
    pages = ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}])
    return sorted(one["Location"] for page in pages for one in page["InstanceTypeOfferings"])
