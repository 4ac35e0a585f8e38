"""OpenAI's protocol, chat and text completions, as vLLM, TGI, SGLang, LMI, llama.cpp, Ollama and others speak it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from fmload.config.schema import EndpointSpec
from fmload.endpoints.azure import azure_or_bearer, azure_path
from fmload.endpoints.base import ALL_MEDIA
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.endpoints.openai_answer import read_stream, read_whole
from fmload.endpoints.payloads import EXACT_OUTPUT
from fmload.endpoints.streams import is_one_object
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

_PATHS = {"chat": "/chat/completions", "completions": "/completions"}


class Options(HttpOptions):
    """The further keys of an endpoint with `protocol: openai`."""

    api_version: str | None = Field(None, description="Azure's, sent with every request; docs/protocols.md")
    api: Literal["chat", "completions"] = Field("chat", description="chat or text completions")
    include_usage: bool = Field(True, description="ask for the server's token counts in a stream")
    continuous_usage: bool | None = Field(
        None, description="ask for the counts with every chunk (vLLM, SGLang); default: where the server takes it")
    max_tokens_field: str = Field("max_tokens", description="or max_completion_tokens")
    align: Literal["server"] | None = Field(
        None, description="server: lengths of prompts are the server's own, by its /tokenize; docs/prompts.md")
    tokenize_url: str | None = Field(None, description="where /tokenize is, if not beside the url's /v1")
    exact_output_parameters: dict[str, Any] = Field(
        default_factory=lambda: dict(EXACT_OUTPUT["openai"]),
        description="sent for `exact_output`; `$max_tokens` stands for the length")


class Completions:
    """The codec of one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        options: Options = spec.options
        self._chat = options.api == "chat"
        self._limit = options.max_tokens_field
        self._streamed = spec.stream
        self._fixed = _fixed_body(spec, options)
        self.unsure = spec.stream and options.include_usage and options.continuous_usage is None and (
            "stream_options" not in spec.parameters)

    def body(self, prompt: Prompt) -> dict[str, Any]:
        body = {**self._fixed, **prompt.parameters}
        if self._chat:
            body["messages"] = prompt.as_messages()
        else:
            body["prompt"] = prompt.as_text()
        if prompt.output_tokens is not None:
            body[self._limit] = prompt.output_tokens
        return body

    def ask_less(self) -> bool:
        """Ask for no counts with every chunk from now on; False where they are not asked for, or were by option."""
        asked = self._fixed.get("stream_options", {})
        if not self.unsure or "continuous_usage_stats" not in asked:
            return False
        self._fixed = {**self._fixed, "stream_options": {"include_usage": True}}
        self.unsure = False
        return True

    def read(self, exchange: Exchange) -> Reading:
        """A server that answers a stream with plain JSON is understood, and one that streams what was asked for in one
        piece."""
        streamed = not is_one_object(exchange.body) if self._streamed else exchange.body.lstrip()[:5] == b"data:"
        return read_stream(exchange) if streamed else read_whole(exchange)

    def carries_token(self, body: bytes) -> bool:
        return bool(read_stream(Exchange("", body=body)).chunks)


def _fixed_body(spec: EndpointSpec, options: Options) -> dict[str, Any]:
    body: dict[str, Any] = {"model": spec.model} if spec.model is not None else {}
    if spec.stream:
        body["stream"] = True
        continuous = options.include_usage if options.continuous_usage is None else options.continuous_usage
        usage = {"include_usage": options.include_usage, "continuous_usage_stats": continuous}
        asked = {name: True for name, wanted in usage.items() if wanted}
        if asked:
            body["stream_options"] = asked
    return {**body, **spec.parameters}


def _path(base: str, spec: EndpointSpec) -> str:
    """A URL without a path gets `/v1`, or with an `api_version` the path of the deployment that the model names."""
    if base.endswith("/completions"):
        return base
    if spec.options.api_version is not None:
        return azure_path(base, _PATHS[spec.options.api], spec.options.api_version, spec.model)
    return (base or "/v1") + _PATHS[spec.options.api]


def _carries(given: Mapping[str, Any]) -> frozenset[str]:
    return ALL_MEDIA if given.get("api", "chat") == "chat" else frozenset()


OPENAI = HttpProtocol(Options, Completions, _path, azure_or_bearer, BASE_PATH="/v1", carries=_carries)
