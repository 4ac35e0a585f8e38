"""Triton's generate extension: `generate_stream` and `generate` of a model, of the backends of TensorRT-LLM and vLLM.

It tells no end and no counts: an answer is whole when its response is.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers
from fmload.endpoints.answer import Answer
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.json_answers import Json
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: triton`."""

    backend: Literal["tensorrtllm", "vllm"] = Field(
        "tensorrtllm", description="where its parameters stand: beside the text, or in `parameters`")


class Triton:
    """The codec of one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        if spec.model is None:
            raise FmloadError(f"endpoint '{spec.name}': no model", hint="write `model:`; it is part of the path")
        self._parameters = spec.parameters
        self._streamed = spec.stream
        self._beside = spec.options.backend == "tensorrtllm"

    def body(self, prompt: Prompt) -> dict[str, Any]:
        chosen = {"stream": self._streamed, **self._parameters, **prompt.parameters}
        if prompt.output_tokens is not None:
            chosen["max_tokens"] = prompt.output_tokens
        text = {"text_input": prompt.as_text()}
        if self._beside:
            return {**text, **chosen}
        return {**text, "parameters": chosen, "exclude_input_in_output": True}

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, _read, None, self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, _read)


def _read(answer: Answer, event: Json, end: int) -> None:
    """Add one event, or a whole answer. Raises one of MALFORMED for what is neither."""
    text = event["text_output"]
    answer.add(end, "".join(text) if isinstance(text, list) else text)
    answer.usage(event.get("num_input_tokens"), event.get("num_output_tokens"))


def _path(base: str, spec: EndpointSpec) -> str:
    base = base if "/v2/models/" in base else f"{base.removesuffix('/v2')}/v2/models/{spec.model}"
    return base + ("/generate_stream" if spec.stream else "/generate")


TRITON = HttpProtocol(Options, Triton, _path)
