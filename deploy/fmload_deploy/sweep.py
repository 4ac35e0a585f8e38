"""Finding what runs left behind by their tags alone, for when the ledger is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fmload.plugins import KINDS
from fmload_deploy.aws import explained
from fmload_deploy.base import Context, Kind
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.resource import RUN_TAG, Resource

# What an ARN is, in the order in which things are created; they are deleted in the opposite order.
_ARNS = (
    ("iam-role", r"arn:[^:]+:iam::\d*:role/(?:.+/)?(?P<name>[^/]+)$"),
    ("iam-instance-profile", r"arn:[^:]+:iam::\d*:instance-profile/(?:.+/)?(?P<name>[^/]+)$"),
    ("ec2-security-group", r"arn:[^:]+:ec2:[^:]+:\d*:security-group/(?P<id>.+)$"),
    ("ec2-instance", r"arn:[^:]+:ec2:[^:]+:\d*:instance/(?P<id>.+)$"),
    ("eks-nodegroup", r"arn:[^:]+:eks:[^:]+:\d*:nodegroup/(?P<cluster>[^/]+)/(?P<name>[^/]+)/"),
    ("s3-object", r"arn:[^:]+:s3:::(?P<name>[^/]+/.+)$"),
    ("sagemaker-model", r"arn:[^:]+:sagemaker:[^:]+:\d*:model/(?P<name>.+)$"),
    ("sagemaker-endpoint-config", r"arn:[^:]+:sagemaker:[^:]+:\d*:endpoint-config/(?P<name>.+)$"),
    ("sagemaker-endpoint", r"arn:[^:]+:sagemaker:[^:]+:\d*:endpoint/(?P<name>.+)$"),
    ("sagemaker-inference-component", r"arn:[^:]+:sagemaker:[^:]+:\d*:inference-component/(?P<name>.+)$"),
    ("bedrock-provisioned-throughput", r"arn:[^:]+:bedrock:[^:]+:\d*:provisioned-model/(?P<id>.+)$"),
)
_ORDER = [kind for kind, _ in _ARNS]


def found(context: Context, run_id: str | None, endpoint_url: str | None = None) -> dict[str, list[Resource]]:
    """What bears the tag of a run (of any run without `run_id`) in the context's region and still exists, by run."""
    runs: dict[str, list[Resource]] = {}
    for owner, resource in _tagged(context, run_id, endpoint_url):
        kind: Kind = KINDS.load(resource.kind)()
        if kind.find(resource, context) is not None:
            runs.setdefault(owner, []).append(resource)
    for resources in runs.values():
        resources.sort(key=lambda resource: _ORDER.index(resource.kind))
    return runs


def ledger_of(folder: Path, run_id: str, resources: list[Resource]) -> Ledger:
    """A new ledger with what was found, so that `down` can remove it and the removal is on record."""
    ledger = Ledger.begin(folder / run_id / NAME, run_id, run_id)
    known = {entry.resource.key for entry in ledger.entries() if entry.up}
    for resource in resources:
        if resource.key not in known:
            ledger.write("created", resource, run_id)
    return ledger


def _tagged(context: Context, run_id: str | None, endpoint_url: str | None) -> Iterator[tuple[str, Resource]]:
    wanted = {"Key": RUN_TAG, **({"Values": [run_id]} if run_id else {})}
    client = context.aws.client("resourcegroupstaggingapi", context.region, endpoint_url)
    detail = {"endpoint_url": endpoint_url} if endpoint_url else {}
    with explained("looking for tagged resources"):
        for page in client.get_paginator("get_resources").paginate(TagFilters=[wanted]):
            for mapping in page["ResourceTagMappingList"]:
                yield from _resource(mapping["ResourceARN"], _tag_map(mapping["Tags"]), context.region, detail)
        yield from _iam(context, run_id, endpoint_url, detail)


def _resource(arn: str, tags: dict[str, str], region: str | None,
              detail: dict[str, Any]) -> Iterator[tuple[str, Resource]]:
    for kind, pattern in _ARNS:
        match = re.match(pattern, arn)
        if match is not None:
            parts = match.groupdict()
            name = tags.get("fmload:resource") or parts.get("name") or parts["id"]
            yield tags[RUN_TAG], Resource(kind, name, region, detail={**detail, **parts, "arn": arn})
            return


def _iam(context: Context, run_id: str | None, endpoint_url: str | None,
         detail: dict[str, Any]) -> Iterator[tuple[str, Resource]]:
    """Roles are not in the tagging API; ours lie under a path of their own."""
    iam = context.aws.client("iam", context.region, endpoint_url)
    for page in iam.get_paginator("list_roles").paginate(PathPrefix="/fmload/"):
        for role in page["Roles"]:
            tags = _tag_map(iam.list_role_tags(RoleName=role["RoleName"])["Tags"])
            if RUN_TAG in tags and run_id in (None, tags[RUN_TAG]):
                role_resource = Resource("iam-role", role["RoleName"], context.region, detail=detail)
                yield tags[RUN_TAG], role_resource
                yield tags[RUN_TAG], replace(role_resource, kind="iam-instance-profile")


def _tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}
