"""Other containers on an instance that runs already: by Systems Manager's Run Command, without a port or a key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botocore.exceptions import ClientError

from fmload_deploy.account import client_for
from fmload_deploy.aws import code, explained, poll_s
from fmload_deploy.base import Context
from fmload_deploy.ec2.user_data import Script
from fmload_deploy.resource import Resource
from fmload_deploy.start_failure import failed_start
from fmload_deploy.wait import wait_for

SERVING = "serving"  # of an instance in the ledger: the digest of what it serves
_CHANGING = "changing"
_AGENT_LIMIT_S = 300.0  # until the instance's agent has told Systems Manager of itself
_ENDED = ("Success", "Cancelled", "TimedOut", "Failed", "Cancelling")


def serve_anew(instance: Resource, script: Script, context: Context, endpoint: str, limit_s: float) -> Resource:
    """The instance, once the script's containers run there in the place of the former ones.

    What it serves is unknown in the ledger meanwhile, so that whoever finds it after a crash asks again. Raises
    FmloadError where the command is refused, or fails, with its output.
    """
    context.say(f"{endpoint}: {instance} stands; other containers are started on it")
    context.ledger.write("created", _serving(instance, _CHANGING), endpoint)
    ssm = client_for(instance, context, "ssm")
    command = wait_for(f"{endpoint}: the agent of {instance}", lambda: _sent(ssm, instance, script, limit_s), context,
                       _AGENT_LIMIT_S, poll_s(ssm), hint="an instance profile of your own must allow Run Command: "
                       "AmazonSSMManagedInstanceCore")
    done = wait_for(f"{endpoint}: containers on {instance}", lambda: _ended(ssm, instance, command), context, limit_s,
                    poll_s(ssm))
    if done["Status"] != "Success":
        said = done.get("StandardOutputContent", "") + done.get("StandardErrorContent", "")
        raise failed_start(str(instance), f"its containers were not started: {done['Status']}",
                           {f"{instance.name}-serve-anew.log": said}, context.logs)
    made = _serving(instance, script.serves)
    context.ledger.write("created", made, endpoint)
    return made


def _serving(instance: Resource, what: str) -> Resource:
    return replace(instance, detail={**instance.detail, SERVING: what})


def _sent(ssm: Any, instance: Resource, script: Script, limit_s: float) -> str | None:
    """The command's id; None while the instance is not known to Systems Manager."""
    with explained(f"sending a command to {instance}"):
        try:
            answer = ssm.send_command(
                InstanceIds=[instance.detail["id"]], DocumentName="AWS-RunShellScript", Comment="fmload: serve anew",
                Parameters={"commands": script.anew().splitlines(), "executionTimeout": [str(int(limit_s))]})
        except ClientError as error:
            if code(error) == "InvalidInstanceId":
                return None
            raise
    return str(answer["Command"]["CommandId"])


def _ended(ssm: Any, instance: Resource, command: str) -> dict[str, Any] | None:
    with explained(f"asking for the command on {instance}"):
        try:
            found: dict[str, Any] = ssm.get_command_invocation(CommandId=command, InstanceId=instance.detail["id"])
        except ClientError as error:
            if code(error) == "InvocationDoesNotExist":
                return None
            raise
    return found if found["Status"] in _ENDED else None
