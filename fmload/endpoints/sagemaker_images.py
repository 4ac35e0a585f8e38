"""Which payload a SageMaker endpoint takes, told from the image that it runs."""

from __future__ import annotations

import re
from typing import Any

from fmload.base.errors import FmloadError
from fmload.endpoints.payloads import PayloadFormat

# The first that occurs in the image's repository and tag decides.
_IMAGES: tuple[tuple[str, PayloadFormat], ...] = (
    (r"djl-inference|djl-serving", "djl"),
    (r"tgi|huggingface-llm", "tgi"),
    (r"vllm|sglang|llama-cpp|llama\.cpp", "openai"),
    (r"jumpstart", "jumpstart"),
)


def format_of_image(image: str) -> PayloadFormat | None:
    """The payload format that containers of this image take; None for an unknown one."""
    name = image.rpartition("/")[2] if "jumpstart" not in image else image
    return next((payload for pattern, payload in _IMAGES if re.search(pattern, name)), None)


def format_of_endpoint(name: str, endpoint_name: str, inference_component: str | None, target_variant: str | None,
                       session: Any) -> PayloadFormat:
    """The format, by asking SageMaker for the image of the endpoint's variant (the first without a `target_variant`).

    `name`: the endpoint in the run file, for errors. Raises FmloadError when there is no such variant.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    hint = "write `payload_format:` (openai, tgi, djl, jumpstart or template) into the run file"
    try:
        image = _image(session.client("sagemaker"), endpoint_name, inference_component, target_variant)
    except (BotoCoreError, ClientError) as error:
        raise FmloadError(f"endpoint '{name}': cannot tell the payload format: {error}", hint=hint) from error
    payload = format_of_image(image)
    if payload is None:
        raise FmloadError(f"endpoint '{name}': no payload format is known for the image {image}", hint=hint)
    return payload


def _image(client: Any, endpoint_name: str, inference_component: str | None, target_variant: str | None) -> str:
    if inference_component:
        component = client.describe_inference_component(InferenceComponentName=inference_component)["Specification"]
        if "Container" in component:
            return str(component["Container"].get("Image", ""))
        return _image_of_model(client, component["ModelName"])
    config = client.describe_endpoint(EndpointName=endpoint_name)["EndpointConfigName"]
    variants = client.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"]
    named = [variant for variant in variants if target_variant in (None, variant["VariantName"])]
    if not named:
        raise FmloadError(f"endpoint {endpoint_name} has no variant '{target_variant}'",
                          hint="it has " + ", ".join(variant["VariantName"] for variant in variants))
    model = named[0].get("ModelName")
    return _image_of_model(client, model) if model else ""


def _image_of_model(client: Any, model: str) -> str:
    described = client.describe_model(ModelName=model)
    containers = [described.get("PrimaryContainer"), *described.get("Containers", ())]
    return next((str(container["Image"]) for container in containers if container and "Image" in container), "")
