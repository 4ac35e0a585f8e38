"""Fleet target `ec2`: instances in one security group that nothing outside can reach, gone with their run or lease."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from botocore.exceptions import ClientError
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.base.version import __version__
from fmload.config.model import Strict
from fmload_deploy.account import client_for, partition, tag_map, tags
from fmload_deploy.aws import explained, message, pause_s, poll_s
from fmload_deploy.base import Context, Plan
from fmload_deploy.create import ensure
from fmload_deploy.ec2 import access, instance_status
from fmload_deploy.ec2.kinds import Instance
from fmload_deploy.ec2.user_data import LIMIT_BYTES, environment
from fmload_deploy.ec2.zones import no_room, subnets_for
from fmload_deploy.fleet.base import Fleet
from fmload_deploy.fleet.bucket import Bucket
from fmload_deploy.fleet.host import Config
from fmload_deploy.fleet.mailbox import RUN
from fmload_deploy.names import attempt_token, name_for
from fmload_deploy.owner import LEASE_TAG
from fmload_deploy.permissions import REQUESTS, filled
from fmload_deploy.prices import hourly_usd
from fmload_deploy.resource import Resource
from fmload_deploy.wait import retried, wait_for

PORT = 5557
HOME = "/var/lib/fmload/fleet"
_IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{architecture}"
_STARTUP_S = 180.0
_LARGEST_PARAMETER = 4096  # bytes of a standard parameter
_ADDRESS_LIMIT_S = 300.0
_SPOT = {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}}


class Options(Strict):
    """Flags of `--target ec2`."""

    instance_type: str = Field("c7i.xlarge", description="of every host: one worker a vCPU, and one vCPU of the first "
                                                         "for the master")
    purchase: Literal["on_demand", "spot"] = Field("on_demand", description="on_demand or spot")
    subnet: str | None = Field(None, description="of the hosts; default: the default VPC's, all in one zone")
    network: Literal["public", "private"] = Field("public", description=(
        "public: hosts reach S3 and PyPI by an address that nothing may connect to; private: by NAT or VPC endpoints"))
    package: str = Field(f"fmload=={__version__}", description="what the hosts install: a requirement, or a wheel "
                                                              "here, which is sent along")
    ami: str | None = Field(None, description="of Amazon Linux 2023, Debian or Ubuntu; default: the newest AL2023")


@dataclass(frozen=True, slots=True)
class Shape:
    """Of the instance type: how many workers an instance takes, and its architecture as images are named."""

    vcpus: int
    architecture: str


class EC2:
    """Instances; the first is the master."""

    Options = Options

    def __init__(self, fleet: Fleet, context: Context) -> None:
        self.fleet, self.context = fleet, context
        self.options = Options.model_validate(fleet.options)
        self.name = name_for(context.run_id, fleet.name, 50)

    @property
    def look_every_s(self) -> float:
        """AWS throttles the impatient."""
        return pause_s(None)

    def plan(self) -> Plan:
        hosts = self._hosts()
        notes = (f"{len(hosts)} × {self.options.instance_type} ({self._shape.vcpus} vCPUs): a master and "
                 f"{self.fleet.workers} workers, one a vCPU",
                 f"they install {self.options.package}",
                 "nothing outside can connect to them; run, status and results go through a bucket of the fleet's own",
                 f"they end themselves with their run, after {format_duration(self.fleet.lease_s)} at the latest",
                 *(("spot: may be taken away at any time",) if self.options.purchase == "spot" else ()))
        return Plan(self.fleet.name, "ec2", (*self._before(), *hosts), _STARTUP_S, notes=notes)

    def up(self, run: Path, secrets: Mapping[str, str]) -> None:
        self._check_package()
        bucket, parameter, role, profile, group = self._before()
        made = self._make(bucket, "s3", lambda s3: self._create_bucket(s3, bucket))
        self._tag_bucket(made)
        mailbox = self.mailbox()
        mailbox.send(RUN, run)
        if self._wheel is not None:
            mailbox.send(self._wheel.name, self._wheel)
        parameters = self._keep(parameter, secrets)
        self._role(role, profile)
        made = self._make(group, "ec2", lambda ec2: access.create_group(ec2, group, self.context, self.options.subnet))
        with explained(f"{group}"):
            access.open_to_itself(client_for(made, self.context, "ec2"), made, PORT)
        self._start_hosts(made.detail["id"], parameters)

    def mailbox(self) -> Bucket:
        return Bucket(self.context.aws.client("s3", self.fleet.region), self.name)

    def running(self) -> tuple[int, int]:
        hosts = [entry.resource for entry in self.context.ledger.entries()
                 if entry.resource.kind == "ec2-instance" and entry.event == "created"]
        found = [Instance().describe(host, self.context) for host in hosts]
        alive = [one for one in found if one is not None and one["State"]["Name"] in ("pending", "running")]
        return len(alive), len(hosts)

    def look(self) -> None:
        """Raises FmloadError where a host has ended before its run began, or its start script has failed."""
        for entry in self.context.ledger.entries():
            host = entry.resource
            if host.kind != "ec2-instance" or entry.event != "created":
                continue
            told = instance_status.console(client_for(host, self.context, "ec2"), host.detail["id"])
            found = Instance().describe(host, self.context) or {}
            reason = instance_status.console_failure(told)
            if reason is None and found.get("State", {}).get("Name") in ("pending", "running"):
                continue
            reason = reason or "has ended: " + found.get("StateReason", {}).get("Message", "no reason given")
            self.context.logs.mkdir(parents=True, exist_ok=True)
            (kept := self.context.logs / f"{host.name}-console.log").write_text(told, encoding="utf-8")
            raise FmloadError(f"{host}: {reason}", hint=f"its console: {kept}")

    def _before(self) -> list[Resource]:
        """What stands before the hosts: bucket, parameter, role, profile, security group."""
        kinds = ("s3-bucket", "ssm-parameter", "iam-role", "iam-instance-profile", "ec2-security-group")
        return [Resource(kind, f"/fmload/{self.name}" if kind == "ssm-parameter" else self.name, self.fleet.region)
                for kind in kinds]

    def _hosts(self) -> list[Resource]:
        hourly = hourly_usd(self.context, self.options.instance_type, 1, self.options.purchase,
                            region=self.fleet.region)
        count = math.ceil((self.fleet.workers + 1) / self._shape.vcpus)
        return [Resource("ec2-instance", f"{self.name}-{index}", self.fleet.region, hourly,
                         {"instance_type": self.options.instance_type}) for index in range(count)]

    @cached_property
    def _shape(self) -> Shape:
        ec2 = self.context.aws.client("ec2", self.fleet.region)
        with explained(f"looking for {self.options.instance_type}"):
            found = ec2.describe_instance_types(InstanceTypes=[self.options.instance_type])["InstanceTypes"][0]
        names = found["ProcessorInfo"]["SupportedArchitectures"]
        return Shape(found["VCpuInfo"]["DefaultVCpus"], "arm64" if "arm64" in names else "x86_64")

    @cached_property
    def _wheel(self) -> Path | None:
        path = Path(self.options.package)
        return path if path.suffix == ".whl" and "://" not in self.options.package else None

    def _check_package(self) -> None:
        if self._wheel is not None and not self._wheel.is_file():
            raise FmloadError(f"--package {self._wheel}: there is no such file", hint="make it: pip wheel --no-deps .")

    def _make(self, resource: Resource, service: str, create: Callable[[Any], Mapping[str, Any] | None]) -> Resource:
        client = client_for(resource, self.context, service)
        with explained(f"{resource}"):
            return ensure(self.context, self.fleet.name, resource, lambda: create(client))

    def _create_bucket(self, s3: Any, bucket: Resource) -> None:
        where = {} if self.fleet.region == "us-east-1" else {
            "CreateBucketConfiguration": {"LocationConstraint": self.fleet.region}}
        s3.create_bucket(Bucket=bucket.name, **where)

    def _tag_bucket(self, bucket: Resource) -> None:
        s3 = client_for(bucket, self.context, "s3")

        def closed() -> bool:
            with explained(f"{bucket}"):
                s3.put_bucket_tagging(Bucket=bucket.name, Tagging={"TagSet": tags(self.context, bucket)})
                s3.put_public_access_block(Bucket=bucket.name, PublicAccessBlockConfiguration=dict.fromkeys(
                    ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True))
            return True
        retried(f"{bucket}", closed, self.context, poll_s(s3))

    def _keep(self, first: Resource, secrets: Mapping[str, str]) -> list[str]:
        """Lay the secrets into parameters, as many as they need; their names."""
        text = json.dumps(dict(secrets))
        parts = [text[start:start + _LARGEST_PARAMETER] for start in range(0, len(text), _LARGEST_PARAMETER)]
        names = [first.name, *(f"{first.name}/{number}" for number in range(2, len(parts) + 1))]
        for name, part in zip(names, parts, strict=True):
            self._keep_part(replace(first, name=name), part)
        return names

    def _keep_part(self, parameter: Resource, text: str) -> None:
        def create(ssm: Any) -> None:
            ssm.put_parameter(Name=parameter.name, Value=text, Type="SecureString", Tags=tags(self.context, parameter),
                              Description=f"fmload {self.context.run_id}: variables of its hosts")
        self._make(parameter, "ssm", create)

    def _role(self, role: Resource, profile: Resource) -> None:
        """Role and profile, and what they allow: this bucket, this parameter, requests to the run's AWS endpoints."""
        made = self._make(role, "iam", lambda iam: access.create_role(iam, role, self.context))
        iam = client_for(made, self.context, "iam")
        with explained(f"{role}"):
            iam.put_role_policy(RoleName=role.name, PolicyName="fleet", PolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": self._statements()}))
        self._make(profile, "iam", lambda iam: access.create_profile(iam, profile, self.context))
        with explained(f"{profile}"):
            access.fill_profile(iam, profile)

    def _statements(self) -> list[dict[str, Any]]:
        where, region = partition(self.fleet.region), self.fleet.region or "*"
        bucket, secrets = f"arn:{where}:s3:::{self.name}", f"arn:{where}:ssm:{region}:*:parameter/fmload"
        return [
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": f"{bucket}/*"},
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": bucket},
            {"Effect": "Allow", "Action": "ssm:GetParameter",
             "Resource": [f"{secrets}/{self.name}", f"{secrets}/{self.name}/*"]},
            *({"Effect": "Allow", "Action": list(grant.also), "Resource": filled(grant.resource, region, "*")}
              for protocol in self.fleet.protocols for grant in REQUESTS.get(protocol, ()))]

    def _start_hosts(self, group: str, parameters: Sequence[str]) -> None:
        """The master first: the others are told its address. All of them in one zone, the first that has room."""
        first, *others = self._hosts()
        share = min(self._shape.vcpus - 1, self.fleet.workers)
        master = self._make(first, "ec2", lambda ec2: self._run_instance(
            ec2, first, group, self._config(parameters, share, "127.0.0.1", self.fleet.workers), self._zones(ec2)))
        address, zone = self._where(master)
        left = self.fleet.workers - share
        for host in others:
            count = min(self._shape.vcpus, left)
            left -= count
            self._make(host, "ec2", lambda ec2, host=host, count=count: self._run_instance(  # type: ignore[misc]
                ec2, host, group, self._config(parameters, count, address, None), [zone]))

    def _config(self, parameters: Sequence[str], processes: int, master: str, workers: int | None) -> Config:
        return Config(HOME, f"s3://{self.name}", PORT, processes, master, workers,
                      parameters=parameters, region=self.fleet.region)

    def _zones(self, ec2: Any) -> list[str | None]:
        return [self.options.subnet] if self.options.subnet else list(subnets_for(ec2, self.options.instance_type))

    def _where(self, master: Resource) -> tuple[str, str | None]:
        """The master's private address and its subnet."""
        def look() -> tuple[str, str | None] | None:
            found = Instance().describe(master, self.context) or {}
            return (found["PrivateIpAddress"], found.get("SubnetId")) if found.get("PrivateIpAddress") else None
        return wait_for(f"{master}: its address", look, self.context, _ADDRESS_LIMIT_S,
                        poll_s(client_for(master, self.context, "ec2")))

    def _run_instance(self, ec2: Any, host: Resource, group: str, config: Config,
                      zones: list[str | None]) -> dict[str, Any]:
        refusal: ClientError | None = None
        for subnet in zones:
            try:
                answer = ec2.run_instances(**self._arguments(ec2, host, group, config, subnet))
            except ClientError as error:
                if not no_room(error):
                    raise
                refusal = error
                self.context.say(f"{subnet or 'this zone'} has no room: {message(error)}")
            else:
                return {"id": answer["Instances"][0]["InstanceId"]}
        assert refusal is not None
        raise refusal

    def _arguments(self, ec2: Any, host: Resource, group: str, config: Config, subnet: str | None) -> dict[str, Any]:
        image = self._machine_image(host)
        described = [{"Key": key, "Value": value} for key, value in
                     {**tag_map(self.context, host), LEASE_TAG: str(int(time.time() + self.fleet.lease_s)),
                      "Name": host.name}.items()]
        return {
            "MinCount": 1, "MaxCount": 1, "ClientToken": attempt_token(host), "ImageId": image,
            "InstanceType": self.options.instance_type, "UserData": self.script(config),
            "InstanceInitiatedShutdownBehavior": "terminate", "IamInstanceProfile": {"Name": self.name},
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "BlockDeviceMappings": [{"DeviceName": self._root_device(ec2, image), "Ebs": {
                "VolumeSize": 50, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}}],
            "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group],
                                   "AssociatePublicIpAddress": self.options.network == "public",
                                   **({"SubnetId": subnet} if subnet else {})}],
            "TagSpecifications": [{"ResourceType": kind, "Tags": described} for kind in ("instance", "volume")],
            **(_SPOT if self.options.purchase == "spot" else {})}

    def _machine_image(self, host: Resource) -> str:
        if self.options.ami:
            return self.options.ami
        ssm = client_for(host, self.context, "ssm")
        name = _IMAGE.format(architecture=self._shape.architecture)
        return str(ssm.get_parameter(Name=name)["Parameter"]["Value"])

    def _root_device(self, ec2: Any, image: str) -> str:
        return str(ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"])

    def script(self, config: Config) -> str:
        """The user data of a host."""
        package = f"s3://{self.name}/{self._wheel.name}" if self._wheel is not None else self.options.package
        text = environment().get_template("fleet-host.sh.j2").render(
            run_id=self.context.run_id, region=self.fleet.region, package=package, config=config.text(),
            first_lease_s=int(self.fleet.lease_s))
        if len(text.encode()) > LIMIT_BYTES:
            raise FmloadError(f"the host's start script has {len(text.encode())} bytes; EC2 takes {LIMIT_BYTES}")
        return text
