"""Embeddings, rankings, images and sound by InvokeEndpoint (SageMaker) and InvokeModel (Bedrock), in the body of the
container or the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from fmload.config.schema import EndpointSpec
from fmload.endpoints import aws
from fmload.endpoints.aws_errors import http_failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire import botocore_transport
from fmload.wire.exchange import Address, Exchange, Wire


class AwsInputs:
    """One endpoint or model that embeds, ranks, makes images, transcribes or speaks. `arguments` is what its client is
    called with, `body` the name of the one that takes the body; `codec` makes that of a prompt, and reads answers."""

    streamed = False

    def __init__(self, spec: EndpointSpec, client: Any, operation: str, call: Callable[..., Any],
                 arguments: Mapping[str, Any], codec: Any, body: str, id_argument: str | None = None) -> None:
        """Raises FmloadError for arguments that the service does not take."""
        self.name, self._spec, self._client, self._call = spec.name, spec, client, call
        self._fixed, self._codec, self._body, self._id_argument = dict(arguments), codec, body, id_argument
        aws.check_arguments(spec.name, client, operation, self.arguments(Prompt("sample", "sample", "hello")))

    def addresses(self) -> list[Address]:
        return aws.addresses(self._client, self._spec, self._spec.options)

    def arguments(self, prompt: Prompt) -> dict[str, Any]:
        """What the client is called with for this prompt."""
        encode, own = getattr(self._codec, "encode", None), getattr(self._codec, "arguments", None)
        body = self._codec.body(prompt)
        return {**self._fixed, **({} if own is None else own(prompt)),
                self._body: orjson.dumps(body) if encode is None else encode(body, prompt)}

    def send(self, prompt: Prompt, request_id: str, wire: Wire, address: Address) -> Exchange:
        header, arguments = self._spec.request_id_header, self.arguments(prompt)
        if self._id_argument is not None:
            arguments[self._id_argument] = request_id
        return botocore_transport.exchange(self._call, arguments, wire, address, self.carries_token,
                                           {header: request_id} if header else {})

    def read(self, exchange: Exchange) -> Reading:
        failure = http_failure(exchange)
        if failure is not None:
            return Reading(failure=failure)
        reading: Reading = self._codec.read(exchange)
        return reading

    def carries_token(self, body: bytes) -> bool:
        return bool(self._codec.carries_token(body))

    def expects(self, prompt: Prompt) -> Any:
        """What the answer to a prompt has to be (`fmload.worker.wanted`)."""
        return self._codec.expects(prompt)

    def check(self, prompt: Prompt) -> None:
        """Raises FmloadError for a prompt that cannot be asked in this form."""
        self._codec.check(prompt)
