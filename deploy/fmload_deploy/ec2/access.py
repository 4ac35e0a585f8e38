"""Who may reach an instance, and what the instance may do: security group, role and instance profile.

Each is made by one call and completed by another; the completing calls may be made again, after a crash in between.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import urllib.request
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload_deploy.account import partition, tags
from fmload_deploy.aws import code
from fmload_deploy.base import Context
from fmload_deploy.resource import IAM_PATH, Resource

_AWS_OWN = "169.254.169.253"  # the VPC's resolver: routed where private addresses are
_TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
_PULL = {"Effect": "Allow", "Resource": "*", "Action": [
    "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]}

_SESSIONS = {"Effect": "Allow", "Resource": "*", "Action": [
    "ssm:UpdateInstanceInformation", "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel", "ec2messages:GetMessages",
    "ec2messages:AcknowledgeMessage", "ec2messages:SendReply", "ec2messages:FailMessage", "ec2messages:GetEndpoint"]}


def create_role(iam: Any, resource: Resource, context: Context) -> None:
    """A role for EC2 instances, without permissions yet."""
    iam.create_role(RoleName=resource.name, Path=IAM_PATH, AssumeRolePolicyDocument=json.dumps(_TRUST),
                    Tags=tags(context, resource))


def permit(iam: Any, role: Resource, secret: str | None, private_image: bool, ssm: bool = False,
           artifacts: str | None = None) -> None:
    """Let the role read one secret and one folder in S3, pull images from ECR and take Systems Manager's calls, as far
    as it needs to."""
    statements: list[dict[str, Any]] = [*([_PULL] if private_image else []), *([_SESSIONS] if ssm else [])]
    if secret:
        arn = secret if secret.startswith("arn:") else (
            f"arn:{partition(role.region)}:secretsmanager:{role.region or '*'}:*:secret:{secret}-*")
        statements.append({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn})
    if artifacts:
        bucket, _, prefix = artifacts.removeprefix("s3://").partition("/")
        where = f"arn:{partition(role.region)}:s3:::{bucket}"
        statements += [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{where}/{prefix}*"},
                       {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": where}]
    iam.put_role_policy(RoleName=role.name, PolicyName="serve",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def create_profile(iam: Any, resource: Resource, context: Context) -> None:
    """An instance profile, without its role yet."""
    iam.create_instance_profile(InstanceProfileName=resource.name, Path=IAM_PATH, Tags=tags(context, resource))


def fill_profile(iam: Any, profile: Resource) -> None:
    """Put the role of the same name into the profile."""
    held = iam.get_instance_profile(InstanceProfileName=profile.name)["InstanceProfile"]["Roles"]
    if not held:
        iam.add_role_to_instance_profile(InstanceProfileName=profile.name, RoleName=profile.name)


def create_group(ec2: Any, resource: Resource, context: Context, subnet: str | None) -> dict[str, str]:
    """A security group of the subnet's VPC (of the default one without), closed as yet; its `id`."""
    vpc = {"VpcId": ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]} if subnet else {}
    group = ec2.create_security_group(
        GroupName=resource.name, Description=f"fmload run {context.run_id}", **vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": tags(context, resource)}])
    return {"id": group["GroupId"]}


def open_group(ec2: Any, group: Resource, ports: Sequence[int], cidr: str) -> None:
    """Let `cidr`, and nobody else, connect to the ports."""
    for port in ports:
        try:
            ec2.authorize_security_group_ingress(GroupId=group.detail["id"], IpPermissions=[{
                "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
                "IpRanges": [{"CidrIp": cidr, "Description": "the load generators"}]}])
        except ClientError as error:
            if code(error) != "InvalidPermission.Duplicate":
                raise


def open_to_itself(ec2: Any, group: Resource, port: int) -> None:
    """Let the members of the group, and nobody else, connect to each other's port."""
    try:
        ec2.authorize_security_group_ingress(GroupId=group.detail["id"], IpPermissions=[{
            "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
            "UserIdGroupPairs": [{"GroupId": group.detail["id"], "Description": "the fleet's workers"}]}])
    except ClientError as error:
        if code(error) != "InvalidPermission.Duplicate":
            raise


def my_private_address() -> str:
    """This machine's address in its own network. Raises FmloadError when that is not a private one."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((_AWS_OWN, 53))  # a datagram socket: nothing is sent
            address = ipaddress.ip_address(probe.getsockname()[0])
    except OSError:
        address = ipaddress.ip_address("0.0.0.0")
    if not address.is_private or address.is_loopback or address.is_unspecified:
        raise FmloadError(f"address: private, and this machine's own address ({address}) is not a private one",
                          hint="write deploy.allow: the CIDR of the load generators in the VPC")
    return str(address)


def my_public_address() -> str:
    """The address from which AWS sees this machine. Raises FmloadError when it cannot be asked."""
    try:
        with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=10) as answer:
            return str(answer.read().decode().strip())
    except OSError as error:
        raise FmloadError(f"cannot find this machine's public address: {error}",
                          hint="write deploy.allow: the CIDR of the load generators") from error
