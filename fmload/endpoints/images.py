"""Images made of text, over HTTP: OpenAI's path, as OpenAI, Azure, vLLM-Omni, SGLang, LiteLLM and others have it."""

from __future__ import annotations

from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints.azure import azure_or_bearer, azure_path
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.image_forms import ImagesCodec

_PATH = "/images/generations"


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: images`."""

    api_version: str | None = Field(None, description="Azure's, sent with every request; docs/protocols.md")
    any_size: bool = Field(False, description="images may have another size than `size` of the parameters asks for")


def _codec(spec: EndpointSpec) -> ImagesCodec:
    return ImagesCodec(spec.name, "openai_images", spec.parameters, spec.model, spec.options.any_size, spec.stream)


def _path(base: str, spec: EndpointSpec) -> str:
    if spec.options.api_version is not None:
        return azure_path(base, _PATH, spec.options.api_version, spec.model)
    return base if base.endswith(_PATH) else (base or "/v1") + _PATH


IMAGES = HttpProtocol(Options, _codec, _path, azure_or_bearer, BASE_PATH="/v1", WHOLE=True, MAKES="images")
