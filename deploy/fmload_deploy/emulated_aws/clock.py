"""The emulated account's time: it goes on when it is told to, and then schedules fire and leases of instances end."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore import xform_name
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends
from moto.scheduler.models import scheduler_backends

from fmload_deploy.owner import LEASE_TAG


class Clock:
    """How far the account's time is ahead of this host's."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def advance(self, seconds: float, url: str) -> list[str]:
        """Let time pass; returns what ended by it. `url`: this server, to which the scheduler makes its calls."""
        self.ahead_s += seconds
        return [*self._fire(url), *self._end_instances()]

    def now(self) -> float:
        """Seconds since 1970, in the account."""
        return time.time() + self.ahead_s

    def _fire(self, url: str) -> list[str]:
        fired = []
        for backends in scheduler_backends.values():
            for region, backend in backends.items():
                for group in list(backend.schedule_groups.values()):
                    for name, schedule in list(group.schedules.items()):
                        if self._due(schedule) and _carried_out(schedule.target, region, url):
                            group.schedules.pop(name, None)
                            fired.append(f"{group.name}/{name}")
        return fired

    def _due(self, schedule: Any) -> bool:
        match = re.fullmatch(r"at\((.+)\)", schedule.schedule_expression)
        return match is not None and datetime.fromisoformat(match[1]).replace(tzinfo=UTC).timestamp() <= self.now()

    def _end_instances(self) -> list[str]:
        """Instances read their lease from their tag, and power themselves off."""
        ended = []
        for backends in ec2_backends.values():
            for backend in backends.values():
                for instance in [one for group in backend.reservations.values() for one in group.instances]:
                    told = {tag["key"]: tag["value"] for tag in instance.get_tags()}.get(LEASE_TAG, "")
                    if told.isdigit() and int(told) <= self.now() and instance.state == "running":
                        backend.terminate_instances([instance.id])
                        ended.append(instance.id)
        return ended


def _carried_out(target: dict[str, Any], region: str, url: str) -> bool:
    """Whether the scheduler's call went through; a refused one is made again when time goes on."""
    service, _, operation = target["Arn"].rpartition("aws-sdk:")[2].partition(":")
    client: Any = boto3.client(service, region_name=region, endpoint_url=url, aws_access_key_id="scheduler",
                               aws_secret_access_key="scheduler")
    name = xform_name(operation[:1].upper() + operation[1:])
    given = json.loads(target["Input"])
    try:
        getattr(client, name)(**_lower(given) if service in ("eks", "bedrock") else given)
    except ClientError as error:
        return "Could not find" in str(error) or "NotFound" in str(error)
    return True


def _lower(arguments: dict[str, Any]) -> dict[str, Any]:
    """Names of EKS and Bedrock begin with a small letter; the scheduler wants capitals everywhere."""
    return {key[:1].lower() + key[1:]: value for key, value in arguments.items()}
