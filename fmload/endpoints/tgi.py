"""TGI's own protocol: `/generate_stream` and `/generate`."""

from __future__ import annotations

from typing import Any

from fmload.config.schema import EndpointSpec
from fmload.endpoints import json_answers, payloads
from fmload.endpoints.http import HttpOptions, HttpProtocol
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

_END = "a finish reason"


class Tgi:
    """The codec of one endpoint."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._parameters = spec.parameters
        self._streamed = spec.stream

    def body(self, prompt: Prompt) -> dict[str, Any]:
        return payloads.inputs_body(prompt, {**self._parameters, **prompt.parameters}, stream=False, details=True)

    def read(self, exchange: Exchange) -> Reading:
        return json_answers.read(exchange, payloads.read_known, _END, self._streamed)

    def carries_token(self, body: bytes) -> bool:
        return json_answers.has_token(body, payloads.read_known)


def _path(base: str, spec: EndpointSpec) -> str:
    return base + ("/generate_stream" if spec.stream else "/generate")


TGI = HttpProtocol(HttpOptions, Tgi, _path)
