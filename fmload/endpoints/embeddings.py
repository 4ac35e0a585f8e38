"""Embeddings over HTTP: OpenAI's path (vLLM, Jina, Voyage, TEI, llama.cpp …), Cohere's, and TEI's own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.input_forms import FORMS, InputsCodec

_FORMS = {"openai": "openai_embeddings", "cohere": "cohere_embed", "tei": "tei_embed"}


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: embeddings`."""

    api: Literal["openai", "cohere", "tei"] = Field(
        "openai", description="openai: /v1/embeddings; cohere: /v2/embed; tei: /embed")
    dimension: int | None = Field(None, ge=1, description="numbers of a vector; other lengths are failures")


def _codec(spec: EndpointSpec) -> InputsCodec:
    model = None if spec.options.api == "tei" else spec.model
    return InputsCodec(spec.name, _FORMS[spec.options.api], spec.parameters, spec.options.dimension, model)


def _path(base: str, spec: EndpointSpec) -> str:
    form = FORMS[_FORMS[spec.options.api]]
    return base if base.endswith(form.path) else (base or form.base) + form.path


EMBEDDINGS = HttpProtocol(Options, _codec, _path, BASE_PATH="/v1", STREAMS=False, MAKES="vectors")
