"""Leases of what cannot end itself: deletions scheduled in the account (EventBridge Scheduler), put off by a live run.

Each run has a schedule group per endpoint, and in it one schedule for every resource that it covers, made before the
resource is. A group costs nothing; deleting it deletes its schedules.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload_deploy.account import client_for, partition, tags
from fmload_deploy.aws import denied, described, explained, gone, poll_s
from fmload_deploy.base import Context
from fmload_deploy.create import ensure
from fmload_deploy.names import name_for
from fmload_deploy.resource import IAM_PATH, Resource
from fmload_deploy.wait import retried, wait_for

Lease = Literal["auto", "required", "off"]
_TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
_LIMIT_S = 300.0
_MOST_ATTEMPTS, _LONGEST_S = 185, 86_400  # what is still being created cannot be deleted yet: tried for a day


class _Deletion(TypedDict):
    """How the scheduler deletes a kind: its call, the action that its role needs, and the ARN, name put in."""

    call: str
    action: str
    arn: str
    argument: str


_DELETIONS: dict[str, _Deletion] = {
    "sagemaker-endpoint": {"call": "sagemaker:deleteEndpoint", "action": "sagemaker:DeleteEndpoint",
                           "arn": "sagemaker:{region}:*:endpoint/{name}", "argument": "EndpointName"},
    "sagemaker-inference-component": {
        "call": "sagemaker:deleteInferenceComponent", "action": "sagemaker:DeleteInferenceComponent",
        "arn": "sagemaker:{region}:*:inference-component/{name}", "argument": "InferenceComponentName"},
    "sagemaker-endpoint-config": {
        "call": "sagemaker:deleteEndpointConfig", "action": "sagemaker:DeleteEndpointConfig",
        "arn": "sagemaker:{region}:*:endpoint-config/{name}", "argument": "EndpointConfigName"},
    "sagemaker-model": {"call": "sagemaker:deleteModel", "action": "sagemaker:DeleteModel",
                        "arn": "sagemaker:{region}:*:model/{name}", "argument": "ModelName"},
    "eks-nodegroup": {"call": "eks:deleteNodegroup", "action": "eks:DeleteNodegroup",
                      "arn": "eks:{region}:*:nodegroup/*/{name}/*", "argument": "NodegroupName"},
    "bedrock-provisioned-throughput": {
        "call": "bedrock:deleteProvisionedModelThroughput", "action": "bedrock:DeleteProvisionedModelThroughput",
        "arn": "bedrock:{region}:*:provisioned-model/*", "argument": "ProvisionedModelId"},
}


class ScheduledDeletion:
    """The lease of one endpoint's resources. With `auto`, an account that does not allow it is told of before anything
    is created, and the run goes on; with `required` it does not.
    """

    def __init__(self, endpoint: str, lease: Lease, role: str | None, context: Context, covered: Sequence[Resource]
                 ) -> None:
        self.endpoint, self.context, self.covered = endpoint, context, covered
        self._mode, self._given_role = lease, role
        self._group: Resource | None = None
        self._role_arn = role

    def resources(self) -> tuple[Resource, ...]:
        """The role (unless one is given) and the group, in the order of their creation."""
        if self._mode == "off" or not self.covered:
            return ()
        name = name_for(self.context.run_id, f"{self.endpoint} lease")
        region, detail = self.covered[0].region, self.covered[0].detail
        kept = {key: detail[key] for key in ("endpoint_url",) if key in detail}
        group = Resource("schedule-group", name, region, detail=kept)
        return (group,) if self._given_role else (Resource("iam-role", name, region, detail=kept), group)

    def notes(self) -> tuple[str, ...]:
        """For the plan: what ends the resources when this process is killed."""
        if not self.covered:
            return ()
        if self._mode == "off":
            return (f"NO LEASE (lease: off): {_limit(self.covered)}",)
        return ("lease: a deletion scheduled in the account, put off while the run lives; where the account does not "
                "allow that, " + ("nothing is created" if self._mode == "required" else "the run says so and goes on"),)

    def up(self) -> tuple[Resource, ...]:
        """Make role and group. Raises FmloadError with `required` where the account does not allow it."""
        made: list[Resource] = []
        try:
            made.extend(self._make(resource) for resource in self.resources())
        except FmloadError as error:
            self._refused(error)
            return tuple(made)
        if made:
            self._group = made[-1]
        return tuple(made)

    def cover(self, resource: Resource) -> None:
        """Schedule the deletion of a resource that is about to be created. Nothing where there is no lease."""
        if self._group is None or resource.kind not in _DELETIONS:
            return
        scheduler, schedule = client_for(self._group, self.context, "scheduler"), self._schedule(resource)

        def create() -> Mapping[str, Any]:
            try:
                scheduler.create_schedule(**schedule)
            except ClientError as error:
                if "Conflict" not in str(error):
                    raise
                scheduler.update_schedule(**schedule)
            return {}
        try:
            self._ensured(resource, create, poll_s(scheduler))
        except FmloadError as error:
            self._group = None
            self._refused(error)

    def _ensured(self, resource: Resource, create: Any, every_s: float) -> None:
        def attempt() -> bool | None:
            try:
                with explained(f"{self.endpoint}: the lease of {resource}"):
                    create()
            except FmloadError as error:
                if "to assume the role" in error.message:  # a new role is not known everywhere yet
                    return None
                raise
            return True
        wait_for(f"{self.endpoint}: the lease of {resource}", attempt, self.context, _LIMIT_S, every_s)
        self.context.ledger.renewed(resource, self.endpoint, _end(self.context.lease_s))

    def _make(self, resource: Resource) -> Resource:
        if resource.kind == "schedule-group":
            scheduler = client_for(resource, self.context, "scheduler")
            return ensure(self.context, self.endpoint, resource, lambda: _made(scheduler.create_schedule_group(
                Name=resource.name, Tags=tags(self.context, resource))))
        iam = client_for(resource, self.context, "iam")
        made = ensure(self.context, self.endpoint, resource, lambda: _role(iam.create_role(
            RoleName=resource.name, Path=IAM_PATH, AssumeRolePolicyDocument=json.dumps(_TRUST),
            Tags=tags(self.context, resource))))
        self._role_arn = made.detail.get("arn") or iam.get_role(RoleName=resource.name)["Role"]["Arn"]
        retried(f"{self.endpoint}: what {resource} may do", lambda: self._permit(iam, resource), self.context,
                poll_s(iam))
        return made

    def _permit(self, iam: Any, role: Resource) -> bool:
        with explained(f"{self.endpoint}: {role}"):
            iam.put_role_policy(RoleName=role.name, PolicyName="delete", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [_statement(resource) for resource in self.covered
                                                        if resource.kind in _DELETIONS]}))
        return True

    def _schedule(self, resource: Resource) -> dict[str, Any]:
        assert self._group is not None
        deletion = _DELETIONS[resource.kind]
        known = {"ClusterName": resource.detail["cluster"]} if "cluster" in resource.detail else {}
        argument = json.dumps({**known, deletion["argument"]: resource.name})
        return {"Name": resource.kind, "GroupName": self._group.name, "FlexibleTimeWindow": {"Mode": "OFF"},
                "ScheduleExpression": _at(_end(self.context.lease_s)), "ScheduleExpressionTimezone": "UTC",
                "ActionAfterCompletion": "DELETE", "Description": f"fmload run {self.context.run_id}: end of the lease",
                "Target": {"Arn": f"arn:{partition(resource.region)}:scheduler:::aws-sdk:{deletion['call']}",
                           "RoleArn": self._role_arn, "Input": argument,
                           "RetryPolicy": {"MaximumRetryAttempts": _MOST_ATTEMPTS,
                                           "MaximumEventAgeInSeconds": _LONGEST_S}}}

    def _refused(self, error: FmloadError) -> None:
        cause = error.__cause__
        if self._mode == "required" or not (isinstance(cause, ClientError) and denied(cause)):
            raise error
        self.context.say(f"{self.endpoint}: NO LEASE, the account does not allow it ({error.message}): "
                         f"{_limit(self.covered)}")


class ScheduleGroup:
    """A run's schedules, known by the group's name."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            found = described(client_for(resource, context, "scheduler").get_schedule_group, Name=resource.name)
        return None if found is None or found["State"] == "DELETING" else {"arn": found["Arn"]}

    def delete(self, resource: Resource, context: Context) -> None:
        scheduler = client_for(resource, context, "scheduler")
        with explained(f"deleting {resource}"):
            try:
                scheduler.delete_schedule_group(Name=resource.name)
            except ClientError as error:
                if not gone(error):
                    raise

    def renew(self, resource: Resource, context: Context, lease_s: float) -> None:
        """Put off every deletion of the group to `lease_s` from now."""
        scheduler, until = client_for(resource, context, "scheduler"), _end(lease_s)
        with explained(f"renewing the lease {resource}"):
            for page in scheduler.get_paginator("list_schedules").paginate(GroupName=resource.name):
                for one in page["Schedules"]:
                    found = scheduler.get_schedule(GroupName=resource.name, Name=one["Name"])
                    scheduler.update_schedule(**{key: found[key] for key in _KEPT if key in found},
                                              ScheduleExpression=_at(until))
                    _note(context, resource, one["Name"], until)


_KEPT = ("Name", "GroupName", "FlexibleTimeWindow", "ScheduleExpressionTimezone", "ActionAfterCompletion",
         "Description", "Target")


def _note(context: Context, group: Resource, kind: str, until: datetime) -> None:
    """Enter the new end of what a schedule of the group covers."""
    entries = [entry for entry in context.ledger.entries() if entry.up]
    endpoint = next((entry.endpoint for entry in entries if entry.resource.key == group.key), None)
    for entry in entries:
        if entry.resource.kind == kind and entry.endpoint == endpoint:
            context.ledger.renewed(entry.resource, entry.endpoint, until)


def _statement(resource: Resource) -> dict[str, Any]:
    deletion = _DELETIONS[resource.kind]
    arn = deletion["arn"].format(region=resource.region or "*", name=resource.name)
    return {"Effect": "Allow", "Action": deletion["action"], "Resource": f"arn:{partition(resource.region)}:{arn}"}


def _made(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"arn": answer["ScheduleGroupArn"]}


def _role(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"arn": answer["Role"]["Arn"]}


def _end(lease_s: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=lease_s)


def _at(instant: datetime) -> str:
    return f"at({instant.strftime('%Y-%m-%dT%H:%M:%S')})"


def _limit(covered: Sequence[Resource]) -> str:
    prices = [resource.hourly for resource in covered if resource.hourly != 0]
    price = "at an unknown price" if None in prices else f"{sum(price or 0.0 for price in prices):.4g} USD/h"
    return ("if this process is killed, what it made bills " + price
            + " until 'fmload deploy down' or 'fmload deploy sweep' removes it")
