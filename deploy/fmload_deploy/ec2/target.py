"""Target `ec2`: instances that serve a container, open to the caller alone, and that end themselves if he vanishes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.config.schema import EndpointSpec
from fmload.pricing.table import accelerators_of
from fmload_deploy import images
from fmload_deploy.account import client_for, region_of, tag_map
from fmload_deploy.aws import explained, message, poll_s
from fmload_deploy.base import STARTUP_S, Context, Deployment, Plan
from fmload_deploy.create import ensure
from fmload_deploy.ec2 import access as ec2_access
from fmload_deploy.ec2 import instance_status
from fmload_deploy.ec2.instance_status import told
from fmload_deploy.ec2.kinds import Instance
from fmload_deploy.ec2.options import STATUS_PORT, Options
from fmload_deploy.ec2.serve_anew import SERVING, serve_anew
from fmload_deploy.ec2.user_data import Script, copies_of
from fmload_deploy.ec2.zones import no_room, subnets
from fmload_deploy.emulation import REGION, Emulation
from fmload_deploy.lease import LEASE_S
from fmload_deploy.local.health import healthy
from fmload_deploy.names import attempt_token, name_for
from fmload_deploy.owner import LEASE_TAG
from fmload_deploy.prices import hourly_usd, instance_price
from fmload_deploy.resource import Resource
from fmload_deploy.start_failure import failed_start
from fmload_deploy.wait import wait_for

_CAPACITY_PAUSE_S = 60.0
_MARKETS: dict[str, dict[str, Any]] = {
    "on_demand": {},
    "spot": {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}},
    "capacity_block": {"InstanceMarketOptions": {"MarketType": "capacity-block"}},
}
Create = Callable[[Any, Resource], Mapping[str, Any] | None]


class EC2:
    """One or several instances, each serving the model at an address of its own."""

    Options = Options

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context = spec, context
        self.options: Options = spec.deploy.options
        self.name = name_for(context.run_id, spec.name)
        self.emulation = Emulation(spec.name, self.options.emulator, context, self.options.scenario)
        self.region = region_of(spec, context.region, REGION if self.options.emulator else None)
        self.container = self._container()

    def plan(self) -> Plan:
        script = self.script
        copies = f"{len(script.copies)} {'copy' if len(script.copies) == 1 else 'copies'}"
        notes = (f"image {script.image}, {copies} an instance; images.yml of {images.table_date()}",
                 f"open to {self.options.allow or f'the {self.options.address} address of this machine'}, ports "
                 f"{script.port} and {STATUS_PORT}",
                 *(("a way in: aws ssm start-session --target INSTANCE",) if self.options.ssm else ()),
                 f"lease: an instance ends itself after {format_duration(self._first_lease_s())}, unless renewed",
                 *(("spot: may be taken away at any time",) if self.options.purchase == "spot" else ()))
        return Plan(self.spec.name, "ec2", (*self.emulation.resources(), *self._access_resources(), *self._instances()),
                    0.0 if self.options.emulator else STARTUP_S[self.container.accelerator],
                    notes=self.emulation.notes() or notes)

    def up(self) -> Deployment:
        emulated = self.emulation.up()
        access = [self._access(resource) for resource in self._access_resources()]
        group = access[-1].detail["id"]
        instances = [self._instance(resource, group) for resource in self._instances()]
        serving = [self._serving(resource) for resource in instances]
        instances = [resource for resource, _ in serving]
        urls = list(dict.fromkeys(url for _, url in serving))  # emulated ones are one server
        where = {"urls": urls} if len(urls) > 1 else {"url": urls[0]}
        emulation = {"emulated": self.options.emulator} if self.options.emulator else {}
        price = instance_price(self.options.instance_type, self.options.instance_count, self.region,
                               self.options.purchase)
        return Deployment(self.spec.name, where | emulation, (*emulated, *access, *instances), {"price": price})

    def _instance(self, resource: Resource, group: str) -> Resource:
        """The instance; one that serves something else, by the ledger, is made to serve this."""
        standing = self.context.ledger.standing(resource)
        serves = standing.resource.detail.get(SERVING) if standing else self.script.serves
        made = self._make(replace(resource, detail={**resource.detail, SERVING: serves}),
                          lambda client, resource: self._create_instance(client, resource, group))
        if not self.context.shared or made.detail[SERVING] == self.script.serves:
            return made
        return serve_anew(made, self.script, self.context, self.spec.name, self.options.start_timeout_s)

    def _access_resources(self) -> list[Resource]:
        """What the instances need first; the security group comes last."""
        identity = ("iam-role", "iam-instance-profile") if self._needs_profile() else ()
        return [self._resource(kind, self.name) for kind in (*identity, "ec2-security-group")]

    def _instances(self) -> list[Resource]:
        hourly = 0.0 if self.options.emulator else hourly_usd(
            self.context, self.options.instance_type, 1, self.options.purchase, self.spec.price, self.region)
        return [self._resource("ec2-instance", f"{self.name}-{index}", hourly)
                for index in range(self.options.instance_count)]

    def _resource(self, kind: str, name: str, hourly: float | None = 0.0) -> Resource:
        return Resource(kind, name, self.region, hourly, self.emulation.detail())

    def _needs_profile(self) -> bool:
        return self.options.instance_profile is None and bool(
            self.options.hf_token_secret or self.script.registry or self._commanded() or self.options.artifacts)

    def _commanded(self) -> bool:
        """Whether the instance takes Systems Manager's calls."""
        return self.options.ssm or self.context.shared

    def _make(self, resource: Resource, create: Create) -> Resource:
        client = client_for(resource, self.context, "iam" if resource.kind.startswith("iam-") else "ec2")
        with explained(f"{self.spec.name}: {resource}"):
            return ensure(self.context, self.spec.name, resource, lambda: create(client, resource))

    def _access(self, resource: Resource) -> Resource:
        """The role, the profile or the group, created and completed."""
        makers: dict[str, Create] = {
            "iam-role": lambda iam, role: ec2_access.create_role(iam, role, self.context),
            "iam-instance-profile": lambda iam, profile: ec2_access.create_profile(iam, profile, self.context),
            "ec2-security-group": lambda ec2, group: ec2_access.create_group(
                ec2, group, self.context, self.options.subnet or next(iter(self.options.subnets), None))}
        made = self._make(resource, makers[resource.kind])
        client = client_for(resource, self.context, "iam" if resource.kind.startswith("iam-") else "ec2")
        with explained(f"{self.spec.name}: {resource}"):
            if resource.kind == "iam-role":
                ec2_access.permit(client, made, self.options.hf_token_secret, bool(self.script.registry),
                                  self._commanded(), self.options.artifacts)
            elif resource.kind == "iam-instance-profile":
                ec2_access.fill_profile(client, made)
            else:
                ec2_access.open_group(client, made, (self.script.port, STATUS_PORT), self._allowed())
        return made

    def _create_instance(self, ec2: Any, resource: Resource, group: str) -> dict[str, Any]:
        """Start it in the first zone that has room; all are asked again while `capacity_wait` lasts."""
        end = time.monotonic() + self.options.capacity_wait_s
        while True:
            full: list[str] = []
            for subnet in subnets(ec2, self.options):
                try:
                    answer = ec2.run_instances(**self._instance_arguments(resource, group, subnet))
                except ClientError as error:
                    if not no_room(error):
                        raise
                    refusal = error
                    full.append(subnet or "the zone of AWS's choice")
                    self.context.say(f"{self.spec.name}: {subnet or 'this zone'} has no room: {message(error)}")
                else:
                    return {"id": answer["Instances"][0]["InstanceId"], SERVING: self.script.serves}
            if time.monotonic() >= end or self.context.stop.wait(min(_CAPACITY_PAUSE_S, poll_s(ec2) * 6)):
                raise refusal

    def _instance_arguments(self, resource: Resource, group: str, subnet: str | None) -> dict[str, Any]:
        options = self.options
        profile = options.instance_profile or (self.name if self._needs_profile() else None)
        lease = {LEASE_TAG: str(int(time.time() + self._first_lease_s()))}
        image = self._machine_image(resource)
        described = [{"Key": key, "Value": value} for key, value in
                     {**tag_map(self.context, resource), **lease, "Name": resource.name}.items()]
        return {
            "MinCount": 1, "MaxCount": 1, "ClientToken": attempt_token(resource), "ImageId": image,
            "InstanceType": options.instance_type, "UserData": self.script.text(),
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
            "BlockDeviceMappings": [{"DeviceName": self._root_device(resource, image), "Ebs": {
                "VolumeSize": options.volume_gib, "VolumeType": "gp3", "Throughput": 500, "Iops": 3000,
                "DeleteOnTermination": True}}],
            "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group],
                                   "AssociatePublicIpAddress": options.address == "public",
                                   **({"SubnetId": subnet} if subnet else {})}],
            "TagSpecifications": [{"ResourceType": kind, "Tags": described} for kind in ("instance", "volume")],
            **_MARKETS[options.purchase],
            **({"IamInstanceProfile": {"Name": profile}} if profile else {}),
            **({"CapacityReservationSpecification": {"CapacityReservationTarget": {
                "CapacityReservationId": options.capacity_reservation}}} if options.capacity_reservation else {})}

    def _first_lease_s(self) -> float:
        return self.options.kept_lease_s if self.context.keep else self.options.start_timeout_s + LEASE_S

    def _machine_image(self, resource: Resource) -> str:
        if self.options.ami:
            return self.options.ami
        parameter = images.machine_image_parameter(self.container.accelerator)
        ssm = client_for(resource, self.context, "ssm")
        return str(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])

    def _root_device(self, resource: Resource, image: str) -> str:
        """The name of the image's root volume: another name would add a second, empty one."""
        ec2 = client_for(resource, self.context, "ec2")
        return str(ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"])

    def _allowed(self) -> str:
        if self.options.allow:
            return self.options.allow
        if self.options.emulator:
            return "127.0.0.1/32"
        private = self.options.address == "private"
        return f"{ec2_access.my_private_address() if private else ec2_access.my_public_address()}/32"

    def _serving(self, resource: Resource) -> tuple[Resource, str]:
        """The instance and its base URL, once every copy answers."""
        base = self._base_url(resource)
        url, status_url = f"{base}{self.container.health}", self._status_url(base)
        wait_for(f"{self.spec.name}: {url}", lambda: self._look(resource, url, status_url),
                 self.context, self.options.start_timeout_s, poll_s(client_for(resource, self.context, "ec2")),
                 hint="deploy.start_timeout is the limit; while it waits, 'fmload deploy status' shows what exists")
        known = {"status_url": status_url} if status_url else {}
        made = replace(resource, detail={**resource.detail, **known})
        self.context.ledger.write("created", made, self.spec.name)
        return made, f"{base}/v1"

    def _status_url(self, base: str) -> str | None:
        return None if self.options.emulator else f"{base.rpartition(':')[0]}:{STATUS_PORT}"

    def _look(self, resource: Resource, url: str, status_url: str | None) -> bool | None:
        """True once every copy answers. Raises FmloadError, logs in hand, when the instance or a copy has failed."""
        self._still_there(resource)
        status = told(status_url) if status_url else None
        ec2 = client_for(resource, self.context, "ec2")
        if status is None:
            console = instance_status.console(ec2, resource.detail["id"])
            if (reason := instance_status.console_failure(console)) is not None:
                raise self._failed(resource, reason, {"console.log": console})
        elif status["state"] == "failed":
            raise self._failed(resource, str(status["reason"]),
                               {"console.log": instance_status.console(ec2, resource.detail["id"]),
                                **instance_status.logs(status_url or "", len(self.script.copies))})
        if status_url and len(self.script.copies) > 1 and (status is None or status["state"] != "serving"):
            return None
        return True if healthy(url) else None

    def _failed(self, resource: Resource, reason: str, logs: Mapping[str, str]) -> FmloadError:
        named = {f"{resource.name}-{name}": text for name, text in logs.items()}
        return failed_start(str(resource), reason, named, self.context.logs)

    def _base_url(self, resource: Resource) -> str:
        if self.options.emulator:
            return str(self.emulation.settings()["url"])
        key = "PublicIpAddress" if self.options.address == "public" else "PrivateIpAddress"
        ec2 = client_for(resource, self.context, "ec2")
        address = wait_for(f"{resource}: its address",
                           lambda: (Instance().describe(resource, self.context) or {}).get(key), self.context, 300.0,
                           poll_s(ec2))
        return f"http://{address}:{self.script.port}"

    def _still_there(self, resource: Resource) -> None:
        """Raises FmloadError when the instance has ended, with EC2's reason and the end of its console output."""
        found = Instance().describe(resource, self.context)
        if found is not None and found["State"]["Name"] in ("pending", "running"):
            return
        reason = (found or {}).get("StateReason", {}).get("Message", "no reason given")
        console = instance_status.console(client_for(resource, self.context, "ec2"), resource.detail["id"])
        raise self._failed(resource, f"has ended: {reason}", {"console.log": console})

    def _container(self) -> images.Container:
        options = self.options
        if options.container:
            return images.container("ec2", options.container, self.region)
        return images.Container("image", options.image or "", options.accelerator or "gpu", options.port or 8000,
                                options.health or "/health", args=("{model}",))

    @cached_property
    def script(self) -> Script:
        """What an instance runs first."""
        options, container = self.options, self.container
        port = options.port or container.port
        devices = accelerators_of(options.instance_type)
        if not devices:
            raise FmloadError(f"{self.spec.name}: accelerators.yml does not know what {options.instance_type} holds",
                              hint="use an instance type of that table")
        cores = images.neuron_cores(options.instance_type)
        parallel = options.tensor_parallel or (cores if container.accelerator == "neuron" else devices)
        wanted = None if options.model_copies == "max" else options.model_copies
        serving = images.Serving(options.model_path or self.spec.model or "", parallel, options.max_model_len,
                                 options.max_sequences)
        return Script(self.context.run_id, self.region or REGION, container.image, container.port, port,
                      copies_of(wanted, parallel, container.accelerator, devices, cores, port),
                      [*container.arguments(serving), *options.args], {**container.environment(serving), **options.env},
                      [part.replace("{model}", serving.model) for part in container.after_start],
                      options.hf_token_secret, int(self._first_lease_s()), container.health, options.artifacts)
