"""OpenAI's protocol, chat and text completions, as vLLM, TGI, SGLang, LMI, llama.cpp, Ollama and others speak it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.base.redaction import protect
from fmload.config.http_rules import wrong_value
from fmload.config.model import Strict
from fmload.config.proxies import proxy_of
from fmload.config.values import RunPath
from fmload.endpoints.failures import http_failure
from fmload.endpoints.openai_answer import is_one_object, read_stream, read_whole
from fmload.endpoints.payloads import EXACT_OUTPUT, exact_output
from fmload.endpoints.reasoning_tags import Tag, split
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, Exchange, HttpRequest, Wire
from fmload.wire.tls import client_context
from fmload.wire.url import Way, split_url, with_query

_PATHS = {"chat": "/chat/completions", "completions": "/completions"}


class OpenAI:
    """One model behind one or more base URLs."""

    NEEDS_URL = True  # the run file or a deployment gives its address
    BASE_PATH = "/v1"  # of the API on a server that fmload starts

    class Options(Strict):
        """The further keys of an endpoint with `protocol: openai`."""

        api: Literal["chat", "completions"] = Field("chat", description="chat or text completions")
        api_key_env: str | None = Field(None, description="environment variable that holds the API key")
        auth: Literal["sagemaker", "bedrock"] | None = Field(
            None, description="AWS's own OpenAI paths: bearer tokens made of the AWS credentials; docs/aws.md")
        region: str | None = Field(None, description="for `auth`; default: AWS_REGION or the profile's region")
        profile: str | None = Field(None, description="for `auth`: a profile of ~/.aws")
        include_usage: bool = Field(True, description="ask for the server's token counts in a stream")
        continuous_usage: bool | None = Field(
            None, description="ask for the counts with every chunk (vLLM, SGLang); default: where the server takes it")
        reasoning_tags: Tag = Field(None, description="think: text between <think> and </think> is reasoning")
        max_tokens_field: str = Field("max_tokens", description="or max_completion_tokens")
        align: Literal["server"] | None = Field(
            None, description="server: lengths of prompts are the server's own, by its /tokenize; docs/prompts.md")
        tokenize_url: str | None = Field(None, description="where /tokenize is, if not beside the url's /v1")
        exact_output_parameters: dict[str, Any] = Field(
            default_factory=lambda: dict(EXACT_OUTPUT["openai"]),
            description="sent for `exact_output`; `$max_tokens` stands for the length")
        ca_file: str | None = Field(None, description="PEM file of the certificates to trust")
        verify_tls: bool = Field(True, description="false for tests only")
        client_certificate: RunPath | None = Field(
            None, description="PEM file with a certificate of the client's own, and its key")
        client_key: RunPath | None = Field(None, description="PEM file with that key, where it is in another file")

    def __init__(self, name: str, urls: list[str], model: str | None, options: Options, *, streamed: bool = True,
                 parameters: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None,
                 request_id_header: str | None = "X-Request-Id", api_key: str | None = None,
                 bearer_token: Callable[[], str] | None = None, proxy: str | None = None) -> None:
        """`urls` are base URLs; a URL without a path gets `/v1`. Raises FmloadError for a URL that is none.

        `bearer_token` is asked for each request, since tokens expire.
        """
        self.name = name
        self.streamed = streamed
        self._options = options
        way = Way(options.ca_file, options.verify_tls, options.client_certificate, options.client_key, proxy)
        self._targets = dict(_target(url, options, way) for url in urls)
        if len(self._targets) < len(urls):
            raise FmloadError(f"endpoint '{name}': two of its urls have the same host and port",
                              hint="requests are told apart by host and port; give each path an endpoint of its own")
        self._fixed_body = _fixed_body(model, streamed, options, parameters or {})
        self.unsure = streamed and options.include_usage and options.continuous_usage is None and (
            "stream_options" not in (parameters or {}))
        self._fixed_headers = {**_headers(api_key, streamed), **(headers or {})}
        self._request_id_header = request_id_header
        self._bearer_token = bearer_token

    @classmethod
    def from_spec(cls, spec: Any) -> OpenAI:
        """The endpoint of an `EndpointSpec`. Raises FmloadError when it has no address or its key is not set."""
        urls = spec.urls or ([spec.url] if spec.url else [])
        if not urls:
            raise FmloadError(f"endpoint '{spec.name}' has no url", hint="give url, urls or deploy")
        return cls(spec.name, urls, spec.model, spec.options, streamed=spec.stream, parameters=spec.parameters,
                   headers=spec.headers, request_id_header=spec.request_id_header,
                   api_key=_api_key(spec.name, spec.options.api_key_env), bearer_token=_bearer_token(spec),
                   proxy=proxy_of(spec))

    def addresses(self) -> list[Address]:
        """Where to connect, one a URL."""
        return list(self._targets)

    def request(self, prompt: Prompt, request_id: str, address: Address) -> HttpRequest:
        """The request for a prompt: the endpoint's parameters, over them the prompt's, over them its length."""
        body = {**self._fixed_body, **prompt.parameters}
        if self._options.api == "chat":
            body["messages"] = prompt.as_messages()
        else:
            body["prompt"] = prompt.as_text()
        if prompt.output_tokens is not None:
            body[self._options.max_tokens_field] = prompt.output_tokens
        body |= exact_output(self._options.exact_output_parameters, prompt)
        headers = self._fixed_headers
        if self._request_id_header is not None:
            headers = {**headers, self._request_id_header: request_id}
        if self._bearer_token is not None:
            headers = {**headers, "Authorization": f"Bearer {self._bearer_token()}"}
        return HttpRequest("POST", self._targets[address], headers, orjson.dumps(body))

    def ask_less(self) -> bool:
        """Ask for no counts with every chunk from now on; False where they are not asked for, or were by option."""
        asked = self._fixed_body.get("stream_options", {})
        if not self.unsure or "continuous_usage_stats" not in asked:
            return False
        self._fixed_body = {**self._fixed_body, "stream_options": {"include_usage": True}}
        self.unsure = False
        return True

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        """The whole response to the prompt."""
        return wire.exchange(address, self.request(prompt, request_id, address), self.carries_token)

    def read(self, exchange: Exchange) -> Reading:
        """Chunks, counts and failure of a response. A server that answers a stream with plain JSON is
        understood, and one that streams what was asked for in one piece."""
        failure = http_failure(exchange)
        if failure is not None:
            return Reading(failure=failure)
        streamed = not is_one_object(exchange.body) if self.streamed else exchange.body.lstrip()[:5] == b"data:"
        reading = read_stream(exchange) if streamed else read_whole(exchange)
        split(reading, self._options.reasoning_tags)
        return reading

    def carries_token(self, body: bytes) -> bool:
        """Whether a token has come in a partial body; never, while a response that is not streamed is under way."""
        return self.streamed and bool(read_stream(Exchange("", body=body)).chunks)


def _api_key(name: str, variable: str | None) -> str | None:
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise FmloadError(f"endpoint '{name}': the environment variable {variable} is not set",
                          hint=f"export {variable}=…, on every worker's host")
    if wrong := wrong_value(value):
        raise FmloadError(f"endpoint '{name}': the key in {variable} {wrong}", hint=f"export {variable}=… again")
    protect(value)
    return value


def _bearer_token(spec: Any) -> Callable[[], str] | None:
    options = spec.options
    if options.auth is None:
        return None
    from fmload.endpoints.aws import bearer_token

    return bearer_token(options.auth, spec.name, options.region, options.profile)


def _headers(api_key: str | None, streamed: bool) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream" if streamed else "application/json"}
    return {**headers, "Authorization": f"Bearer {api_key}"} if api_key is not None else headers


def _fixed_body(model: str | None, streamed: bool, options: OpenAI.Options,
                parameters: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model} if model is not None else {}
    if streamed:
        body["stream"] = True
        continuous = options.include_usage if options.continuous_usage is None else options.continuous_usage
        usage = {"include_usage": options.include_usage, "continuous_usage_stats": continuous}
        asked = {name: True for name, wanted in usage.items() if wanted}
        if asked:
            body["stream_options"] = asked
    return {**body, **parameters}


def _target(url: str, options: OpenAI.Options, way: Way) -> tuple[Address, str]:
    address, path, query = split_url(url, way)
    if address.tls:
        client_context(way.ca_file, way.verify, way.certificate, way.certificate_key)
    path = path.rstrip("/") or "/v1"
    return address, with_query(path if path.endswith("/completions") else path + _PATHS[options.api], query)
