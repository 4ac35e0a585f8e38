"""Target `eks`: a Deployment and a Service in a namespace of the run's own, on a cluster that exists."""

from __future__ import annotations

import os
from typing import Any

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload_deploy import images
from fmload_deploy.account import client_for, region_of, tag_map
from fmload_deploy.aws import explained, poll_s
from fmload_deploy.base import Context, Deployment, Plan
from fmload_deploy.create import ensure
from fmload_deploy.eks.client import kube_client, kube_explained
from fmload_deploy.eks.kinds import NodeGroup
from fmload_deploy.eks.manifests import manifests
from fmload_deploy.eks.options import NodeGroupSpec, Options
from fmload_deploy.eks.pods import look_at_pods
from fmload_deploy.names import attempt_token, name_for
from fmload_deploy.prices import hourly_usd, instance_price
from fmload_deploy.resource import Resource
from fmload_deploy.scheduled_deletion import ScheduledDeletion
from fmload_deploy.wait import wait_for

_RESOURCES = {"gpu": "nvidia.com/gpu", "neuron": "aws.amazon.com/neuron"}
_AMI_TYPES = {"gpu": "AL2023_x86_64_NVIDIA", "neuron": "AL2023_x86_64_NEURON"}
_PLUGINS = {"gpu": "helm upgrade -i nvdp nvdp/nvidia-device-plugin -n nvidia-device-plugin --create-namespace",
            "neuron": "helm upgrade -i neuron-helm-chart oci://public.ecr.aws/neuron/neuron-helm-chart "
                      "--set npd.enabled=false"}
_LOOK_EVERY_S = 1.0
_STARTUP_S = 1200.0


class EKS:
    """A model served by pods of a cluster."""

    Options = Options

    def __init__(self, spec: EndpointSpec, context: Context) -> None:
        assert spec.deploy is not None
        self.spec, self.context = spec, context
        self.options: Options = spec.deploy.options
        self.region = region_of(spec, context.region)
        self.container = self._container()
        name = name_for(context.run_id, spec.name)
        where = {key: value for key in ("cluster", "kubeconfig", "kube_context")
                 if (value := getattr(self.options, key)) is not None}
        self.namespace = Resource("k8s-namespace", name, self.region, detail=where)
        group = self.options.node_group
        self.group = None if group is None else Resource(
            "eks-nodegroup", name, self.region, hourly_usd(
                context, group.instance_type, group.count, group.purchase, spec.price, self.region), where)

    def plan(self) -> Plan:
        notes = [f"image {self.container.image}; images.yml of {images.table_date()}", f"access: {self.options.access}"]
        if self.group is None:
            notes.append("nodes of the cluster are used: their price is not in this plan")
        lease = self._lease()
        return Plan(self.spec.name, "eks", (*lease.resources(), *(one for one in (self.group, self.namespace) if one)),
                    _STARTUP_S, notes=(*notes, *lease.notes()))

    def up(self) -> Deployment:
        made: list[Resource] = []
        if self.group is not None and self.options.node_group is not None:
            lease = self._lease()
            made += lease.up()
            lease.cover(self.group)
            made.append(self._add_nodes(self.group, self.options.node_group))
        self._check_devices()
        with kube_explained(self.spec.name):
            made.append(ensure(self.context, self.spec.name, self.namespace, self._apply))
            self._apply()  # again where an earlier `up` made the namespace and no more
        self._wait_ready()
        return Deployment(self.spec.name, {"url": f"{self._address()}/v1"}, tuple(made), self.defaults())

    def defaults(self) -> dict[str, Any]:
        """The price of the nodes that are added, for an endpoint that names none."""
        group = self.options.node_group
        return {} if group is None else {
            "price": instance_price(group.instance_type, group.count, self.region, group.purchase)}

    def _lease(self) -> ScheduledDeletion:
        return ScheduledDeletion(self.spec.name, self.options.lease, self.options.lease_role, self.context,
                                 [self.group] if self.group else [])

    def _add_nodes(self, resource: Resource, group: NodeGroupSpec) -> Resource:
        eks = client_for(resource, self.context, "eks")

        def create() -> None:
            eks.create_nodegroup(
                clusterName=self.options.cluster, nodegroupName=resource.name, instanceTypes=[group.instance_type],
                scalingConfig={"minSize": group.count, "maxSize": group.count, "desiredSize": group.count},
                subnets=group.subnets, nodeRole=group.role, capacityType=group.capacity,
                amiType=_AMI_TYPES[self.container.accelerator], diskSize=200,
                clientRequestToken=attempt_token(resource), tags=tag_map(self.context, resource))

        with explained(f"{self.spec.name}: {resource}"):
            made = ensure(self.context, self.spec.name, resource, create)

        def look() -> bool | None:
            found = NodeGroup().describe(made, self.context) or {}
            if found.get("status") in ("CREATE_FAILED", "DEGRADED"):
                issues = "; ".join(issue["message"] for issue in found.get("health", {}).get("issues", []))
                raise FmloadError(f"{made}: {found['status']}: {issues}")
            return True if found.get("status") == "ACTIVE" else None
        wait_for(f"{made} to be active", look, self.context, self.options.start_timeout_s, poll_s(eks))
        return made

    def _check_devices(self) -> None:
        """Raises FmloadError when no node of the wanted type offers the accelerator, as without its device plugin."""
        from lightkube.resources.core_v1 import Node
        wanted, kind = self._instance_type(), _RESOURCES[self.container.accelerator]
        missing_plugin = f"is the device plugin installed? {_PLUGINS[self.container.accelerator]}"
        labels = {"node.kubernetes.io/instance-type": wanted} if wanted else None

        def look() -> bool | None:
            with kube_explained(self.spec.name), self._client() as client:
                nodes = list(client.list(Node, labels=labels))
            offered = [int((node.status.allocatable or {}).get(kind, 0)) for node in nodes if node.status]
            if any(count >= self.options.devices for count in offered):
                return True
            if nodes and self.group is None:
                raise FmloadError(f"{self.spec.name}: no node offers {self.options.devices} {kind}, at most "
                                  f"{max(offered)}", hint=missing_plugin)
            return None
        wait_for(f"{self.spec.name}: a node with {kind}", look, self.context,
                 600.0 if self.group else _LOOK_EVERY_S, _LOOK_EVERY_S,
                 hint=missing_plugin)

    def _apply(self) -> None:
        """Server-side apply of every object: creates what is missing, and changes nothing that is right."""
        from lightkube import codecs
        with self._client() as client:
            for manifest in self._manifests():
                client.apply(codecs.from_dict(manifest), field_manager="fmload", force=True)

    def _manifests(self) -> list[dict[str, Any]]:
        options, serving = self.options, images.Serving(
            self.spec.model or "", self.options.tensor_parallel, self.options.max_model_len, self.options.max_sequences)
        return manifests(
            name=self.namespace.name, run_id=self.context.run_id, hf_token=self._token(), replicas=options.replicas,
            instance_type=self._instance_type(), resource=_RESOURCES[self.container.accelerator],
            image=self.container.image, arguments=[*self.container.arguments(serving), *options.args],
            env=sorted({**self.container.environment(serving), **options.env}.items()), port=self.container.port,
            health=self.container.health, devices=options.devices, access=options.access, allow=options.allow,
            startup_looks=max(1, int(options.start_timeout_s // 10)))

    def _wait_ready(self) -> None:
        from lightkube.resources.apps_v1 import Deployment as KubeDeployment

        def look() -> bool | None:
            with kube_explained(self.spec.name), self._client() as client:
                status = client.get(KubeDeployment, "model", namespace=self.namespace.name).status
                if status is not None and (status.availableReplicas or 0) >= self.options.replicas:
                    return True
                look_at_pods(client, self.namespace.name)
            return None
        wait_for(f"{self.spec.name}: the pods", look, self.context, self.options.start_timeout_s, _LOOK_EVERY_S,
                 hint=f"kubectl -n {self.namespace.name} describe pods")

    def _address(self) -> str:
        """The base URL of the Service; a load balancer's once it has a name."""
        from lightkube.resources.core_v1 import Service
        if self.options.access == "cluster":
            return f"http://model.{self.namespace.name}.svc"

        def look() -> str | None:
            with kube_explained(self.spec.name), self._client() as client:
                status = client.get(Service, "model", namespace=self.namespace.name).status
            ingress = (status.loadBalancer.ingress if status and status.loadBalancer else None) or []
            return next((one.hostname or one.ip for one in ingress), None)
        return "http://" + wait_for(f"{self.spec.name}: the load balancer", look, self.context, 600.0, _LOOK_EVERY_S,
                                    hint="is the AWS Load Balancer Controller installed in the cluster?")

    def _client(self) -> Any:
        return kube_client(self.namespace.detail, self.region, self.context)

    def _instance_type(self) -> str | None:
        group = self.options.node_group
        return self.options.instance_type or (group.instance_type if group else None)

    def _token(self) -> str | None:
        name = self.options.hf_token_env
        if name is not None and name not in os.environ:
            raise FmloadError(f"the variable {name} is not set", hint="hf_token_env: it holds a Hugging Face token")
        return os.environ[name] if name else None

    def _container(self) -> images.Container:
        options = self.options
        if options.container:
            return images.container("ec2", options.container, self.region)
        return images.Container("image", options.image or "", options.accelerator, options.port, options.health,
                                args=("{model}",))

