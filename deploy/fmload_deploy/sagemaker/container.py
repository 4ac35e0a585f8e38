"""What runs on a SageMaker instance: image, environment, weights and host image, from whichever key names them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.base.errors import FmloadError
from fmload_deploy import images
from fmload_deploy.sagemaker.jumpstart import jumpstart_model
from fmload_deploy.sagemaker.options import Options

WEIGHTS_FOLDER = "/opt/ml/model"  # where SageMaker puts model_data


@dataclass(frozen=True, slots=True)
class Served:
    """A model's container as CreateModel takes it, and what the endpoint must know of it."""

    image: str
    environment: Mapping[str, str] = field(default_factory=dict)
    data_source: Mapping[str, Any] | None = None
    inference_ami: str | None = None
    payload_format: str | None = None

    def definition(self) -> dict[str, Any]:
        """CreateModel's PrimaryContainer."""
        return {"Image": self.image, "Environment": dict(self.environment),
                **({"ModelDataSource": dict(self.data_source)} if self.data_source else {})}


def served(client: Any, options: Options, model: str, region: str, properties_url: str | None) -> Served:
    """What the options ask for. `client` (SageMaker) is asked about JumpStart models only."""
    extra = {**_token(options), **options.env}
    if options.jumpstart:
        found = jumpstart_model(client, options.jumpstart, options.instance_type, options.accept_eula)
        return Served(found.image, {**found.environment, **extra}, found.data_source, options.inference_ami)
    container = _container(options, region)
    data = options.model_data or properties_url
    return Served(container.image, {**container.environment(_serving(options, model)), **extra},
                  data_source(data) if data else None, options.inference_ami or container.inference_ami,
                  container.payload_format)


def image_of(options: Options, region: str) -> str:
    """The image, for the plan; for JumpStart the model's id, which is resolved when it is created."""
    return f"of JumpStart model {options.jumpstart}" if options.jumpstart else _container(options, region).image


def data_source(uri: str) -> dict[str, Any]:
    """CreateModel's ModelDataSource: a folder of plain files (ends with /), or a .tar.gz."""
    folder = uri.endswith("/")
    return {"S3DataSource": {"S3Uri": uri, "S3DataType": "S3Prefix" if folder else "S3Object",
                             "CompressionType": "None" if folder else "Gzip"}}


def _serving(options: Options, model: str) -> images.Serving:
    named = WEIGHTS_FOLDER if options.model_data else options.model_id or model
    return images.Serving(named, options.tensor_parallel, options.max_model_len, options.max_sequences)


def _container(options: Options, region: str) -> images.Container:
    if options.container:
        return images.container("sagemaker", options.container, region)
    if options.image_uri:
        asked = options.image_uri
        uri = images.sdk_image(asked["framework"], asked.get("version"), region, options.instance_type)
        return images.Container("sdk", uri)
    return images.Container("image", options.image or "")


def _token(options: Options) -> dict[str, str]:
    if options.hf_token_env is None:
        return {}
    value = os.environ.get(options.hf_token_env)
    if value is None:
        raise FmloadError(f"the variable {options.hf_token_env} is not set",
                          hint="hf_token_env names the variable that holds the Hugging Face token")
    return {"HF_TOKEN": value}
