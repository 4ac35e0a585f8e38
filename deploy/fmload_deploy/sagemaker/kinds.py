"""How each SageMaker resource is found, waited for and deleted, given no more than its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload_deploy.account import client_for
from fmload_deploy.aws import described, explained, gone, poll_s
from fmload_deploy.base import Context
from fmload_deploy.resource import Resource
from fmload_deploy.wait import wait_for

_DELETE_LIMIT_S = 1800.0
_MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_LOG_EVENTS = 20


class _Named:
    """A SageMaker resource with a describe and a delete call that take its name."""

    noun: ClassVar[str]  # of the calls: describe_<noun>
    argument: ClassVar[str]
    status: ClassVar[str | None] = None  # the key of its status, where it has one

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        return None if self.describe(resource, context) is None else {}

    def describe(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        """The answer of its describe call; None when it does not exist."""
        client = client_for(resource, context, "sagemaker")
        with explained(f"looking for {resource}"):
            return described(getattr(client, f"describe_{self.noun}"), **{self.argument: resource.name})

    def delete(self, resource: Resource, context: Context) -> None:
        if self.status is not None and self._settle(resource, context) is None:
            return
        client = client_for(resource, context, "sagemaker")
        with explained(f"deleting {resource}"):
            try:
                getattr(client, f"delete_{self.noun}")(**{self.argument: resource.name})
            except ClientError as error:
                if not gone(error):
                    raise
        self._wait_gone(resource, context)

    def _settle(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        """Wait until it is not in the middle of something, which SageMaker refuses to interrupt; None when gone."""
        def look() -> tuple[Mapping[str, Any] | None] | None:
            answer = self.describe(resource, context)
            moving = answer is not None and answer[self.status or ""] in _MOVING
            return None if moving else (answer,)
        return wait_for(f"{resource} to settle", look, context, _DELETE_LIMIT_S,
                        self._poll_s(resource, context))[0]

    def _wait_gone(self, resource: Resource, context: Context) -> None:
        wait_for(f"{resource} to go", lambda: True if self.describe(resource, context) is None else None, context,
                 _DELETE_LIMIT_S, self._poll_s(resource, context))

    def _poll_s(self, resource: Resource, context: Context) -> float:
        return poll_s(client_for(resource, context, "sagemaker"))


class Model(_Named):
    noun, argument = "model", "ModelName"


class EndpointConfig(_Named):
    noun, argument = "endpoint_config", "EndpointConfigName"


class Endpoint(_Named):
    noun, argument, status = "endpoint", "EndpointName", "EndpointStatus"


class InferenceComponent(_Named):
    noun, argument, status = "inference_component", "InferenceComponentName", "InferenceComponentStatus"


_KINDS: dict[str, type[_Named]] = {"sagemaker-endpoint": Endpoint, "sagemaker-inference-component": InferenceComponent}


def wait_in_service(resource: Resource, context: Context, limit_s: float) -> None:
    """Return once it serves. Raises FmloadError with SageMaker's reason and the container's last words if it fails."""
    kind = _KINDS[resource.kind]()

    def look() -> Mapping[str, Any] | None:
        answer = kind.describe(resource, context)
        if answer is None:
            raise FmloadError(f"{resource} has disappeared while it was being created")
        return None if answer[kind.status or ""] in _MOVING else answer

    answer = wait_for(f"{resource} to be in service", look, context, limit_s,
                      poll_s(client_for(resource, context, "sagemaker")),
                      hint="deploy.start_timeout is the limit; 'fmload deploy status' shows what exists")
    if answer[kind.status or ""] != "InService":
        raise FmloadError(f"{resource}: {answer[kind.status or '']}: {answer.get('FailureReason', 'no reason given')}"
                          + _log_tail(resource, context),
                          hint="the container's whole log is in CloudWatch, group " + _log_group(resource))


def _log_group(resource: Resource) -> str:
    place = "InferenceComponents" if resource.kind == "sagemaker-inference-component" else "Endpoints"
    return f"/aws/sagemaker/{place}/{resource.name}"


def _log_tail(resource: Resource, context: Context) -> str:
    """The last lines of the newest log stream; why there are none is said, for the failure itself matters more."""
    logs, group = client_for(resource, context, "logs"), _log_group(resource)
    try:
        streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True,
                                            limit=1)["logStreams"]
        events = logs.get_log_events(logGroupName=group, logStreamName=streams[0]["logStreamName"],
                                     limit=_LOG_EVENTS)["events"] if streams else []
    except ClientError as error:
        return f"\n    (no log: {error.response['Error'].get('Message', '')})"
    return "".join(f"\n    {event['message'].rstrip()}" for event in events) or "\n    (the log is empty)"
