"""How an instance, its security group and its role are found and deleted, by name tag alone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from fmload_deploy.account import client_for
from fmload_deploy.aws import code, described, explained, gone, poll_s
from fmload_deploy.base import Context
from fmload_deploy.ec2.instance_status import told
from fmload_deploy.owner import LEASE_TAG
from fmload_deploy.resource import Resource
from fmload_deploy.wait import wait_for

_LIMIT_S = 900.0


class Instance:
    """An EC2 instance, known by its tag `fmload:resource`. It ends itself when its lease is not renewed."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        found = self._instances(resource, context, ("pending", "running", "stopping", "stopped"))
        return {"id": found[0]["InstanceId"]} if found else None

    def describe(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        """What EC2 says of the instance, ended or not; None when it does not exist. One that lives goes before one of
        the same name that has ended."""
        found = self._alive(resource, context) or self._instances(resource, context, ())
        return found[0] if found else None

    def delete(self, resource: Resource, context: Context) -> None:
        client = client_for(resource, context, "ec2")
        found = self._alive(resource, context)
        if found:
            with explained(f"deleting {resource}"):
                client.terminate_instances(InstanceIds=[instance["InstanceId"] for instance in found])
        wait_for(f"{resource} to end", lambda: None if self._alive(resource, context) else True, context, _LIMIT_S,
                 poll_s(client))

    def renew(self, resource: Resource, context: Context, lease_s: float) -> None:
        """Move the instance's own end to `lease_s` from now."""
        with explained(f"renewing the lease of {resource}"):
            client_for(resource, context, "ec2").create_tags(
                Resources=[resource.detail["id"]], Tags=[{"Key": LEASE_TAG, "Value": str(int(time.time() + lease_s))}])

    def condition(self, resource: Resource, context: Context) -> Mapping[str, str]:
        """The instance's own end, and what it tells of its copies."""
        found = self.describe(resource, context)
        if found is None or found["State"]["Name"] not in ("pending", "running"):
            reason = (found or {}).get("StateReason", {}).get("Message", "no reason given")
            return {"the instance": f"has ended: {reason}"}
        status = told(resource.detail["status_url"]) if "status_url" in resource.detail else None
        if status is None:
            return {}
        dead = {f"copy {copy['index']}": f"dead, taken out of the balancer: {copy['reason']}"
                for copy in status["copies"] if copy["state"] == "dead"}
        return dead | {f"copy {index}, unanswered": f"{count} requests got no answer"
                       for index, count in status["swallowed"].items()}

    def _alive(self, resource: Resource, context: Context) -> Sequence[Mapping[str, Any]]:
        return self._instances(resource, context, ("pending", "running", "stopping", "stopped", "shutting-down"))

    def _instances(self, resource: Resource, context: Context, states: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        filters = [{"Name": "tag:fmload:resource", "Values": [resource.name]}]
        if states:
            filters.append({"Name": "instance-state-name", "Values": list(states)})
        with explained(f"looking for {resource}"):
            answer = client_for(resource, context, "ec2").describe_instances(Filters=filters)
        return [instance for group in answer["Reservations"] for instance in group["Instances"]]


class SecurityGroup:
    """A security group, known by its tag; it can be deleted once no interface uses it any more."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            groups = client_for(resource, context, "ec2").describe_security_groups(
                Filters=[{"Name": "tag:fmload:resource", "Values": [resource.name]}])["SecurityGroups"]
        return {"id": groups[0]["GroupId"]} if groups else None

    def delete(self, resource: Resource, context: Context) -> None:
        client = client_for(resource, context, "ec2")
        found = self.find(resource, context)
        if found is not None:
            wait_for(f"{resource} to be free", lambda: self._deleted(client, found["id"], resource), context, _LIMIT_S,
                     poll_s(client))

    def _deleted(self, client: Any, identity: str, resource: Resource) -> bool | None:
        with explained(f"deleting {resource}"):
            try:
                client.delete_security_group(GroupId=identity)
            except ClientError as error:
                if code(error) == "DependencyViolation":
                    return None
                if not gone(error):
                    raise
        return True


class Role:
    """An IAM role with inline policies only, under the path /fmload/."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            answer = described(client_for(resource, context, "iam").get_role, RoleName=resource.name)
        return None if answer is None else {}

    def delete(self, resource: Resource, context: Context) -> None:
        iam = client_for(resource, context, "iam")
        with explained(f"deleting {resource}"):
            if self.find(resource, context) is not None:
                for policy in iam.list_role_policies(RoleName=resource.name)["PolicyNames"]:
                    iam.delete_role_policy(RoleName=resource.name, PolicyName=policy)
                iam.delete_role(RoleName=resource.name)


class InstanceProfile:
    """An instance profile that holds the role of the same name."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        with explained(f"looking for {resource}"):
            answer = described(client_for(resource, context, "iam").get_instance_profile,
                               InstanceProfileName=resource.name)
        return None if answer is None else {"roles": [role["RoleName"] for role in answer["InstanceProfile"]["Roles"]]}

    def delete(self, resource: Resource, context: Context) -> None:
        iam, found = client_for(resource, context, "iam"), self.find(resource, context)
        if found is None:
            return
        with explained(f"deleting {resource}"):
            for role in found["roles"]:
                iam.remove_role_from_instance_profile(InstanceProfileName=resource.name, RoleName=role)
            iam.delete_instance_profile(InstanceProfileName=resource.name)
