"""The keys of `deploy: {target: ec2, ...}`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from fmload.config.model import Rule, Strict
from fmload.config.values import Seconds

STATUS_PORT = 9_229  # where the instance tells how its copies do


class Options(Strict):
    """Keys of `deploy: {target: ec2, ...}`."""

    SERVED: ClassVar[frozenset[str]] = frozenset({  # what one instance may serve after another
        "container", "image", "port", "health", "args", "env", "tensor_parallel", "max_model_len", "max_sequences",
        "model_copies", "artifacts", "model_path", "emulator"})

    instance_type: str = Field(description="for example g6e.2xlarge or inf2.xlarge")
    instance_count: int = Field(1, ge=1, description="instances, each with an address of its own")
    container: str | None = Field(None, description="vllm, sglang, tgi, lmi, triton-vllm, ollama, vllm-neuronx, …")
    image: str | None = Field(None, description="image, in place of container; with accelerator, port and args")
    accelerator: Literal["gpu", "neuron"] | None = Field(None, description="with image: what the container uses")
    port: int | None = Field(None, ge=1, le=65535, description="port that the container serves")
    health: str | None = Field(None, description="path that answers 200 once the model is loaded")
    args: list[str] = Field(default_factory=list, description="further arguments of the container's command")
    env: dict[str, str] = Field(default_factory=dict)
    tensor_parallel: int | None = Field(None, ge=1, description="GPUs or NeuronCores of one copy; default: all")
    max_model_len: int | None = Field(None, ge=1)
    max_sequences: int | None = Field(None, ge=1)
    model_copies: int | Literal["max"] = Field(1, description="copies behind a load balancer on the instance")
    artifacts: str | None = Field(None, description="s3://…/ of precompiled artefacts: /artifacts in the container")
    model_path: str | None = Field(None, description="what the container loads in place of model, such as /artifacts")
    hf_token_secret: str | None = Field(None, description="Secrets Manager secret with a Hugging Face token")
    ami: str | None = Field(None, description="default: the newest Deep Learning or Neuron AMI")
    instance_profile: str | None = Field(None, description="default: made where the secret or a private image needs it")
    purchase: Literal["on_demand", "spot", "capacity_block"] = "on_demand"
    capacity_reservation: str | None = Field(None, description="cr-…; required for a capacity block")
    subnet: str | None = Field(None, description="default: those of the default VPC, zone after zone")
    subnets: list[str] = Field(default_factory=list, description="tried in this order when a zone has no capacity")
    capacity_wait_s: Seconds = Field(0.0, alias="capacity_wait", description="go on asking for capacity for so long")
    allow: str | None = Field(None, description="CIDR that may connect; default: this machine's address alone")
    ssm: bool = Field(False, description="a way in: aws ssm start-session (no port, no key)")
    address: Literal["public", "private"] = "public"
    volume_gib: int = Field(200, ge=30)
    start_timeout_s: Seconds = Field(3600.0, alias="start_timeout")
    kept_lease_s: Seconds = Field(43_200.0, alias="kept_lease", description="when kept up: ends itself after so long")
    emulator: str | None = Field(None, description="emulate: AWS on this host, answers by this emulator profile")
    scenario: str | None = Field(None, description="with emulator: a file of what that AWS does wrong")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if ("container" in given) == ("image" in given):
            yield "", "give exactly one of container and image"
        if "image" in given and not {"accelerator", "port"} <= given.keys():
            yield "image", "with image, give accelerator and port"
        if given.get("purchase") == "capacity_block" and "capacity_reservation" not in given:
            yield "capacity_reservation", "purchase: capacity_block needs capacity_reservation: cr-…"
        if isinstance(given.get("model_copies"), int) and given["model_copies"] < 1:
            yield "model_copies", "at least 1, or max"
        if given.get("port") == STATUS_PORT:
            yield "port", f"{STATUS_PORT} is where the instance tells of its copies; another one"
        if "subnet" in given and given.get("subnets"):
            yield "subnets", "give subnet or subnets, not both"
        if "artifacts" in given and not re.match(r"s3://[^/]+/.+", str(given["artifacts"])):
            yield "artifacts", "names no folder in S3: s3://bucket/prefix/"
        if "scenario" in given and "emulator" not in given:
            yield "scenario", "goes with emulator: AWS itself needs none"
