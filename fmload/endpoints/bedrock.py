"""Bedrock models: ConverseStream and Converse, InvokeModelWithResponseStream and InvokeModel."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

import orjson
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.model import Rule, Strict
from fmload.config.schema import EndpointSpec
from fmload.endpoints import aws, converse
from fmload.endpoints.answer import MALFORMED, Answer, read_events
from fmload.endpoints.aws_errors import http_failure
from fmload.endpoints.aws_inputs import AwsInputs
from fmload.endpoints.base import ALL_MEDIA, Made
from fmload.endpoints.bedrock_bodies import DIALECTS, Family, family_of, read_converse, read_converse_whole
from fmload.endpoints.failures import failure_of_error
from fmload.endpoints.image_forms import FORMS as IMAGE_FORMS
from fmload.endpoints.image_forms import ImageForm, ImagesCodec, image_form_of
from fmload.endpoints.input_forms import FORMS, InputForm, InputsCodec, form_of_model, made_in
from fmload.endpoints.lenient_json import loads
from fmload.endpoints.openai_answer import OpenAIAnswer
from fmload.endpoints.reasoning_tags import Tag, split
from fmload.endpoints.usage import whole as count_of
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire import botocore_transport
from fmload.wire.exchange import Address, Exchange, Wire


class Guardrail(Strict):
    """A guardrail that every request passes."""

    identifier: str
    version: str = "DRAFT"


class Options(aws.AwsOptions):
    """Keys of a Bedrock endpoint. `model` is a model id, an inference profile, or an ARN of either."""

    api: Literal["converse", "invoke"] = Field("converse", description="one form for all models, or the model's own")
    family: Literal[Family, InputForm, ImageForm] | None = Field(
        None, description="for `api: invoke`, where the model's name does not tell")
    dimension: int | None = Field(None, ge=1, description="of embeddings: numbers of a vector; others are failures")
    any_size: bool = Field(False, description="of images: they may have another size than was asked for")
    service_tier: Literal["priority", "default", "flex", "reserved"] | None = None
    latency: Literal["standard", "optimized"] | None = Field(None, description="latency-optimised inference")
    guardrail: Guardrail | None = None
    cache: Literal["5m", "1h"] | None = Field(
        None, description="put cache points behind tools, system and last turn: the prompt cache keeps them so long")
    reasoning_tags: Tag = Field(None, description="think: text between <think> and </think> is reasoning")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if "family" in given and given.get("api") != "invoke":
            yield "family", "only `api: invoke` speaks a family's own form"
        if "cache" in given and given.get("api") == "invoke":
            yield "cache", "belongs to `api: converse`; InvokeModel takes cache_control in the prompts' own messages"


# (api, streamed): operation
_OPERATIONS = {("converse", True): "ConverseStream", ("converse", False): "Converse",
               ("invoke", True): "InvokeModelWithResponseStream", ("invoke", False): "InvokeModel"}
_METHODS = {"ConverseStream": "converse_stream", "Converse": "converse",
            "InvokeModelWithResponseStream": "invoke_model_with_response_stream", "InvokeModel": "invoke_model"}


# Of the families' own forms, as `bedrock_bodies` makes them.
_CARRIED = {"anthropic": frozenset({"images"}), "openai": ALL_MEDIA}


class Bedrock:
    """One model on Bedrock."""

    Options = Options

    def __init__(self, spec: EndpointSpec, client: Any, family: Family | None) -> None:
        self.name = spec.name
        self.streamed = spec.stream
        self._spec = spec
        self._options: Options = spec.options
        self._client = client
        self._dialect = DIALECTS[family] if family else None
        self.operation = _OPERATIONS[self._options.api, spec.stream]
        self._call = getattr(client, _METHODS[self.operation])

    @staticmethod
    def makes(given: Mapping[str, Any]) -> Made:
        """What the model's answers are, by its name or its `family`."""
        model, family = str(given.get("model") or ""), given.get("family")
        if (form := family if family in FORMS else form_of_model(model)) is not None:
            return made_in(form)
        return "images" if family in IMAGE_FORMS or image_form_of(model) else "text"

    @classmethod
    def carries(cls, given: Mapping[str, Any]) -> frozenset[str]:
        """The kinds of media that prompts may hold: of Converse all, of a family's own form what it has."""
        if cls.makes(given) != "text":
            return frozenset()
        if given.get("api", "converse") == "converse":
            return ALL_MEDIA
        return _CARRIED.get(str(given.get("family") or family_of(str(given.get("model") or ""))), frozenset())

    @classmethod
    def from_spec(cls, spec: EndpointSpec) -> Bedrock | AwsInputs:
        """Raises FmloadError without a model, region or credentials, or for parameters that Bedrock does not take.
        Models that embed, rank or make images have no Converse: they are invoked, whatever `api` says."""
        if spec.model is None:
            raise FmloadError(f"endpoint '{spec.name}': no model",
                              hint="write `model:` with a model id, an inference profile, or an ARN")
        if codec := _codec(spec, spec.options):
            client = aws.make_client("bedrock-runtime", spec, spec.options)
            fixed = {**_invoke_extras(spec.options), "modelId": spec.model, "contentType": "application/json"}
            return AwsInputs(spec, client, "InvokeModel", client.invoke_model, fixed, codec, "body")
        endpoint = cls(spec, aws.make_client("bedrock-runtime", spec, spec.options), _family(spec))
        sample = endpoint.arguments(Prompt("sample", "sample", "hello"))
        aws.check_arguments(spec.name, endpoint._client, endpoint.operation, sample)
        return endpoint

    def addresses(self) -> list[Address]:
        return aws.addresses(self._client, self._spec, self._options)

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        header = self._spec.request_id_header
        return botocore_transport.exchange(self._call, self.arguments(prompt), wire, address, self.carries_token,
                                           {header: request_id} if header else {})

    def read(self, exchange: Exchange) -> Reading:
        answer = Answer()
        failure = http_failure(exchange)
        if failure is not None:
            answer.reading.failure = failure
            return answer.reading
        _read_headers(answer, exchange.headers)
        self._fold(answer, exchange.body, exchange.complete)
        reading = answer.settle(exchange, "messageStop or a stop reason", self.streamed)
        split(reading, self._options.reasoning_tags)
        return reading

    def carries_token(self, body: bytes) -> bool:
        answer = Answer()
        self._fold(answer, body, whole=False)
        return bool(answer.reading.chunks)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be said in the form of the operation."""
        self.arguments(prompt)

    def arguments(self, prompt: Prompt) -> dict[str, Any]:
        """What the client is called with for this prompt."""
        options, parameters = self._options, self._spec.parameters
        if self._dialect is None:
            made = {**_converse_extras(options), **converse.arguments(prompt, parameters), "modelId": self._spec.model}
            return made if options.cache is None else converse.marked(made, options.cache)
        return {**_invoke_extras(options), "modelId": self._spec.model, "contentType": "application/json",
                "body": orjson.dumps(self._dialect.body(prompt, parameters))}

    def _fold(self, answer: Answer, body: bytes, whole: bool) -> None:
        reader = OpenAIAnswer(answer.reading)  # of families that answer in that form
        if self.streamed:
            read_events(answer, body, lambda kind, payload, end: self._on_event(answer, reader, kind, payload, end))
        elif whole:
            answer.read_to = len(body)
            try:
                document = loads(body)
                if document.get("error"):
                    failure = failure_of_error(document)
                    answer.fail(failure.outcome, failure.message)
                else:
                    self._read(answer, reader, document, len(body))
            except MALFORMED:  # without the cause: it may quote the answer
                answer.fail("decode", f"the response is not what {self.operation} returns")
        if reader.begun:
            reader.settle(len(body))
            answer.ended |= answer.reading.finish_reason is not None

    def _on_event(self, answer: Answer, reader: OpenAIAnswer, kind: str, payload: bytes, end: int) -> None:
        if self._dialect is None:
            read_converse(answer, {kind: loads(payload)}, end)
        elif kind == "chunk":
            event = loads(base64.b64decode(loads(payload)["bytes"]))
            metrics = event.pop("amazon-bedrock-invocationMetrics", None)
            if event:
                self._read(answer, reader, event, end)
            if metrics:
                _read_metrics(answer, metrics)

    def _read(self, answer: Answer, reader: OpenAIAnswer, event: Any, end: int) -> None:
        """One event or whole answer: in OpenAI's form, whatever the family, or in the family's own."""
        if self._dialect is None:
            read_converse_whole(answer, event, end)
            return
        if event.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            answer.fail("blocked", "the answer was ended or replaced by a guardrail")
        if self._dialect.read is None or isinstance(event.get("choices"), list):
            reader.add(end, event)
        else:
            self._dialect.read(answer, event, end)


def _codec(spec: EndpointSpec, options: Options) -> InputsCodec | ImagesCodec | None:
    """Of a model that embeds, ranks or makes images, told from its name or its `family`; None of one of texts."""
    model = spec.model or ""
    if form := options.family if options.family in FORMS else form_of_model(model):
        return InputsCodec(spec.name, form, spec.parameters, options.dimension)
    if form := options.family if options.family in IMAGE_FORMS else image_form_of(model):
        return ImagesCodec(spec.name, form, spec.parameters, any_size=options.any_size)
    return None


def _family(spec: EndpointSpec) -> Family | None:
    """The family that InvokeModel needs; None for Converse, which needs none."""
    options: Options = spec.options
    if options.api == "converse":
        return None
    family = cast(Family | None, options.family) or family_of(spec.model or "")
    if family is None:
        raise FmloadError(f"endpoint '{spec.name}': the name '{spec.model}' does not tell the model's family",
                          hint=f"write `family:` ({', '.join(DIALECTS)}), or `api: converse`")
    return family


def _converse_extras(options: Options) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if options.service_tier:
        extras["serviceTier"] = {"type": options.service_tier}
    if options.latency:
        extras["performanceConfig"] = {"latency": options.latency}
    if options.guardrail:
        extras["guardrailConfig"] = {"guardrailIdentifier": options.guardrail.identifier,
                                     "guardrailVersion": options.guardrail.version}
    return extras


def _invoke_extras(options: Options) -> dict[str, Any]:
    guardrail = options.guardrail
    extras = {"serviceTier": options.service_tier, "performanceConfigLatency": options.latency,
              "guardrailIdentifier": guardrail and guardrail.identifier,
              "guardrailVersion": guardrail and guardrail.version}
    return {key: value for key, value in extras.items() if value is not None}


def _read_headers(answer: Answer, headers: Mapping[str, str]) -> None:
    """InvokeModel tells in headers what Converse tells in its body."""
    answer.note("request_id", headers.get("x-amzn-requestid"))
    answer.note("serviceTier", headers.get("x-amzn-bedrock-service-tier"))
    counts = [count_of(headers.get(f"x-amzn-bedrock-{side}-token-count")) for side in ("input", "output")]
    if None not in counts:
        answer.usage(counts[0], counts[1])
    answer.note("latencyMs", count_of(headers.get("x-amzn-bedrock-invocation-latency")))


def _read_metrics(answer: Answer, metrics: Mapping[str, Any]) -> None:
    """Bedrock's own account, in the last chunk of InvokeModelWithResponseStream. Its input count leaves out what was
    read from the cache or written to it."""
    if not answer.output_told and answer.reading.output_tokens is None:
        answer.tell(metrics)
        answer.wrote(metrics.get("cacheWriteInputTokenCount"))
    answer.note("latencyMs", metrics.get("invocationLatency"))
    answer.note("firstByteLatencyMs", metrics.get("firstByteLatency"))
