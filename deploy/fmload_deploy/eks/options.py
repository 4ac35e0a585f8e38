"""The keys of `deploy: {target: eks, ...}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from fmload.config.model import Rule, Strict
from fmload.config.values import Seconds


class NodeGroupSpec(Strict):
    """Nodes to add to the cluster for the run."""

    instance_type: str
    count: int = Field(1, ge=1)
    role: str = Field(description="ARN of the node role")
    subnets: list[str] = Field(min_length=1)
    capacity: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"

    @property
    def purchase(self) -> str:
        """The purchase option, as the price table names it."""
        return "spot" if self.capacity == "SPOT" else "on_demand"


class Options(Strict):
    """Keys of `deploy: {target: eks, ...}`."""

    cluster: str | None = Field(None, description="name of an existing EKS cluster")
    kubeconfig: str | None = Field(None, description="in place of cluster: a kubeconfig file")
    kube_context: str | None = None
    node_group: NodeGroupSpec | None = Field(None, description="nodes to add; without, the cluster's own are used")
    instance_type: str | None = Field(None, description="run on nodes of this type; default: the node group's")
    container: str | None = Field(None, description="vllm, sglang, tgi, vllm-neuronx, … as on EC2")
    image: str | None = None
    accelerator: Literal["gpu", "neuron"] = Field("gpu", description="with image: what it uses")
    port: int = Field(8000, ge=1, le=65535, description="with image: where it listens")
    health: str = Field("/health", description="with image: answers 200 once the model is loaded")
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    replicas: int = Field(1, ge=1)
    devices: int = Field(1, ge=1, description="GPUs or Neuron devices of each replica")
    tensor_parallel: int | None = Field(None, ge=1)
    max_model_len: int | None = Field(None, ge=1)
    max_sequences: int | None = Field(None, ge=1)
    hf_token_env: str | None = Field(None, description="name of a variable here that holds a Hugging Face token")
    access: Literal["cluster", "internal", "internet-facing"] = Field(
        "internal", description="cluster: only from inside it; else the scheme of a network load balancer")
    allow: list[str] = Field(default_factory=list, description="CIDRs that may use the load balancer")
    start_timeout_s: Seconds = Field(3600.0, alias="start_timeout")
    lease: Literal["auto", "required", "off"] = Field(
        "auto", description="of a node group: a deletion scheduled in the account, put off while the run lives")
    lease_role: str | None = Field(None, description="ARN of a role that the scheduler may use; default: made")
    kept_lease_s: Seconds = Field(43_200.0, alias="kept_lease", description="when kept up: deleted after so long")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if ("cluster" in given) == ("kubeconfig" in given):
            yield "", "give exactly one of cluster and kubeconfig"
        if ("container" in given) == ("image" in given):
            yield "", "give exactly one of container and image"
        if "node_group" in given and "cluster" not in given:
            yield "node_group", "a node group is added to an EKS cluster: give cluster"
        if given.get("access") == "internet-facing" and not given.get("allow"):
            yield "allow", "say who may use an internet-facing load balancer, for example [203.0.113.7/32]"
