"""Finding what runs left behind by their tags alone, and whose it is; for when the ledger is lost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from fmload.base.units import format_duration
from fmload.plugins import KINDS
from fmload_deploy.aws import Denied, explained
from fmload_deploy.base import Context, Kind
from fmload_deploy.ledger import NAME, Ledger
from fmload_deploy.owner import CREATED_TAG, HOST_TAG, LEASE_TAG, OWNER_TAG, REGION_TAG, UNKNOWN
from fmload_deploy.resource import IAM_PATH, RUN_TAG, Resource

# What an ARN is, in the order in which things are created; they are deleted in the opposite order.
_ARNS = (
    ("iam-role", r"arn:[^:]+:iam::\d*:role/(?:.+/)?(?P<name>[^/]+)$"),
    ("iam-instance-profile", r"arn:[^:]+:iam::\d*:instance-profile/(?:.+/)?(?P<name>[^/]+)$"),
    ("schedule-group", r"arn:[^:]+:scheduler:[^:]+:\d*:schedule-group/(?P<name>.+)$"),
    ("ec2-security-group", r"arn:[^:]+:ec2:[^:]+:\d*:security-group/(?P<id>.+)$"),
    ("ec2-instance", r"arn:[^:]+:ec2:[^:]+:\d*:instance/(?P<id>.+)$"),
    ("eks-nodegroup", r"arn:[^:]+:eks:[^:]+:\d*:nodegroup/(?P<cluster>[^/]+)/(?P<name>[^/]+)/"),
    ("s3-bucket", r"arn:[^:]+:s3:::(?P<name>fmload-[^/]+)$"),
    ("ssm-parameter", r"arn:[^:]+:ssm:[^:]+:\d*:parameter(?P<name>/fmload/.+)$"),
    ("s3-object", r"arn:[^:]+:s3:::(?P<name>[^/]+/.+)$"),
    ("sagemaker-model", r"arn:[^:]+:sagemaker:[^:]+:\d*:model/(?P<name>.+)$"),
    ("sagemaker-endpoint-config", r"arn:[^:]+:sagemaker:[^:]+:\d*:endpoint-config/(?P<name>.+)$"),
    ("sagemaker-endpoint", r"arn:[^:]+:sagemaker:[^:]+:\d*:endpoint/(?P<name>.+)$"),
    ("sagemaker-inference-component", r"arn:[^:]+:sagemaker:[^:]+:\d*:inference-component/(?P<name>.+)$"),
    ("bedrock-provisioned-throughput", r"arn:[^:]+:bedrock:[^:]+:\d*:provisioned-model/(?P<id>.+)$"),
)
_ORDER = [kind for kind, _ in _ARNS]
_PAID = ("ec2-instance", "eks-nodegroup", "sagemaker-endpoint", "bedrock-provisioned-throughput")
_S3_PREFIX = "fmload/"
Tagged = tuple[Resource, Mapping[str, str]]


@dataclass(slots=True)
class Run:
    """What exists of a run, and what its tags say: whose it is, on which host, since when, wanted until when.

    Times are seconds since 1970; `lease_until` and `created` are None for runs without such tags.
    """

    run_id: str
    owner: str | None = None
    host: str | None = None
    created: float | None = None
    lease_until: float | None = None
    renewed_until: float | None = None  # of what is paid for, whose lease is renewed
    resources: list[Resource] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Whether its lease lasts: somebody renews it, or has kept it on purpose."""
        return (self.wanted_until or 0.0) > time.time()

    @property
    def wanted_until(self) -> float | None:
        """The end of its lease: of what is paid for, where there is such a thing yet."""
        return self.renewed_until if self.renewed_until is not None else self.lease_until

    def line(self) -> str:
        """The run for people: owner, host, age and lease."""
        now = time.time()
        age = "of unknown age" if self.created is None else f"{format_duration(max(0.0, now - self.created))} old"
        until = self.wanted_until
        lease = ("no lease" if until is None else
                 f"live: its lease lasts {format_duration(until - now)}" if self.live else
                 f"its lease ended {format_duration(now - until)} ago")
        return (f"{self.run_id}: of {self.owner or 'an unknown owner'} on {self.host or 'an unknown host'}, {age}, "
                f"{lease}")

    def _learn(self, kind: str, tags: Mapping[str, str]) -> None:
        self.owner = self.owner or tags.get(OWNER_TAG)
        self.host = self.host or tags.get(HOST_TAG)
        created, until = _instant(tags.get(CREATED_TAG)), tags.get(LEASE_TAG, "")
        if created is not None:
            self.created = min(created, self.created or created)
        if until.isdigit():
            self.lease_until = max(float(until), self.lease_until or 0.0)
            if kind in _PAID:
                self.renewed_until = max(float(until), self.renewed_until or 0.0)


def found(context: Context, run_id: str | None, endpoint_url: str | None = None) -> dict[str, Run]:
    """What bears the tag of a run (of any run without `run_id`) in the context's region and still exists, by run.

    What the credentials may not look at is left out, and said.
    """
    runs: dict[str, Run] = {}
    for resource, tags in _visible(context, _tagged(context, run_id, endpoint_url)):
        run = runs.setdefault(tags[RUN_TAG], Run(tags[RUN_TAG]))
        run._learn(resource.kind, tags)
        if resource.key not in {known.key for known in run.resources}:
            run.resources.append(resource)
    for run in runs.values():
        run.resources.sort(key=lambda resource: _ORDER.index(resource.kind))
    return runs


def _visible(context: Context, tagged: Iterator[Tagged]) -> Iterator[Tagged]:
    """What exists; in the end, it is said of which kinds and runs the credentials may not know that."""
    unseen: dict[str, tuple[str, set[str]]] = {}
    for resource, tags in tagged:
        kind: Kind = KINDS.load(resource.kind)()
        try:
            if kind.find(resource, context) is not None:
                yield resource, tags
        except Denied as error:
            unseen.setdefault(resource.kind, (error.message, set()))[1].add(tags[RUN_TAG])
    for name, (words, of_runs) in unseen.items():
        context.say(f"not looked at: {name} of {', '.join(sorted(of_runs))}; {words}")


def removable(runs: Mapping[str, Run], me: str, named: Sequence[str], owners: Sequence[str]) -> dict[str, Run]:
    """The runs that a sweep may delete: those `named`; else, of `me` and of `owners` (`all`: everybody), what is not
    live. A run without an owner's tag is nobody's: it must be named. So must all, where AWS does not say who `me` is:
    a login alone is no proof, it is `root` in every container."""
    whose = {*owners} if not me or me.endswith(UNKNOWN) else {*owners, me}
    return {run_id: run for run_id, run in runs.items()
            if run_id in named or (not named and not run.live and (run.owner in whose or "all" in owners))}


def ledger_of(folder: Path, run_id: str, resources: Sequence[Resource]) -> Ledger:
    """A new ledger with what was found, so that `down` can remove it and the removal is on record."""
    ledger = Ledger.begin(folder / run_id / NAME, run_id, run_id)
    known = {entry.resource.key for entry in ledger.entries() if entry.up}
    for resource in resources:
        if resource.key not in known:
            ledger.write("created", resource, run_id)
    return ledger


def _tagged(context: Context, run_id: str | None, endpoint_url: str | None) -> Iterator[Tagged]:
    wanted = {"Key": RUN_TAG, **({"Values": [run_id]} if run_id else {})}
    client = context.aws.client("resourcegroupstaggingapi", context.region, endpoint_url)
    detail = {"endpoint_url": endpoint_url} if endpoint_url else {}
    with explained("looking for tagged resources"):
        for page in client.get_paginator("get_resources").paginate(TagFilters=[wanted]):
            for mapping in page["ResourceTagMappingList"]:
                yield from _resource(mapping["ResourceARN"], _tag_map(mapping["Tags"]), context.region, detail)
        yield from _iam(context, run_id, endpoint_url, detail)
        yield from _schedules(context, run_id, endpoint_url, detail)
    yield from _objects(context, run_id, endpoint_url, detail)


def _resource(arn: str, tags: dict[str, str], region: str | None, detail: dict[str, Any]) -> Iterator[Tagged]:
    for kind, pattern in _ARNS:
        match = re.match(pattern, arn)
        if match is not None:
            parts = match.groupdict()
            name = tags.get("fmload:resource") or parts.get("name") or parts["id"]
            yield Resource(kind, name, region, detail={**detail, **parts, "arn": arn}), tags
            return


def _iam(context: Context, run_id: str | None, endpoint_url: str | None, detail: dict[str, Any]) -> Iterator[Tagged]:
    """Roles are not in the tagging API, and of no region: ours lie under a path of their own and say for which.

    Those for other regions are left alone: what uses them is not in sight here.
    """
    iam = context.aws.client("iam", context.region, endpoint_url)
    for page in iam.get_paginator("list_roles").paginate(PathPrefix=IAM_PATH):
        for role in page["Roles"]:
            tags = _tag_map(iam.list_role_tags(RoleName=role["RoleName"])["Tags"])
            if _wanted(tags, run_id) and tags.get(REGION_TAG, context.region) == context.region:
                resource = Resource("iam-role", role["RoleName"], context.region, detail=detail)
                yield resource, tags
                yield replace(resource, kind="iam-instance-profile"), tags


def _schedules(context: Context, run_id: str | None, endpoint_url: str | None,
               detail: dict[str, Any]) -> Iterator[Tagged]:
    scheduler = context.aws.client("scheduler", context.region, endpoint_url)
    for page in scheduler.get_paginator("list_schedule_groups").paginate(NamePrefix="fmload-"):
        for group in page["ScheduleGroups"]:
            tags = _tag_map(scheduler.list_tags_for_resource(ResourceArn=group["Arn"])["Tags"])
            if _wanted(tags, run_id):
                yield Resource("schedule-group", group["Name"], context.region,
                               detail={**detail, "arn": group["Arn"]}), tags


def _objects(context: Context, run_id: str | None, endpoint_url: str | None,
             detail: dict[str, Any]) -> Iterator[Tagged]:
    """Objects are not in the tagging API either: ours lie under a prefix of their own, in the region's buckets."""
    s3 = context.aws.client("s3", context.region, endpoint_url)
    try:
        buckets = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]
                   if bucket.get("BucketRegion", context.region) == context.region]
    except ClientError as error:
        context.say(f"objects in S3 were not looked for: {error}")
        return
    for bucket in buckets:
        try:
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_S3_PREFIX):
                for one in page.get("Contents", ()):
                    tags = _tag_map(s3.get_object_tagging(Bucket=bucket, Key=one["Key"])["TagSet"])
                    if _wanted(tags, run_id):
                        yield Resource("s3-object", f"{bucket}/{one['Key']}", context.region, detail=detail), tags
        except ClientError:  # another region's bucket, or one that nobody may look into: the run could not have used it
            continue


def _wanted(tags: Mapping[str, str], run_id: str | None) -> bool:
    return RUN_TAG in tags and run_id in (None, tags[RUN_TAG])


def _tag_map(tags: list[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def _instant(text: str | None) -> float | None:
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
