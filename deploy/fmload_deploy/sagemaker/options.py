"""The keys of `deploy: {target: sagemaker, ...}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from fmload.config.model import Rule, Strict
from fmload.config.values import Seconds


class Component(Strict):
    """Place the model as an inference component, beside others on the same instances."""

    accelerators: int = Field(1, ge=1, description="accelerator devices for each copy")
    memory_mib: int = Field(1024, ge=128, description="host memory each copy needs at least")
    copies: int = Field(1, ge=1)


class Options(Strict):
    """Keys of `deploy: {target: sagemaker, ...}`."""

    SERVED: ClassVar[frozenset[str]] = frozenset({  # what one endpoint may be updated from and to
        "container", "image", "image_uri", "jumpstart", "model_id", "model_data", "tensor_parallel", "max_model_len",
        "max_sequences", "env", "hf_token_env", "serving_properties", "inference_ami", "emulator"})

    instance_type: str = Field(description="for example ml.g6e.2xlarge or ml.inf2.48xlarge")
    instance_count: int = Field(1, ge=1)
    role: str | None = Field(None, description="ARN of the execution role; default: $FMLOAD_SAGEMAKER_ROLE")
    container: str | None = Field(None, description="vllm, sglang, lmi, tgi, tgi-neuronx, vllm-neuronx")
    image: str | None = Field(None, description="image URI, in place of container")
    image_uri: dict[str, str] | None = Field(None, description="{framework, version}: ask the sagemaker SDK")
    jumpstart: str | None = Field(None, description="JumpStart model id, resolved by the sagemaker SDK")
    model_id: str | None = Field(None, description="hub id; default: the endpoint's model")
    model_data: str | None = Field(None, description="s3://… of the weights: a folder (ends with /) or a .tar.gz")
    tensor_parallel: int | None = Field(None, ge=1)
    max_model_len: int | None = Field(None, ge=1)
    max_sequences: int | None = Field(None, ge=1, description="requests that the server runs at the same time")
    env: dict[str, str] = Field(default_factory=dict)
    hf_token_env: str | None = Field(None, description="name of a variable here that holds a Hugging Face token")
    serving_properties: dict[str, Any] = Field(default_factory=dict, description="for lmi; needs bucket")
    bucket: str | None = Field(None, description="S3 bucket for serving.properties")
    inference_ami: str | None = Field(None, description="host image; default: what the container needs")
    inference_component: Component | None = None
    routing: Literal["LEAST_OUTSTANDING_REQUESTS", "RANDOM", "PREFIX_AWARE", "KV_AWARE"] = "LEAST_OUTSTANDING_REQUESTS"
    capacity_reservation: str | None = Field(None, description="ARN of an ML capacity reservation")
    capacity_wait_s: Seconds = Field(0.0, alias="capacity_wait", description="go on asking for capacity for so long")
    volume_gib: int | None = Field(None, ge=1, le=512, description="EBS volume of each instance (VolumeSizeInGB); only "
                                                                   "types without disks of their own take one")
    lease: Literal["auto", "required", "off"] = Field(
        "auto", description="a deletion scheduled in the account, put off while the run lives")
    lease_role: str | None = Field(None, description="ARN of a role that the scheduler may use; default: made")
    kept_lease_s: Seconds = Field(43_200.0, alias="kept_lease", description="when kept up: deleted after so long")
    subnets: list[str] = Field(default_factory=list)
    security_groups: list[str] = Field(default_factory=list)
    accept_eula: bool = False
    start_timeout_s: Seconds = Field(3600.0, alias="start_timeout")
    emulator: str | None = Field(None, description="emulate: AWS on this host, answers by this emulator profile")
    scenario: str | None = Field(None, description="with emulator: a file of what that AWS does wrong")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if sum(given.get(key) is not None for key in ("container", "image", "image_uri", "jumpstart")) != 1:
            yield "", "give exactly one of container, image, image_uri and jumpstart"
        if given.get("serving_properties") and not given.get("bucket"):
            yield "serving_properties", "needs bucket, where the file is put for SageMaker to fetch"
        if bool(given.get("subnets")) != bool(given.get("security_groups")):
            yield "subnets", "subnets and security_groups go together"
        if given.get("scenario") is not None and given.get("emulator") is None:
            yield "scenario", "goes with emulator: AWS itself needs none"
