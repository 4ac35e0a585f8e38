"""What all protocols over HTTP share: addresses, trust, keys and tokens, headers, requests, and HTTP's own failures.

A protocol is an `HttpProtocol`, a value in one file of its own: where to post, the options, and a `Codec`, which makes
a body of a prompt and a reading of what came back. Nothing of it is inherited.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.base.redaction import protect
from fmload.config.http_rules import wrong_name, wrong_value
from fmload.config.model import Rule, Strict
from fmload.config.proxies import proxy_of
from fmload.config.schema import EndpointSpec
from fmload.config.values import RunPath
from fmload.endpoints.base import Made
from fmload.endpoints.failures import http_failure
from fmload.endpoints.payloads import exact_output
from fmload.endpoints.reasoning_tags import Tag, split
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, Exchange, HttpRequest, Wire
from fmload.wire.tls import client_context
from fmload.wire.url import Way, split_url, with_query


class HttpOptions(Strict):
    """The keys that every endpoint over HTTP has."""

    api_key_env: str | None = Field(None, description="environment variable that holds the API key")
    api_key_header: str | None = Field(
        None, description="header of the key; default: the protocol's own. In Authorization it is a bearer token")
    auth: Literal["sagemaker", "bedrock"] | None = Field(
        None, description="AWS's own OpenAI paths: bearer tokens made of the AWS credentials; docs/aws.md")
    region: str | None = Field(None, description="for `auth`; default: AWS_REGION or the profile's region")
    profile: str | None = Field(None, description="for `auth`: a profile of ~/.aws")
    reasoning_tags: Tag = Field(None, description="think: text between <think> and </think> is reasoning")
    exact_output_parameters: dict[str, Any] = Field(
        default_factory=dict, description="sent for `exact_output`; `$max_tokens` stands for the length")
    session_header: str | None = Field(
        None, description="header that names the session of each request, for routers that keep sessions together")
    session_field: str | None = Field(
        None, description="likewise a key of the body, such as prompt_cache_key or session_id")
    ca_file: RunPath | None = Field(None, description="PEM file of the certificates to trust")
    verify_tls: bool = Field(True, description="false for tests only")
    client_certificate: RunPath | None = Field(
        None, description="PEM file with a certificate of the client's own, and its key")
    client_key: RunPath | None = Field(None, description="PEM file with that key, where it is in another file")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if wrong := wrong_name(given.get("session_header")):
            yield "session_header", wrong


class Codec(Protocol):
    """How one endpoint is spoken to. Pure, and made once, before the load.

    `body` gives the JSON to send: the endpoint's parameters, over them the prompt's, over them its length. `read` gets
    exchanges of status 2xx; it never raises on bytes from outside. `carries_token` says whether a token has come in a
    partial body. A codec that asks for what not every server takes has `unsure` and `ask_less` as well
    (`fmload.worker.trial`); one whose requests have inputs and no tokens to generate has `expects` and `check`
    (`fmload.endpoints.input_forms`). One that does not send JSON has `content_type`, and `encode`, which makes the
    bytes of a body and its prompt (`fmload.endpoints.transcription`).
    """

    def body(self, prompt: Prompt) -> dict[str, Any]: ...

    def read(self, exchange: Exchange) -> Reading: ...

    def carries_token(self, body: bytes) -> bool: ...


def bearer(key: str, address: Address) -> tuple[str, str]:
    """The header that holds a key: what most servers take."""
    return "Authorization", f"Bearer {key}"


def _no_media(given: Mapping[str, Any]) -> frozenset[str]:
    return frozenset()


def images_alone(given: Mapping[str, Any]) -> frozenset[str]:
    """Of a protocol that has a place for images."""
    return frozenset({"images"})


@dataclass(frozen=True)
class HttpProtocol:
    """One protocol, as `fmload.plugins.ENDPOINTS` names it.

    `codec` makes the endpoint's codec; `path` the path to post to, of the path in the run file's URL (without a slash
    at its end), with a query of its own after `?` where it has one. `key` is the header (name, value) of an API key.
    """

    Options: type[HttpOptions]
    codec: Callable[[EndpointSpec], Codec]
    path: Callable[[str, EndpointSpec], str]
    key: Callable[[str, Address], tuple[str, str]] = bearer
    headers: Mapping[str, str] = field(default_factory=dict)
    BASE_PATH: str = ""  # of the API on a server that fmload starts
    NEEDS_URL: bool = True  # the run file or a deployment gives its address
    STREAMS: bool = True  # else every answer comes whole, and has no tokens of its own
    WHOLE: bool = False  # answers come whole unless the run file asks for a stream
    carries: Callable[[Mapping[str, Any]], frozenset[str]] = _no_media  # kinds of media (`config.media`), by its keys
    MAKES: Made = "text"

    def makes(self, given: Mapping[str, Any]) -> Made:
        """What the answers of an endpoint with these keys are."""
        return self.MAKES

    def from_spec(self, spec: EndpointSpec) -> HttpEndpoint:
        """The endpoint of an `EndpointSpec`. Raises FmloadError when it has no address or its key is not set."""
        urls = spec.urls or ([spec.url] if spec.url else [])
        if not urls:
            raise FmloadError(f"endpoint '{spec.name}' has no url", hint="give url, urls or deploy")
        return HttpEndpoint(self, spec, urls)


class HttpEndpoint:
    """One model behind one or more base URLs, whatever the protocol."""

    def __init__(self, protocol: HttpProtocol, spec: EndpointSpec, urls: list[str]) -> None:
        """Raises FmloadError for a URL that is none, two of one host and port, and a key that is not set."""
        self.name, self.streamed = spec.name, spec.stream and protocol.STREAMS
        self._options: HttpOptions = spec.options
        self.codec = protocol.codec(spec)
        targets = [_target(url, protocol, spec) for url in urls]
        self._targets = dict(targets)
        if len(self._targets) < len(urls):
            raise FmloadError(f"endpoint '{spec.name}': two of its urls have the same host and port",
                              hint="requests are told apart by host and port; give each path an endpoint of its own")
        key = _api_key(spec.name, self._options.api_key_env)
        kind = getattr(self.codec, "content_type", "application/json")
        self._headers = {address: _headers(protocol, spec, key, address, kind) for address in self._targets}
        self._request_id_header = spec.request_id_header
        self._bearer_token = _bearer_token(spec.name, self._options)

    def addresses(self) -> list[Address]:
        """Where to connect, one a URL."""
        return list(self._targets)

    def request(self, prompt: Prompt, request_id: str, address: Address) -> HttpRequest:
        """The request for a prompt."""
        body = self.codec.body(prompt)
        if prompt.exact_output:
            body |= exact_output(self._options.exact_output_parameters, prompt)
        headers = self._headers[address]
        if self._request_id_header is not None:
            headers = {**headers, self._request_id_header: request_id}
        if prompt.conversation is not None:
            headers, body = self._of_session(headers, body, prompt.conversation)
        if self._bearer_token is not None:
            headers = {**headers, "Authorization": f"Bearer {self._bearer_token()}"}
        encode: Callable[[dict[str, Any], Prompt], bytes] | None = getattr(self.codec, "encode", None)
        content = orjson.dumps(body) if encode is None else encode(body, prompt)
        return HttpRequest("POST", self._targets[address], headers, content)

    def _of_session(self, headers: dict[str, str], body: dict[str, Any],
                    session: str) -> tuple[dict[str, str], dict[str, Any]]:
        """Headers and body with the session's name, where they are to have it."""
        header, key = self._options.session_header, self._options.session_field
        return ({**headers, header: session} if header is not None else headers,
                {**body, key: session} if key is not None else body)

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        """The whole response to the prompt."""
        return wire.exchange(address, self.request(prompt, request_id, address), self.carries_token)

    def read(self, exchange: Exchange) -> Reading:
        """Chunks, counts and failure of a response."""
        failure = http_failure(exchange)
        if failure is not None:
            return Reading(failure=failure)
        reading = self.codec.read(exchange)
        split(reading, self._options.reasoning_tags)
        return reading

    def carries_token(self, body: bytes) -> bool:
        """Whether a token has come in a partial body; never, while a response that is not streamed is under way."""
        return self.streamed and self.codec.carries_token(body)

    def expects(self, prompt: Prompt) -> Any:
        """What an answer has to be (`fmload.worker.wanted`); None for one that generates text."""
        expects: Callable[[Prompt], Any] | None = getattr(self.codec, "expects", None)
        return None if expects is None else expects(prompt)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be asked in the protocol's form."""
        check: Callable[[Prompt], None] | None = getattr(self.codec, "check", None)
        if check is not None:
            check(prompt)

    @property
    def unsure(self) -> bool:
        """Whether it asks for what not every server takes."""
        return bool(getattr(self.codec, "unsure", False))

    def ask_less(self) -> bool:
        """Leave out what not every server takes; False where it asks for nothing of the kind."""
        ask_less: Callable[[], bool] | None = getattr(self.codec, "ask_less", None)
        return ask_less is not None and ask_less()


def _target(url: str, protocol: HttpProtocol, spec: EndpointSpec) -> tuple[Address, str]:
    options: HttpOptions = spec.options
    way = Way(options.ca_file, options.verify_tls, options.client_certificate, options.client_key, proxy_of(spec))
    address, path, query = split_url(url, way)
    if address.tls:
        client_context(way.ca_file, way.verify, way.certificate, way.certificate_key)
    if address.proxy is not None and address.proxy.address.tls:
        client_context(address.proxy.ca_file, verify=True)
    target, _, own = protocol.path(path.rstrip("/"), spec).partition("?")
    return address, with_query(target, "&".join(filter(None, (query, own))))


def _headers(protocol: HttpProtocol, spec: EndpointSpec, key: str | None, address: Address,
             kind: str) -> dict[str, str]:
    headers = {"Content-Type": kind,
               "Accept": "text/event-stream" if spec.stream and protocol.STREAMS else "application/json",
               **protocol.headers}
    if key is not None:
        name, value = _key_header(protocol, spec.options.api_key_header, key, address)
        headers[name] = value
    return {**headers, **spec.headers}


def _key_header(protocol: HttpProtocol, header: str | None, key: str, address: Address) -> tuple[str, str]:
    if header is None:
        return protocol.key(key, address)
    return bearer(key, address) if header.lower() == "authorization" else (header, key)


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


def _bearer_token(name: str, options: HttpOptions) -> Callable[[], str] | None:
    """Asked for each request, since tokens expire."""
    if options.auth is None:
        return None
    from fmload.endpoints.aws import bearer_token

    return bearer_token(options.auth, name, options.region, options.profile)
