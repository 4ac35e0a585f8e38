"""Every protocol over HTTP, and what of it is there to be held by a test; and answers of the emulator in each, without
sockets.

A protocol passes the conformance tests by standing in PROTOCOLS. docs/protocols.md is made of it:
`python -m tests.protocols`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fmload.emulator import faults, planes
from fmload.emulator.answer import EmulatedAnswer
from fmload.emulator.engine import Job
from fmload.emulator.http import Request
from fmload.emulator.profiles import PROFILES
from fmload.emulator.settings import Settings
from fmload.emulator.shape import Shape
from fmload.emulator.truth import Truth
from fmload.endpoints.http import HttpEndpoint
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange, HttpRequest, ReadMark
from tests.kept_line import KeptLine
from tests.spoken import spoken

INPUT, TOKENS = 9, 6
PLAIN = Shape()
WORDS = [" one", " two", " three", " für", " five", " six"]  # one of them is longer than its characters
CALL = {"tools": [{"type": "function", "function": {
            "name": "look_up", "description": "looks up", "parameters": {
                "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}}}],
        "tool_choice": "required"}


@dataclass(frozen=True)
class Spoken:
    """One protocol, in one way of speaking it. What is not in `has` the protocol itself has not.

    `has`: `counts` (the server tells tokens), `cached` (and those of them that a prefix cache held), `thinking` (in a
    channel of its own), `tools` (calls), `filter` (an end by a filter), `times` (of the server's own), `session` (a
    conversation that the server holds), `finish` (why the answer ended), `chat` (turns, not one text).
    """

    protocol: str
    has: frozenset[str]
    keys: Mapping[str, Any] = field(default_factory=dict)
    said_of_limit: str = "length"  # the finish reason of an answer that came to its limit
    each: bool = True  # each chunk's tokens are known

    def endpoint(self, **keys: Any) -> HttpEndpoint:
        return spoken(self.protocol, **{**self.keys, **keys})


ALL = frozenset({"counts", "cached", "thinking", "tools", "filter", "finish", "chat"})
PROTOCOLS: Mapping[str, Spoken] = {
    "openai chat": Spoken("openai", ALL),
    "openai completions": Spoken("openai", ALL - {"thinking", "tools", "chat"}, {"api": "completions"}),
    "openai on Azure": Spoken("openai", ALL, {"url": "https://r.openai.azure.com", "api_version": "2024-10-21"}),
    "anthropic": Spoken("anthropic", ALL, said_of_limit="max_tokens"),
    "gemini": Spoken("gemini", ALL, said_of_limit="MAX_TOKENS"),
    "gemini on Vertex": Spoken("gemini", ALL, {
        "url": "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"},
        said_of_limit="MAX_TOKENS"),
    "tgi": Spoken("tgi", frozenset({"counts", "finish"})),
    "ollama": Spoken("ollama", frozenset({"counts", "thinking", "tools", "finish", "chat", "times"})),
    "llama_cpp": Spoken("llama_cpp", frozenset({"counts", "cached", "finish", "times"}), said_of_limit="limit"),
    "triton": Spoken("triton", frozenset(), each=False),
    "triton of vLLM": Spoken("triton", frozenset(), {"backend": "vllm"}, each=False),
    "responses": Spoken("responses", ALL | {"session"}, said_of_limit="max_output_tokens"),
}
PROMPT = Prompt("p", "s", text="hello there", output_tokens=TOKENS)


@dataclass
class Answered:
    """An answer of the emulator as the wire would hand it on. `ends[i]`: the body's length once token i was written."""

    exchange: Exchange
    truth: Truth
    ends: list[int]


def sent(endpoint: HttpEndpoint, prompt: Prompt = PROMPT) -> HttpRequest:
    return endpoint.request(prompt, "r1", endpoint.addresses()[0])


def received(request: HttpRequest) -> Request:
    """The request as the emulator reads it."""
    path, _, query = request.target.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request("POST", path, {"authorization": "Bearer x", **headers}, request.body, 0, query)


def answered(endpoint: HttpEndpoint, prompt: Prompt = PROMPT, shape: Shape = PLAIN, fault: str | None = None,
             tokens: int = TOKENS, cached: int = 0) -> Answered:
    """What the emulator answers to the endpoint's own request."""
    settings = Settings(profile=PROFILES["instant"], shape=shape)
    request = received(sent(endpoint, prompt))
    plane = planes.plane_of(request.path)
    assert plane is not None, request.path
    opened = planes.open_request(plane, request, 0, settings)
    line, truth = KeptLine(), Truth("id", 0)
    answer = EmulatedAnswer(line, plane, opened, Job(INPUT, tokens, cached), truth, shape,
                            faults.parse(fault) if fault else None, lambda index: WORDS[index % len(WORDS)])
    answer.begin(0)
    ends: list[int] = []
    for index in range(tokens):
        if line.ended is None:
            answer.token(index + 1)
            ends.append(len(line.body))
    return Answered(_exchange(line), truth, ends)


def _exchange(line: KeptLine) -> Exchange:
    status = int(line.head.split(" ")[1])
    chunked = "Transfer-Encoding: chunked" in line.head
    body = line.body
    exchange = Exchange("http://h:8000", status=status, body=body, complete=line.complete or not chunked,
                        headers={name.lower(): value for name, _, value in
                                 (row.partition(": ") for row in line.head.split("\r\n")[1:])})
    exchange.marks = [ReadMark(len(body), 1, 0, True)]
    return exchange


def reading_of(endpoint: HttpEndpoint, **keys: Any) -> Reading:
    return endpoint.read(answered(endpoint, **keys).exchange)


def body_of(request: HttpRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.body)
    return found
