"""How each SageMaker resource is found, waited for and deleted, given no more than its name."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload_deploy.account import client_for
from fmload_deploy.aws import described, explained, gone, hint, lag_s, poll_s
from fmload_deploy.base import Context
from fmload_deploy.owner import LEASE_TAG
from fmload_deploy.resource import Resource
from fmload_deploy.start_failure import failed_start, known_cause
from fmload_deploy.wait import wait_for

_DELETE_LIMIT_S = 1800.0
_MOVING = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_LOG_EVENTS, _LOG_STREAMS = 1000, 5


class _Named:
    """A SageMaker resource with a describe and a delete call that take its name."""

    noun: ClassVar[str]  # of the calls: describe_<noun>
    argument: ClassVar[str]
    status: ClassVar[str | None] = None  # the key of its status, where it has one

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        found = self.describe(resource, context)
        return None if found is None else {"arn": found[f"{self.argument.removesuffix('Name')}Arn"]}

    def describe(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        """The answer of its describe call; None when it does not exist."""
        client = client_for(resource, context, "sagemaker")
        with explained(f"looking for {resource}"):
            return described(getattr(client, f"describe_{self.noun}"), **{self.argument: resource.name})

    def delete(self, resource: Resource, context: Context) -> None:
        if self.status is not None and self.settle(resource, context) is None:
            return
        client = client_for(resource, context, "sagemaker")
        with explained(f"deleting {resource}"):
            try:
                getattr(client, f"delete_{self.noun}")(**{self.argument: resource.name})
            except ClientError as error:
                if not gone(error):
                    raise
        self._wait_gone(resource, context)

    def mark(self, resource: Resource, context: Context, lease_s: float) -> None:
        """Say in its tag that it is wanted for `lease_s` from now."""
        if self.status is not None and "arn" in resource.detail:
            with explained(f"marking {resource}"):
                client_for(resource, context, "sagemaker").add_tags(
                    ResourceArn=resource.detail["arn"],
                    Tags=[{"Key": LEASE_TAG, "Value": str(int(time.time() + lease_s))}])

    def settle(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
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

    def condition(self, resource: Resource, context: Context) -> Mapping[str, str]:
        """A status other than InService, and instances that are missing."""
        found = self.describe(resource, context)
        if found is None:
            return {"the endpoint": "is gone"}
        status = found["EndpointStatus"]
        told = {} if status == "InService" else {"the endpoint": f"is {status}: {found.get('FailureReason', '')}"}
        for variant in found.get("ProductionVariants") or ():
            now, wanted = variant.get("CurrentInstanceCount"), variant.get("DesiredInstanceCount")
            if now is not None and wanted is not None and now < wanted:
                told[f"variant {variant['VariantName']}"] = f"{now} of {wanted} instances serve"
        return told


class InferenceComponent(_Named):
    noun, argument, status = "inference_component", "InferenceComponentName", "InferenceComponentStatus"


_KINDS: dict[str, type[_Named]] = {"sagemaker-endpoint": Endpoint, "sagemaker-inference-component": InferenceComponent}


class NoCapacity(FmloadError):
    """SageMaker has not found the machines: the same may do later."""


def wait_in_service(resource: Resource, context: Context, limit_s: float, since_s: float = 0.0) -> None:
    """Return once it serves.

    Raises FmloadError, the container's log in hand, as soon as SageMaker or the log says that it has failed; NoCapacity
    when there are no machines for it. `since_s` (seconds since 1970): what the log said before is of no concern.
    """
    kind, start = _KINDS[resource.kind](), time.monotonic()
    lag = lag_s(resource.detail.get("endpoint_url"))

    def look() -> Mapping[str, Any] | None:
        answer = kind.describe(resource, context)
        if answer is None:
            if time.monotonic() - start <= lag:  # what was just created may be unknown for a while
                return None
            raise FmloadError(f"{resource} has disappeared while it was being created")
        if answer[kind.status or ""] not in _MOVING:
            return answer
        log = log_of(resource, context, since_s)
        if known_cause(log) is not None:
            raise failed_start(str(resource), "the container fails while it starts", {_file(resource): log},
                               context.logs)
        return None

    answer = wait_for(f"{resource} to be in service", look, context, limit_s,
                      poll_s(client_for(resource, context, "sagemaker")),
                      hint="deploy.start_timeout is the limit; 'fmload deploy status' shows what exists")
    if answer[kind.status or ""] != "InService":
        reason = f"{answer[kind.status or '']}: {answer.get('FailureReason', 'no reason given')}"
        if re.search(r"[Cc]apacity", reason):
            raise NoCapacity(f"{resource}: {reason}", hint=hint("InsufficientCapacity"))
        raise failed_start(str(resource), reason, {_file(resource): log_of(resource, context, since_s)}, context.logs)


def _file(resource: Resource) -> str:
    return f"{resource.name}-container.log"


def _log_group(resource: Resource) -> str:
    place = "InferenceComponents" if resource.kind == "sagemaker-inference-component" else "Endpoints"
    return f"/aws/sagemaker/{place}/{resource.name}"


def log_of(resource: Resource, context: Context, since_s: float = 0.0) -> str:
    """The end of every container's log, newest last; why there is none is said, for the failure itself matters more."""
    logs, group = client_for(resource, context, "logs"), _log_group(resource)
    try:
        streams = logs.describe_log_streams(logGroupName=group, orderBy="LastEventTime", descending=True,
                                            limit=_LOG_STREAMS)["logStreams"]
        events = [logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=False,
                                      startTime=int(since_s * 1000), limit=_LOG_EVENTS)["events"]
                  for stream in reversed(streams)]
    except ClientError as error:
        return f"(no log: {error.response['Error'].get('Message', '')})\n"
    return "".join(f"{event['message'].rstrip()}\n" for stream in events for event in stream)
