"""Who may reach an instance, and what the instance may do: security group, role and instance profile.

Each is made by one call and completed by another; the completing calls may be made again, after a crash in between.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload_deploy.account import tags
from fmload_deploy.aws import code
from fmload_deploy.base import Context
from fmload_deploy.resource import Resource

PATH = "/fmload/"
_TRUST = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
_PULL = {"Effect": "Allow", "Resource": "*", "Action": [
    "ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]}


def create_role(iam: Any, resource: Resource, context: Context) -> None:
    """A role for EC2 instances, without permissions yet."""
    iam.create_role(RoleName=resource.name, Path=PATH, AssumeRolePolicyDocument=json.dumps(_TRUST),
                    Tags=tags(context, resource))


def permit(iam: Any, role: Resource, secret: str | None, private_image: bool) -> None:
    """Let the role read one secret and pull images from ECR, as far as it needs to."""
    statements: list[dict[str, Any]] = [_PULL] if private_image else []
    if secret:
        arn = secret if secret.startswith("arn:") else f"arn:*:secretsmanager:*:*:secret:{secret}-*"
        statements.append({"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn})
    iam.put_role_policy(RoleName=role.name, PolicyName="serve",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statements}))


def create_profile(iam: Any, resource: Resource, context: Context) -> None:
    """An instance profile, without its role yet."""
    iam.create_instance_profile(InstanceProfileName=resource.name, Path=PATH, Tags=tags(context, resource))


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


def open_group(ec2: Any, group: Resource, port: int, cidr: str) -> None:
    """Let `cidr`, and nobody else, connect to the port."""
    try:
        ec2.authorize_security_group_ingress(GroupId=group.detail["id"], IpPermissions=[{
            "IpProtocol": "tcp", "FromPort": port, "ToPort": port,
            "IpRanges": [{"CidrIp": cidr, "Description": "the load generators"}]}])
    except ClientError as error:
        if code(error) != "InvalidPermission.Duplicate":
            raise


def my_public_address() -> str:
    """The address from which AWS sees this machine. Raises FmloadError when it cannot be asked."""
    try:
        with urllib.request.urlopen("https://checkip.amazonaws.com", timeout=10) as answer:
            return str(answer.read().decode().strip())
    except OSError as error:
        raise FmloadError(f"cannot find this machine's public address: {error}",
                          hint="write deploy.allow: the CIDR of the load generators") from error
