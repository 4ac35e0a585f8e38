"""SageMaker endpoints: InvokeEndpointWithResponseStream, InvokeEndpoint and, around it, InvokeEndpointAsync, whatever
container answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, cast

import orjson
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.asynchronous import Asynchronous
from fmload.config.model import Rule
from fmload.config.schema import EndpointSpec
from fmload.endpoints import aws, payloads
from fmload.endpoints.answer import MALFORMED, Answer, read_events
from fmload.endpoints.aws_errors import http_failure
from fmload.endpoints.aws_inputs import AwsInputs
from fmload.endpoints.aws_sound import SOUND_FORMS, SoundForm, sound_codec
from fmload.endpoints.base import ALL_MEDIA, Made
from fmload.endpoints.input_forms import FORMS, InputForm, InputsCodec, made_in
from fmload.endpoints.reasoning_tags import Tag, split
from fmload.endpoints.sagemaker_async import AsyncEndpoint
from fmload.endpoints.sagemaker_images import format_of_endpoint
from fmload.endpoints.sticky_sessions import NEW_SESSION, StickySessions
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire import botocore_transport
from fmload.wire.exchange import Address, Exchange, Wire


class Options(aws.AwsOptions):
    """Keys of a SageMaker endpoint."""

    endpoint_name: str | None = Field(None, description="default: the name of this entry")
    payload_format: Literal["auto", payloads.PayloadFormat, InputForm, SoundForm] = Field(
        "auto", description="what the container takes; auto asks SageMaker for its image (with `url`: openai); "
                            "of one that embeds or ranks it has to be named (docs/embeddings.md), or that transcribes "
                            "or speaks (docs/sound.md)")
    dimension: int | None = Field(None, ge=1, description="of embeddings: numbers of a vector; others are failures")
    template: Any = Field(None, description="JSON with $prompt, $messages, $max_tokens, $stream, $parameters")
    answer_path: str | None = Field(None, description="where a template's answer stands, such as outputs.0.text")
    exact_output_parameters: dict[str, Any] | None = Field(
        None, description="sent for `exact_output`, `$max_tokens` for the length; default: by payload_format")
    asynchronous: Asynchronous | None = Field(
        None, description="of an asynchronous endpoint: where inputs go, and how often an answer is looked for")
    target_variant: str | None = Field(None, description="the production variant that is to answer")
    target_model: str | None = Field(
        None, description="of a multi-model endpoint: the model's file below its S3 prefix; needs stream: false")
    target_container_hostname: str | None = Field(
        None, description="of a multi-container endpoint that is invoked directly")
    inference_component: str | None = Field(None, description="the component, or adapter component, that is to answer")
    session_id: str | None = None
    session_field: str | None = Field(
        None, description="a key of the container's parameters that names the session of each request")
    sticky_sessions: bool = Field(
        False, description="each session is a stateful session of SageMaker, which its requests name (SessionId)")
    new_session_body: Any = Field(
        {"requestType": "NEW_SESSION"}, description="of sticky_sessions with streamed answers: JSON of the request "
                                                    "that opens a session, which is in no record")
    prefix_aware_id: str | None = Field(None, description="PrefixAwareId: what shares a prefix, for such a routing")
    inference_id: bool = Field(False, description="send each request's id as InferenceId, for captured data")
    custom_attributes: str | None = None
    reasoning_tags: Tag = Field(None, description="think: text between <think> and </think> is reasoning")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if (given.get("payload_format") == "template") != ("template" in given):
            yield "template", "`payload_format: template` and `template` go together"
        if given.get("sticky_sessions") is True and "session_id" in given:
            yield "session_id", "sticky_sessions have ids of their own; leave one of them out"
        for key in _AT_ONCE if "asynchronous" in given else ():
            if given.get(key):
                yield key, "is nothing that an asynchronous endpoint takes; leave it out"
        if "target_model" in given and "inference_component" in given:
            yield "target_model", "multi-model endpoints have no inference components; leave one of them out"


# Keys of endpoints that answer at once: InvokeEndpointAsync has no such members.
_AT_ONCE = ("target_variant", "target_model", "target_container_hostname", "inference_component", "session_id",
            "sticky_sessions", "prefix_aware_id")


class SageMaker:
    """One SageMaker endpoint."""

    Options = Options

    def __init__(self, spec: EndpointSpec, client: Any, payload_format: payloads.PayloadFormat) -> None:
        self.name = spec.name
        self.streamed = spec.stream
        self._spec = spec
        self._options: Options = spec.options
        self._client = client
        self._format = payload_format
        self._operation = client.invoke_endpoint_with_response_stream if spec.stream else client.invoke_endpoint
        self._fixed = _fixed_arguments(spec)
        self._sticky = StickySessions()

    @staticmethod
    def streams(given: Mapping[str, Any]) -> bool:
        """Whether an endpoint with these keys can stream its answers."""
        return given.get("asynchronous") is None

    @staticmethod
    def makes(given: Mapping[str, Any]) -> Made:
        """What the container's answers are, by its `payload_format`."""
        form = str(given.get("payload_format"))
        if form in FORMS:
            return made_in(form)
        return "sound" if form == "openai_speech" else "text"

    @staticmethod
    def carries(given: Mapping[str, Any]) -> frozenset[str]:
        """The kinds of media that prompts may hold: those of OpenAI's chat, where the container takes that."""
        chat = given.get("payload_format", "auto") in ("auto", "openai", "template")
        return ALL_MEDIA if chat else frozenset()

    @classmethod
    def from_spec(cls, spec: EndpointSpec) -> SageMaker | AwsInputs | AsyncEndpoint:
        """Raises FmloadError without a region or credentials, or when the container's format is not to be told."""
        options: Options = spec.options
        client = aws.make_client("sagemaker-runtime", spec, options)
        if options.asynchronous is not None:
            return AsyncEndpoint(spec, client, cls._at_once(spec.model_copy(update={"stream": False}), client))
        return cls._at_once(spec, client)

    @classmethod
    def _at_once(cls, spec: EndpointSpec, client: Any) -> SageMaker | AwsInputs:
        options: Options = spec.options
        payload_format = options.payload_format
        if payload_format in FORMS or payload_format in SOUND_FORMS:
            codec = sound_codec(payload_format, spec) if payload_format in SOUND_FORMS else InputsCodec(
                spec.name, payload_format, spec.parameters, options.dimension)
            return AwsInputs(spec, client, "InvokeEndpoint", client.invoke_endpoint, _fixed_arguments(spec), codec,
                             "Body", "InferenceId" if options.inference_id else None)
        if payload_format == "auto":
            payload_format = "openai" if spec.url or spec.urls else format_of_endpoint(
                spec.name, endpoint_name(spec), options.inference_component, options.target_variant,
                aws.make_session(spec.name, options.region, options.profile))
        if options.target_model is not None and spec.stream:
            raise FmloadError(f"endpoint '{spec.name}': InvokeEndpointWithResponseStream has no TargetModel",
                              hint="a multi-model endpoint is measured with stream: false")
        endpoint = cls(spec, client, cast(payloads.PayloadFormat, payload_format))
        operation = "InvokeEndpointWithResponseStream" if spec.stream else "InvokeEndpoint"
        aws.check_arguments(spec.name, client, operation, endpoint.arguments(Prompt("sample", "sample", "hello")))
        return endpoint

    def addresses(self) -> list[Address]:
        return aws.addresses(self._client, self._spec, self._options)

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        header = self._spec.request_id_header
        arguments = self.arguments(prompt)
        if self._options.inference_id:
            arguments["InferenceId"] = request_id
        session = prompt.conversation if self._options.sticky_sessions else None
        if session is not None:
            if self.streamed and self._sticky.is_new(session):  # a stream opens none
                self._open_session(session, wire, address)
            arguments["SessionId"] = self._sticky.id_of(session)
        exchange = botocore_transport.exchange(self._operation, arguments, wire, address,
                                               self.carries_token, {header: request_id} if header else {})
        if session is not None:
            self._sticky.learn(session, exchange.headers)
        return exchange

    def _open_session(self, session: str, wire: Wire, address: Address) -> None:
        arguments = {**self._fixed, "Body": orjson.dumps(self._options.new_session_body), "SessionId": NEW_SESSION}
        invoke = self._client.invoke_endpoint
        opened = botocore_transport.exchange(invoke, arguments, wire, address, lambda _: False, {})
        self._sticky.learn(session, opened.headers)

    def read(self, exchange: Exchange) -> Reading:
        answer = Answer()
        failure = http_failure(exchange)
        if failure is not None:
            answer.reading.failure = failure
            return answer.reading
        self._fold(answer, exchange.body, exchange.complete)
        answer.note("request_id", exchange.headers.get("x-amzn-requestid"))
        answer.note("variant", exchange.headers.get("x-amzn-invoked-production-variant"))
        reading = answer.settle(exchange, "a finish reason or a whole text", self.streamed)
        split(reading, self._options.reasoning_tags)
        return reading

    def carries_token(self, body: bytes) -> bool:
        answer = Answer()
        self._fold(answer, body, whole=False)
        return bool(answer.reading.chunks)

    def arguments(self, prompt: Prompt) -> dict[str, Any]:
        """What the client is called with for this prompt."""
        parameters = self._spec.parameters
        if self._options.session_field is not None and prompt.conversation is not None:
            parameters = {**parameters, self._options.session_field: prompt.conversation}
        body = payloads.request_body(self._format, prompt, parameters, self.streamed,
                                     self._options.template, self._options.exact_output_parameters)
        return {**self._fixed, "Body": body}

    def _fold(self, answer: Answer, body: bytes, whole: bool) -> None:
        reader = payloads.PayloadReader(answer, self._options.answer_path)
        if self.streamed:
            read_events(answer, body, lambda kind, part, end: reader.feed(part, end) if kind == "PayloadPart" else None)
            if whole and answer.reading.failure is None:
                _guarded(answer, lambda: reader.last_line(answer.read_to))
        elif whole:
            answer.read_to = len(body)
            _guarded(answer, lambda: reader.document(body))
        reader.settle(len(body))


def _guarded(answer: Answer, read: Callable[[], None]) -> None:
    try:
        read()
    except MALFORMED:  # without the cause: it may quote the answer
        answer.fail("decode", "the response is not of a known form; `answer_path` can say where its text stands")


def endpoint_name(spec: EndpointSpec) -> str:
    """The endpoint's name at SageMaker."""
    return spec.options.endpoint_name or spec.name


def _fixed_arguments(spec: EndpointSpec) -> dict[str, Any]:
    options: Options = spec.options
    arguments = {"EndpointName": endpoint_name(spec), "ContentType": "application/json",
                 "TargetVariant": options.target_variant, "InferenceComponentName": options.inference_component,
                 "TargetModel": options.target_model, "TargetContainerHostname": options.target_container_hostname,
                 "SessionId": options.session_id, "CustomAttributes": options.custom_attributes,
                 "PrefixAwareId": options.prefix_aware_id}
    return {key: value for key, value in arguments.items() if value is not None}
