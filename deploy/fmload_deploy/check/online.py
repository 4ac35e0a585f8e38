"""The check that asks AWS, and changes nothing: credentials, offerings, quotas, permissions, and what is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from fmload.base.errors import FmloadError, first_line
from fmload.base.resources import table
from fmload.config.schema import EndpointSpec
from fmload_deploy.aws import Aws, gone
from fmload_deploy.check.rows import Row, State
from fmload_deploy.permissions import OWN_TAG, actions_of, document

# EC2's vCPU quotas, on demand and spot, by the beginning of the instance type (longest first).
_QUOTAS = (
    ("inf", "L-1945791B", "L-B5D1601B"), ("trn", "L-2C3B7624", "L-6B0D517C"), ("p6", "L-417A185B", "L-C4BD4855"),
    ("p5", "L-417A185B", "L-C4BD4855"), ("p", "L-417A185B", "L-7212CCBC"), ("g", "L-DB2E81BA", "L-3819A6DF"),
    ("", "L-1216C47A", "L-34B43A08"),
)


def online(spec: EndpointSpec, region: str | None, aws: Aws) -> Iterator[Row]:
    """The rows of one endpoint. What may not be asked is `unknown`, never an error."""
    assert spec.deploy is not None
    asking = _Asking(spec, region, aws)
    yield from asking.credentials()
    yield from room(spec, region, aws)
    yield from asking.named()
    yield from asking.permissions()


def room(spec: EndpointSpec, region: str | None, aws: Aws) -> Iterator[Row]:
    """Whether the region offers what is asked for, and the account may have as much of it."""
    assert spec.deploy is not None
    asking = _Asking(spec, region, aws)
    if spec.deploy.target == "ec2":
        yield from asking.ec2_room(spec.deploy.options.instance_type, spec.deploy.options.instance_count,
                                   spec.deploy.options.purchase)
    elif spec.deploy.target == "eks" and spec.deploy.options.node_group:
        group = spec.deploy.options.node_group
        yield from asking.ec2_room(group.instance_type, group.count,
                                   "spot" if group.capacity == "SPOT" else "on_demand")
    elif spec.deploy.target == "sagemaker":
        yield from asking.sagemaker_room(spec.deploy.options.instance_type, spec.deploy.options.instance_count)


class _Asking:
    """The questions about one endpoint."""

    def __init__(self, spec: EndpointSpec, region: str | None, aws: Aws) -> None:
        assert spec.deploy is not None
        self.spec, self.region, self.aws = spec, region, aws
        self.target, self.options = spec.deploy.target, spec.deploy.options

    def _row(self, what: str, state: State, detail: str, remedy: str = "") -> Row:
        return Row(self.spec.name, what, state, detail, remedy)

    def _asked(self, what: str, ask: Callable[[], Row]) -> Row:
        """The row, or that it could not be had."""
        try:
            return ask()
        except (ClientError, BotoCoreError, ResponseParserError, FmloadError) as error:
            return self._row(what, "unknown", f"could not be asked: {first_line(error)}")

    def _client(self, service: str) -> Any:
        return self.aws.client(service, self.region)

    def credentials(self) -> Iterator[Row]:
        def ask() -> Row:
            me = self._client("sts").get_caller_identity()
            return self._row("credentials", "ok", f"account {me['Account']}, {me['Arn'].rpartition(':')[2]}")
        yield self._asked("credentials", ask)

    def ec2_room(self, instance_type: str, count: int, purchase: str) -> Iterator[Row]:
        yield self._asked("offered", lambda: self._offered(instance_type))
        if purchase != "capacity_block":  # a reservation has no vCPU quota
            yield self._asked("quota", lambda: self._ec2_quota(instance_type, count, purchase == "spot"))

    def _offered(self, instance_type: str) -> Row:
        pages = self._client("ec2").get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}])
        zones = sorted(one["Location"] for page in pages for one in page["InstanceTypeOfferings"])
        if zones:
            return self._row("offered", "ok", f"{instance_type} in {', '.join(zones)}")
        return self._row("offered", "missing", f"{self.region} does not offer {instance_type}",
                         f"another region: aws ec2 describe-instance-type-offerings --filters "
                         f"Name=instance-type,Values={instance_type} --region …")

    def _ec2_quota(self, instance_type: str, count: int, spot: bool) -> Row:
        entry = table("accelerators.yml")["instances"].get(instance_type)
        code = next((on_spot if spot else on_demand) for start, on_demand, on_spot in _QUOTAS
                    if instance_type.startswith(start))
        quota = self._client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]
        if entry is None:
            return self._row("quota", "unknown", f"{quota['QuotaName']}: {quota['Value']:g} vCPUs; the table does not "
                             f"know how many {instance_type} has")
        return self._quota("ec2", code, quota, entry["vcpus"] * count, "vCPUs")

    def _quota(self, service: str, code: str, quota: Mapping[str, Any], need: float, unit: str) -> Row:
        detail = f"{quota['QuotaName']}: {quota['Value']:g} {unit}, {need:g} wanted"
        if quota["Value"] >= need:
            return self._row("quota", "ok", detail)
        return self._row("quota", "missing", detail,
                         "ask for more: aws service-quotas request-service-quota-increase "
                         f"--service-code {service} --quota-code {code} --desired-value {need:g} "
                         f"--region {self.region}")

    def sagemaker_room(self, instance_type: str, count: int) -> Iterator[Row]:
        def ask() -> Row:
            name = f"{instance_type} for endpoint usage"
            for page in self._client("service-quotas").get_paginator("list_service_quotas").paginate(
                    ServiceCode="sagemaker"):
                for quota in page["Quotas"]:
                    if quota["QuotaName"] == name:
                        return self._quota("sagemaker", quota.get("QuotaCode", "…"), quota, count, "instances")
            return self._row("quota", "unknown", f"Service Quotas has no '{name}' in {self.region}",
                             "does SageMaker offer the type there?")
        yield self._asked("quota", ask)

    def named(self) -> Iterator[Row]:
        """What the run file names and the account must have."""
        if self.target == "sagemaker":
            yield self._asked("role", self._role)
        if getattr(self.options, "hf_token_secret", None):
            yield self._asked("secret", self._secret)
        if getattr(self.options, "cluster", None):
            yield self._asked("cluster", self._cluster)
        if getattr(self.options, "hf_token_env", None):
            name = self.options.hf_token_env
            yield self._row("token", "ok" if name in os.environ else "missing", f"variable {name}",
                            f"export {name}=… (a Hugging Face token)")

    def _role(self) -> Row:
        arn = self.options.role or os.environ.get("FMLOAD_SAGEMAKER_ROLE")
        if not arn:
            return self._row("role", "missing", "no execution role", "deploy.role:, or FMLOAD_SAGEMAKER_ROLE; "
                             "docs/first-measurement.md makes one")
        try:
            role = self._client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except ClientError as error:
            if gone(error):
                return self._row("role", "missing", f"there is no {arn}", "docs/first-measurement.md makes one")
            raise
        if "sagemaker.amazonaws.com" not in str(role["AssumeRolePolicyDocument"]):
            return self._row("role", "missing", f"{arn} does not trust sagemaker.amazonaws.com", "its trust policy")
        return self._row("role", "ok", arn)

    def _secret(self) -> Row:
        try:
            self._client("secretsmanager").describe_secret(SecretId=self.options.hf_token_secret)
        except ClientError as error:
            if gone(error):
                return self._row("secret", "missing", f"there is no secret {self.options.hf_token_secret}",
                                 f"aws secretsmanager create-secret --name {self.options.hf_token_secret} "
                                 f"--secret-string hf_… --region {self.region}")
            raise
        return self._row("secret", "ok", self.options.hf_token_secret)

    def _cluster(self) -> Row:
        try:
            found = self._client("eks").describe_cluster(name=self.options.cluster)["cluster"]
        except ClientError as error:
            if gone(error):
                return self._row("cluster", "missing", f"there is no cluster {self.options.cluster}", "deploy.cluster:")
            raise
        good = found["status"] == "ACTIVE"
        return self._row("cluster", "ok" if good else "missing", f"{self.options.cluster} is {found['status']}")

    def permissions(self) -> Iterator[Row]:
        yield self._asked("permissions", self._permissions)

    def _permissions(self) -> Row:
        """Each statement of the smallest policy is asked for on its own resources: a policy that allows no more than it
        does not allow its actions on all."""
        me = self._client("sts").get_caller_identity()
        wanted, refused = actions_of(self.target), set[str]()
        for statement in document([self.target], [self.region or "*"], me["Account"])["Statement"]:
            refused |= self._denied(_source(me["Arn"]), statement)
        if refused:
            return self._row("permissions", "missing", f"{len(refused)} of {len(wanted)} are denied: "
                             + ", ".join(sorted(refused)), "fmload deploy policy CONFIG prints the smallest policy")
        return self._row("permissions", "ok", f"all {len(wanted)}")

    def _denied(self, source: str, statement: Mapping[str, Any]) -> set[str]:
        """The statement's actions that the source's policies deny."""
        tagged = [{"ContextKeyName": OWN_TAG, "ContextKeyValues": ["a-run"], "ContextKeyType": "string"}]
        pages = self._client("iam").get_paginator("simulate_principal_policy").paginate(
            PolicySourceArn=source, ActionNames=statement["Action"], ResourceArns=statement["Resource"],
            **({"ContextEntries": tagged} if "Condition" in statement else {}))
        return {one["EvalActionName"] for page in pages for one in page["EvaluationResults"]
                if one["EvalDecision"] != "allowed"}


def _source(arn: str) -> str:
    """The role behind an assumed role's session; users are themselves."""
    head, mark, rest = arn.partition(":assumed-role/")
    return f"{head.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}" if mark else arn
