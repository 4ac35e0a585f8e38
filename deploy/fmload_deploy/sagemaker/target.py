"""Target `sagemaker`: model → endpoint configuration → endpoint (→ inference component), with boto3 alone."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.plugins import KINDS
from fmload_deploy import images
from fmload_deploy.account import client_for, region_of, tag_map, tags
from fmload_deploy.aws import explained
from fmload_deploy.base import STARTUP_S, Context, Deployment, Plan
from fmload_deploy.create import ensure
from fmload_deploy.emulation import REGION, Emulation
from fmload_deploy.names import name_for
from fmload_deploy.prices import hourly_usd, instance_price
from fmload_deploy.resource import Resource
from fmload_deploy.sagemaker.container import Served, image_of, served
from fmload_deploy.sagemaker.kinds import Endpoint, NoCapacity, wait_in_service
from fmload_deploy.sagemaker.options import Component, Options
from fmload_deploy.sagemaker.serve_anew import drop_former, serve
from fmload_deploy.sagemaker.serving_properties import PropertiesFile
from fmload_deploy.scheduled_deletion import ScheduledDeletion

VARIANT = "AllTraffic"
_METRICS = {"EnableEnhancedMetrics": True, "MetricPublishFrequencyInSeconds": 10}
_HEALTH_LIMITS_S = (60, 3600)  # SageMaker takes no less and no more

Create = Callable[[Any, Resource], Mapping[str, Any] | None]


class SageMaker:
    """A SageMaker real-time endpoint. Nothing scales it during the run: no scaling policy is registered."""

    Options = Options

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context = spec, context
        self.options: Options = spec.deploy.options
        self.name = name_for(context.run_id, spec.name)
        self.serving = name_for(context.run_id, f"{spec.name} {_served_digest(spec)}") if context.shared else self.name
        self.emulation = Emulation(spec.name, self.options.emulator, context, self.options.scenario)
        self.properties = PropertiesFile(self.options.bucket, self.serving, self.options.serving_properties)
        self.region = region_of(spec, context.region, REGION if self.options.emulator else None)

    def plan(self) -> Plan:
        neuron = self.options.instance_type.startswith(("ml.inf", "ml.trn"))
        notes = (f"image {image_of(self.options, self.region or REGION)}", f"images.yml of {images.table_date()}")
        lease = self._lease()
        return Plan(self.spec.name, "sagemaker",
                    (*self.emulation.resources(), *lease.resources(), *self._resources().values()),
                    startup_s=0.0 if self.options.emulator else STARTUP_S["neuron" if neuron else "gpu"],
                    notes=self.emulation.notes() or (*notes, *lease.notes()))

    def up(self) -> Deployment:
        emulated = self.emulation.up()
        resources = self._resources()
        what = served(self._client(resources["model"]), self.options, self.spec.model or "", self.region or REGION,
                      self.properties.url if self.properties else None)
        lease = self._lease()
        made = list(lease.up())
        for key, create in self._creations(what):
            lease.cover(resources[key])
            if key == "endpoint" and self.context.shared and self.context.ledger.standing(resources[key]):
                Endpoint().settle(resources[key], self.context)  # an update that was broken off
            made.append(self._make(resources[key], create))
            if key in ("endpoint", "component"):
                made[-1] = self._in_service(made[-1], create)
            if key == "endpoint":
                serve(made[-1], self.serving, self.context, self.spec.name, self.options.start_timeout_s)
        drop_former(self.context, self.spec.name, [*made, *lease.resources()])
        return Deployment(self.spec.name, self._settings(), (*emulated, *made), self._defaults(what))

    def _lease(self) -> ScheduledDeletion:
        covered = [resource for resource in self._resources().values() if resource.kind != "s3-object"]
        return ScheduledDeletion(self.spec.name, self.options.lease, self.options.lease_role, self.context, covered)

    def _in_service(self, resource: Resource, create: Create) -> Resource:
        """Wait until it serves; what finds no capacity is made again while `capacity_wait` lasts."""
        end = time.monotonic() + self.options.capacity_wait_s
        while True:
            try:
                wait_in_service(resource, self.context, self.options.start_timeout_s)
            except NoCapacity as error:
                if time.monotonic() >= end:
                    raise
                self.context.say(f"{self.spec.name}: {error.message}; made again")
                KINDS.load(resource.kind)().delete(resource, self.context)
                self.context.ledger.write("deleted", resource, self.spec.name)
                resource = self._make(resource, create)
            else:
                return resource

    def _settings(self) -> dict[str, Any]:
        component = {"inference_component": self.name} if self.options.inference_component else {}
        region = {"region": self.region} if self.region else {}
        return {"endpoint_name": self.name, **component, **region, **self.emulation.settings()}

    def _defaults(self, what: Served) -> dict[str, Any]:
        payload = {"payload_format": what.payload_format} if what.payload_format else {}
        price = instance_price(self.options.instance_type, self.options.instance_count, self.region)
        return {**payload, "price": price}

    def _resources(self) -> dict[str, Resource]:
        hourly = 0.0 if self.options.emulator else hourly_usd(
            self.context, self.options.instance_type, self.options.instance_count, said=self.spec.price,
            region=self.region)
        resources = {"properties": self._resource("s3-object", self.properties.name),
                     "model": self._resource("sagemaker-model", self.serving),
                     "config": self._resource("sagemaker-endpoint-config", self.serving),
                     "endpoint": self._resource("sagemaker-endpoint", self.name, hourly),
                     "component": self._resource("sagemaker-inference-component", self.name)}
        if not self.properties:
            del resources["properties"]
        if self.options.inference_component is None:
            del resources["component"]
        return resources

    def _resource(self, kind: str, name: str, hourly: float | None = 0.0) -> Resource:
        return Resource(kind, name, self.region, hourly, self.emulation.detail())

    def _creations(self, what: Served) -> Iterator[tuple[str, Create]]:
        """What is created, in this order, and by which call."""
        if self.properties:
            yield "properties", lambda client, resource: self.properties.upload(client, resource,
                                                                                tag_map(self.context, resource))
        yield "model", lambda client, resource: self._create_model(client, resource, what)
        yield "config", lambda client, resource: self._create_config(client, resource, what)
        yield "endpoint", self._create_endpoint
        if self.options.inference_component:
            yield "component", self._create_component

    def _client(self, resource: Resource) -> Any:
        return client_for(resource, self.context, "s3" if resource.kind == "s3-object" else "sagemaker")

    def _make(self, resource: Resource, create: Create) -> Resource:
        client = self._client(resource)
        with explained(f"{self.spec.name}: {resource}"):
            return ensure(self.context, self.spec.name, resource, lambda: create(client, resource))

    def _create_model(self, client: Any, resource: Resource, what: Served) -> None:
        network = {"VpcConfig": {"Subnets": self.options.subnets, "SecurityGroupIds": self.options.security_groups}}
        client.create_model(ModelName=resource.name, PrimaryContainer=what.definition(), ExecutionRoleArn=self._role(),
                            Tags=tags(self.context, resource), **(network if self.options.subnets else {}))

    def _create_config(self, client: Any, resource: Resource, what: Served) -> None:
        role = {"ExecutionRoleArn": self._role()} if self.options.inference_component else {}
        client.create_endpoint_config(EndpointConfigName=resource.name, ProductionVariants=[self._variant(what)],
                                      MetricsConfig=_METRICS, Tags=tags(self.context, resource), **role)

    def _variant(self, what: Served) -> dict[str, Any]:
        options = self.options
        variant: dict[str, Any] = {
            "VariantName": VARIANT, "InstanceType": options.instance_type,
            "InitialInstanceCount": options.instance_count, "RoutingConfig": {"RoutingStrategy": options.routing},
            "ModelDataDownloadTimeoutInSeconds": self._limit_s()}
        if what.inference_ami:
            variant["InferenceAmiVersion"] = what.inference_ami
        if options.volume_gib:
            variant["VolumeSizeInGB"] = options.volume_gib
        if options.capacity_reservation:
            variant["CapacityReservationConfig"] = {"CapacityReservationPreference": "capacity-reservations-only",
                                                    "MlReservationArn": options.capacity_reservation}
        if options.inference_component is None:
            variant |= {"ModelName": self.serving, "InitialVariantWeight": 1.0,
                        "ContainerStartupHealthCheckTimeoutInSeconds": self._limit_s()}
        return variant

    def _create_endpoint(self, client: Any, resource: Resource) -> dict[str, Any]:
        made = client.create_endpoint(EndpointName=resource.name, EndpointConfigName=self.serving,
                                      Tags=tags(self.context, resource))
        return {"arn": made["EndpointArn"]}

    def _create_component(self, client: Any, resource: Resource) -> dict[str, Any]:
        component = self.options.inference_component or Component()
        needs = {"NumberOfAcceleratorDevicesRequired": component.accelerators,
                 "MinMemoryRequiredInMb": component.memory_mib}
        limit = {"ContainerStartupHealthCheckTimeoutInSeconds": self._limit_s()}
        made = client.create_inference_component(
            InferenceComponentName=resource.name, EndpointName=self.name, VariantName=VARIANT,
            Specification={"ModelName": self.serving, "ComputeResourceRequirements": needs, "StartupParameters": limit},
            RuntimeConfig={"CopyCount": component.copies}, Tags=tags(self.context, resource))
        return {"arn": made["InferenceComponentArn"]}

    def _limit_s(self) -> int:
        return int(min(max(self.options.start_timeout_s, _HEALTH_LIMITS_S[0]), _HEALTH_LIMITS_S[1]))

    def _role(self) -> str:
        role = self.options.role or os.environ.get("FMLOAD_SAGEMAKER_ROLE") or self.emulation.role()
        if role is None:
            raise FmloadError(f"{self.spec.name}: SageMaker needs an execution role",
                              hint="write deploy.role: arn:aws:iam::…, or set FMLOAD_SAGEMAKER_ROLE")
        return role


def _served_digest(spec: EndpointSpec) -> str:
    """Of what an endpoint serves: the same for the same model, container and settings."""
    assert spec.deploy is not None
    said = spec.deploy.options.model_dump(include=Options.SERVED)
    return hashlib.sha256(repr([spec.model, *sorted(said.items())]).encode()).hexdigest()[:10]
