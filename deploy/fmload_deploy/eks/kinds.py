"""How a run's namespace and its node group are found and deleted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from fmload_deploy.account import client_for
from fmload_deploy.aws import described, explained, gone, poll_s
from fmload_deploy.base import Context
from fmload_deploy.eks.client import kube_client, kube_explained
from fmload_deploy.owner import LEASE_TAG
from fmload_deploy.resource import Resource
from fmload_deploy.wait import wait_for

_LIMIT_S = 1800.0
_LOOK_EVERY_S = 0.5
_NOT_FOUND = 404


class Namespace:
    """A namespace of the run's own: deleting it deletes everything in it."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        from lightkube.resources.core_v1 import Namespace as Kind
        return {} if self._call("get", Kind, resource, context) else None

    def delete(self, resource: Resource, context: Context) -> None:
        from lightkube.resources.core_v1 import Namespace as Kind
        self._call("delete", Kind, resource, context)
        wait_for(f"{resource} to go", lambda: True if self.find(resource, context) is None else None, context, _LIMIT_S,
                 _LOOK_EVERY_S)

    def _call(self, verb: str, kind: Any, resource: Resource, context: Context) -> bool:
        """Whether the namespace was there to be called upon."""
        from lightkube import ApiError
        with kube_explained(f"{verb} {resource}"), kube_client(resource.detail, resource.region, context) as client:
            try:
                getattr(client, verb)(kind, resource.name)
            except ApiError as error:
                if error.status.code == _NOT_FOUND:
                    return False
                raise
        return True


class NodeGroup:
    """A managed node group that the run added to a cluster."""

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        found = self.describe(resource, context)
        return None if found is None else {"arn": found["nodegroupArn"]}

    def mark(self, resource: Resource, context: Context, lease_s: float) -> None:
        """Say in its tag that it is wanted for `lease_s` from now."""
        if "arn" in resource.detail:
            with explained(f"marking {resource}"):
                client_for(resource, context, "eks").tag_resource(
                    resourceArn=resource.detail["arn"], tags={LEASE_TAG: str(int(time.time() + lease_s))})

    def describe(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        """What EKS says of the group; None when it does not exist."""
        with explained(f"looking for {resource}"):
            answer = described(client_for(resource, context, "eks").describe_nodegroup,
                               clusterName=resource.detail["cluster"], nodegroupName=resource.name)
        return None if answer is None else answer["nodegroup"]

    def delete(self, resource: Resource, context: Context) -> None:
        eks = client_for(resource, context, "eks")
        self._settle(resource, context)
        with explained(f"deleting {resource}"):
            try:
                eks.delete_nodegroup(clusterName=resource.detail["cluster"], nodegroupName=resource.name)
            except ClientError as error:
                if not gone(error):
                    raise
        wait_for(f"{resource} to go", lambda: True if self.describe(resource, context) is None else None, context,
                 _LIMIT_S, poll_s(eks))

    def _settle(self, resource: Resource, context: Context) -> None:
        """Wait until EKS is done with it: it refuses to delete what it is creating."""
        def look() -> bool | None:
            group = self.describe(resource, context)
            return True if group is None or group["status"] not in ("CREATING", "UPDATING") else None
        wait_for(f"{resource} to settle", look, context, _LIMIT_S, poll_s(client_for(resource, context, "eks")))
