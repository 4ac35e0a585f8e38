"""The smallest IAM policies, made from the calls that the code makes: the table below holds every one of them.

A test reads the sources and fails for a call that is not in the table, and for one that nobody makes; another runs each
target in an emulated account that allows what the policy says and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name

from fmload.config.schema import RunFile
from fmload_deploy.account import partition, region_of


@dataclass(frozen=True, slots=True)
class Grant:
    """Calls of a boto3 client on resources of one pattern; `also` are actions that AWS asks for beside (tags, roles).

    `{partition}`, `{region}` and `{account}` in `resource` are filled in; `own` allows what bears a run's tag only.
    """

    service: str
    calls: tuple[str, ...]
    resource: str = "*"
    also: tuple[str, ...] = ()
    own: bool = False


_SAGEMAKER = "arn:{partition}:sagemaker:{region}:{account}:*/fmload-*"
_ROLES = "arn:{partition}:iam::{account}:role/fmload/*"
_PROFILES = "arn:{partition}:iam::{account}:instance-profile/fmload/*"
_GROUPS = "arn:{partition}:scheduler:{region}:{account}:schedule-group/fmload-*"
_SCHEDULES = "arn:{partition}:scheduler:{region}:{account}:schedule/fmload-*"

# Of hosts on EC2, be they endpoints or a fleet's.
_LOOKED_UP = ("describe_instances", "describe_images", "describe_security_groups", "describe_subnets",
              "describe_instance_type_offerings", "get_console_output")
_IMAGES = Grant("ssm", ("get_parameter",), "arn:{partition}:ssm:{region}::parameter/aws/service/*")
_ROLE = Grant("iam", ("create_role", "get_role", "delete_role", "put_role_policy", "list_role_policies",
                      "delete_role_policy"), _ROLES, ("iam:TagRole", "iam:PassRole"))
_HOSTS = (
    Grant("ec2", ("run_instances", "create_security_group", "create_tags")),
    Grant("ec2", ("terminate_instances", "delete_security_group", "authorize_security_group_ingress"), own=True),
    _ROLE,
    Grant("iam", ("create_instance_profile", "get_instance_profile", "add_role_to_instance_profile",
                  "remove_role_from_instance_profile", "delete_instance_profile"), _PROFILES,
          ("iam:TagInstanceProfile",)))

GRANTS: dict[str, tuple[Grant, ...]] = {
    "sagemaker": (
        Grant("sagemaker", ("create_model", "describe_model", "delete_model", "create_endpoint_config",
                            "describe_endpoint_config", "delete_endpoint_config", "create_endpoint",
                            "describe_endpoint", "update_endpoint", "delete_endpoint", "create_inference_component",
                            "describe_inference_component",
                            "delete_inference_component", "add_tags"), _SAGEMAKER,
              ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream")),
        Grant("sagemaker", ("describe_hub_content",)),
        Grant("logs", ("describe_log_streams", "get_log_events"),
              "arn:{partition}:logs:{region}:{account}:log-group:/aws/sagemaker/*"),
        Grant("s3", ("put_object", "head_object", "delete_object"), "arn:{partition}:s3:::*/fmload/*",
              ("s3:PutObjectTagging",)),
        Grant("iam", (), "arn:{partition}:iam::{account}:role/*", ("iam:PassRole",)),
    ),
    "ec2": (
        Grant("ec2", _LOOKED_UP),
        _IMAGES,
        Grant("ssm", ("send_command",), "arn:{partition}:ssm:{region}::document/AWS-RunShellScript"),
        Grant("ssm", ("send_command",), "arn:{partition}:ec2:{region}:{account}:instance/*", own=True),
        Grant("ssm", ("get_command_invocation",)),
        *_HOSTS,
    ),
    "eks": (
        Grant("eks", ("describe_cluster", "create_nodegroup"), "arn:{partition}:eks:{region}:{account}:cluster/*"),
        Grant("eks", ("describe_nodegroup", "delete_nodegroup", "tag_resource"),
              "arn:{partition}:eks:{region}:{account}:nodegroup/*/fmload-*"),
        Grant("iam", (), "arn:{partition}:iam::{account}:role/*", ("iam:PassRole", "iam:GetRole")),
    ),
    "bedrock": (
        Grant("bedrock", ("get_foundation_model_availability", "create_provisioned_model_throughput",
                          "get_provisioned_model_throughput", "delete_provisioned_model_throughput", "tag_resource"),
              also=("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")),
    ),
    "fleet": (
        Grant("s3", ("create_bucket", "put_bucket_tagging", "put_public_access_block", "head_bucket", "delete_bucket",
                     "list_objects_v2", "get_object", "put_object", "delete_object"), "arn:{partition}:s3:::fmload-*"),
        Grant("ssm", ("put_parameter", "delete_parameter"), "arn:{partition}:ssm:{region}:{account}:parameter/fmload/*",
              ("ssm:AddTagsToResource",)),
        Grant("ssm", ("describe_parameters",)),
        _IMAGES,
        Grant("ec2", (*_LOOKED_UP, "describe_instance_types")),
        *_HOSTS,
    ),
    "local": (),
    "lease": (
        _ROLE,
        Grant("scheduler", ("create_schedule_group", "get_schedule_group", "delete_schedule_group"), _GROUPS,
              ("scheduler:TagResource",)),
        Grant("scheduler", ("create_schedule", "get_schedule", "update_schedule"), _SCHEDULES,
              ("scheduler:DeleteSchedule",)),
        Grant("scheduler", ("list_schedules",)),
    ),
    "check": (
        Grant("sts", ("get_caller_identity",)),
        Grant("service-quotas", ("list_service_quotas", "get_service_quota")),
        Grant("ec2", ("describe_instance_type_offerings",)),
        Grant("iam", ("get_role", "simulate_principal_policy")),
        Grant("secretsmanager", ("describe_secret",)),
    ),
    "sweep": (
        Grant("resourcegroupstaggingapi", ("get_resources",)),
        Grant("iam", ("list_roles", "list_role_tags")),
        Grant("iam", ("get_instance_profile",), _PROFILES),
        Grant("scheduler", ("list_schedule_groups", "list_tags_for_resource")),
        Grant("s3", ("list_buckets", "list_objects_v2", "get_object_tagging")),
    ),
}
# What the load alone needs, by protocol, at endpoints that are there already.
REQUESTS: dict[str, tuple[Grant, ...]] = {
    "sagemaker": (Grant("sagemaker", (), "arn:{partition}:sagemaker:{region}:{account}:endpoint/*",
                        ("sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointWithResponseStream")),),
    "bedrock": (Grant("bedrock", (), also=("bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream")),),
}
OWN_TAG = "aws:ResourceTag/fmload:run"
_LEASED = ("sagemaker", "eks", "bedrock")
_PREFIXES = {"service-quotas": "servicequotas", "resourcegroupstaggingapi": "tag"}
_OTHERWISE = {("s3", "head_object"): "s3:GetObject", ("s3", "list_objects_v2"): "s3:ListBucket",
              ("s3", "list_buckets"): "s3:ListAllMyBuckets", ("s3", "head_bucket"): "s3:ListBucket",
              ("s3", "put_public_access_block"): "s3:PutBucketPublicAccessBlock"}


def action(service: str, call: str) -> str:
    """The IAM action of a client's call: `sagemaker:CreateModel` of `create_model`."""
    known = _OTHERWISE.get((service, call))
    return known or f"{_PREFIXES.get(service, service)}:{_operations(service)[call]}"


def actions_of(target: str) -> list[str]:
    """Every action that a target needs, its lease, check and sweep included; sorted."""
    return sorted({name for grant in _grants([target]) for name in _actions(grant)})


def policy(run_file: RunFile, account: str = "*") -> dict[str, Any]:
    """The policy document for the targets of a run file, and for the requests to what it does not deploy."""
    targets = sorted({spec.deploy.target for spec in run_file.endpoints if spec.deploy})
    asked = sorted({spec.protocol for spec in run_file.endpoints if not spec.deploy and spec.protocol in REQUESTS})
    regions = sorted({region_of(spec, run_file.region) or "*" for spec in run_file.endpoints
                      if spec.deploy or spec.protocol in REQUESTS})
    return document(targets, regions or ["*"], account, asked)


def document(targets: Sequence[str], regions: Sequence[str], account: str = "*",
             asked: Sequence[str] = ()) -> dict[str, Any]:
    """The policy for targets in regions: one statement for what may be done with the same things. `asked`: protocols of
    endpoints that are there already."""
    statements: dict[tuple[tuple[str, ...], bool], set[str]] = {}
    for grant in (*_grants(targets), *(grant for protocol in asked for grant in REQUESTS[protocol])):
        resources = tuple(sorted({filled(grant.resource, region, account) for region in regions}))
        statements.setdefault((resources, grant.own), set()).update(_actions(grant))
    return {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": sorted(actions), "Resource": list(resources),
         **({"Condition": {"StringLike": {OWN_TAG: "*"}}} if own else {})}
        for (resources, own), actions in statements.items()]}


def _grants(targets: Sequence[str]) -> Iterator[Grant]:
    leased = [target for target in targets if target in _LEASED]
    for name in (*targets, *(["lease"] if leased else []), *(["check", "sweep"] if targets else [])):
        yield from GRANTS.get(name, ())


def _actions(grant: Grant) -> list[str]:
    tags = {"create_model": "sagemaker:AddTags", "create_nodegroup": "eks:TagResource",
            "create_provisioned_model_throughput": "bedrock:TagResource"}
    return [*(action(grant.service, call) for call in grant.calls), *grant.also,
            *(tag for call, tag in tags.items() if call in grant.calls)]


def filled(resource: str, region: str, account: str) -> str:
    """A grant's resource in a region and an account (`*`: any)."""
    return resource.format(partition=partition(None if region == "*" else region), region=region, account=account)


@cache
def _operations(service: str) -> dict[str, str]:
    """Operation names by the client's method names."""
    model = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): name for name in model.operation_names}
