"""Every protocol over HTTP, and what of it is there to be held by a test; and answers of the emulator in each, without
sockets.

A protocol passes the conformance tests by standing in PROTOCOLS. docs/protocols.md is made of it:
`python -m tests.protocols`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
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
from fmload.wire.exchange import Address, CarriesToken, Exchange, HttpRequest, ReadMark
from tests.kept_line import KeptLine
from tests.spoken import spoken

INPUT, TOKENS, DIMENSION = 9, 6, 16
PLAIN = Shape()
WORDS = [" one", " two", " three", " für", " five", " six"]  # one of them is longer than its characters
CALL = {"tools": [{"type": "function", "function": {
            "name": "look_up", "description": "looks up", "parameters": {
                "type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}}}],
        "tool_choice": "required"}


@dataclass(frozen=True)
class Spoken:
    """One protocol, in one way of speaking it. What is not in `has` the protocol itself has not.

    `has`: `images`, `sound`, `video` (in a prompt, beside its text), `counts` (the server tells tokens), `cached` (and
    those of them that a prefix cache held), `thinking` (in a channel of its own), `tools` (calls), `filter` (an end by
    a filter), `times` (of the server's own), `session` (a conversation that the server holds), `finish` (why the answer
    ended), `chat` (turns, not one text).
    """

    protocol: str
    has: frozenset[str]
    keys: Mapping[str, Any] = field(default_factory=dict)
    said_of_limit: str = "length"  # the finish reason of an answer that came to its limit
    each: bool = True  # each chunk's tokens are known

    def endpoint(self, **keys: Any) -> HttpEndpoint:
        return spoken(self.protocol, **{**self.keys, **keys})


ALL = frozenset({"counts", "cached", "thinking", "tools", "filter", "finish", "chat", "images"})
MEDIA = frozenset({"sound", "video"})
PROTOCOLS: Mapping[str, Spoken] = {
    "openai chat": Spoken("openai", ALL | MEDIA),
    "openai completions": Spoken("openai", ALL - {"thinking", "tools", "chat", "images"}, {"api": "completions"}),
    "openai on Azure": Spoken("openai", ALL | MEDIA, {
        "url": "https://r.openai.azure.com", "api_version": "2024-10-21"}),
    "anthropic": Spoken("anthropic", ALL, said_of_limit="max_tokens"),
    "gemini": Spoken("gemini", ALL | MEDIA, said_of_limit="MAX_TOKENS"),
    "gemini on Vertex": Spoken("gemini", ALL | MEDIA, {
        "url": "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"},
        said_of_limit="MAX_TOKENS"),
    "tgi": Spoken("tgi", frozenset({"counts", "finish"})),
    "ollama": Spoken("ollama", frozenset({"counts", "thinking", "tools", "finish", "chat", "times", "images"})),
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


class KeepsRequest:
    """A wire that sends nothing."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []

    def exchange(self, address: Address, request: HttpRequest, carries_token: CarriesToken) -> Exchange:
        self.requests.append(request)
        return Exchange(str(address), status=200, complete=True)


def sent(endpoint: Any, prompt: Prompt = PROMPT) -> HttpRequest:
    """The request that an endpoint, over HTTP or of AWS, makes of a prompt."""
    wire: Any = KeepsRequest()
    endpoint.send(prompt, "r1", wire, endpoint.addresses()[0])
    found: HttpRequest = wire.requests[0]
    return found


def received(request: HttpRequest) -> Request:
    """The request as the emulator reads it."""
    path, _, query = request.target.partition("?")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return Request("POST", path, {"authorization": "Bearer x", **headers}, request.body, 0, query)


def answered(endpoint: Any, prompt: Prompt = PROMPT, shape: Shape = PLAIN, fault: str | None = None,
             tokens: int = TOKENS, cached: int = 0) -> Answered:
    """What the emulator answers to the endpoint's own request."""
    settings = Settings(profile=PROFILES["instant"], shape=shape, dimension=DIMENSION)
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


# --- the page ---

PAGE = Path(__file__).parents[1] / "docs" / "protocols.md"
_HELD = "unit/endpoints/test_protocols.py::"
FEATURES: Mapping[str, tuple[str, str]] = {
    "counts": ("token counts of the server", "test_the_servers_counts_are_read"),
    "cached": ("cached input", "test_cached_input_is_part_of_the_input"),
    "thinking": ("thinking", "test_thinking_is_a_channel_of_its_own_and_counted"),
    "tools": ("calls of tools", "test_a_call_of_a_tool_is_kept_with_its_arguments"),
    "filter": ("ended by a filter", "test_an_answer_that_a_filter_ended_is_blocked"),
    "finish": ("why it ended", "test_a_stream_that_ends_without_its_end_is_truncated"),
    "times": ("times of the server's own", "test_the_servers_own_times_are_kept"),
    "session": ("conversation at the server", "test_a_conversation_that_the_server_holds_goes_on_from_its_last_answer"),
    "chat": ("turns", "test_a_conversation_keeps_its_turns"),
    "images": ("images in the prompt", "test_what_is_no_text_in_a_prompt_arrives_whole"),
    "sound": ("sound in the prompt", "test_what_is_no_text_in_a_prompt_arrives_whole"),
    "video": ("video in the prompt", "test_what_is_no_text_in_a_prompt_arrives_whole"),
}
OF_ALL = (
    ("the request is understood by a server of the protocol",
     "test_the_request_is_understood_by_a_server_of_the_protocol"),
    ("streams, and the end of each token in them", "test_a_stream_is_read_to_the_truth"),
    ("answers in one piece", "test_an_answer_in_one_piece_is_read_to_the_truth"),
    ("one where the other was asked for", "test_whatever_was_asked_for_what_comes_is_read"),
    ("streams cut at every byte", "test_a_stream_that_broke_off_anywhere_keeps_what_had_come"),
    ("several events in one read", "test_several_events_in_a_write_are_as_many_chunks"),
    ("pings", "test_a_ping_before_the_first_token_is_no_token"),
    ("errors in the stream", "test_an_error_in_the_stream_is_a_failure_with_the_servers_words"),
    ("statuses", "test_statuses_are_failures_with_the_servers_words"),
    ("no token, no message", "test_no_token_is_empty_and_what_is_no_message_is_told"),
    ("false counts", "test_counts_that_cannot_be_true_are_set_aside"),
    ("given up at the very token", "test_a_request_is_given_up_at_the_very_token"),
    ("keys that a server echoes", "test_the_key_of_an_echoing_server_is_in_no_record"),
    ("resumed runs", "test_a_run_that_is_resumed_asks_the_same"),
)
_IN_A_RUN = "integration/test_protocols_in_a_run.py::test_what_is_published_of_a_protocol_is_the_truth"
_SDKS = "integration/emulator/test_sdks.py::"
_SERVER = "integration/emulator/test_server.py::"
_ENGINE = "integration/test_real_engine.py::test_its_other_protocols_are_read_to_its_own_counts"
# What each has met beside the emulator: (whose, by which test); and what it has not.
MET: Mapping[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "openai": ((("openai's SDK", _SERVER + "test_the_openai_sdk_streams_from_it"),
                ("openai's SDK on Azure's paths", _SERVER + "test_the_openai_sdk_speaks_azure_with_it"),
                ("llama.cpp", "integration/test_real_engine.py::"
                              "test_a_run_agrees_with_the_metrics_that_the_engine_serves")), "OpenAI, Azure"),
    "responses": ((("openai's SDK", _SERVER + "test_the_openai_sdk_takes_its_responses"), ("llama.cpp", _ENGINE)),
                  "OpenAI, Azure, Bedrock, SageMaker"),
    "anthropic": ((("anthropic's SDK", _SDKS + "test_anthropics_sdk_takes_thinking_text_and_usage"),
                   ("llama.cpp", _ENGINE)), "Anthropic, Bedrock's mantle"),
    "gemini": ((("google-genai", _SDKS + "test_googles_sdk_takes_thoughts_text_and_usage"),), "AI Studio, Vertex AI"),
    "tgi": ((("huggingface_hub", _SDKS + "test_hugging_faces_client_takes_tgis_events"),), "TGI itself"),
    "ollama": ((), "Ollama itself"),
    "llama_cpp": ((("llama.cpp", _ENGINE),), ""),
    "triton": ((), "Triton itself"),
}
_HEAD = """# Protocols

What an endpoint may speak (`protocol:` of the run file), beside SageMaker's and Bedrock's runtimes ([AWS](aws.md)).
Every one is read by the same stamped reader. Written by `python -m tests.protocols`; a test holds this page to its
tables, and every test that it names to the tests.

| protocol | for example |
|---|---|
"""
EXAMPLES = (
    ("`openai`", "`{protocol: openai, url: http://h:8000/v1, model: m}`; `api: completions` for texts"),
    ("`openai` on Azure", "`{protocol: openai, url: https://R.openai.azure.com, api_version: 2024-10-21, model: "
     "DEPLOYMENT, api_key_env: KEY}`, or `url: https://R.openai.azure.com/openai/v1` without a "
     "version"),
    ("`openai` on KServe", "`{protocol: openai, url: http://GATEWAY/openai/v1, model: m, headers: {Host: "
     "m.default.example.com}}`; V2's own generate paths: `{protocol: triton, url: http://GATEWAY, model: m, backend: "
     "vllm}`"),
    ("`responses`", "`{protocol: responses, url: https://api.openai.com/v1, model: m, api_key_env: OPENAI_API_KEY}`; "
     "on Bedrock and SageMaker with `auth:` as for `openai`"),
    ("`anthropic`", "`{protocol: anthropic, url: https://api.anthropic.com, model: m, api_key_env: "
     "ANTHROPIC_API_KEY, cache: 5m}`; servers that want a bearer token: `api_key_header: "
     "Authorization`"),
    ("`gemini`", "`{protocol: gemini, url: https://generativelanguage.googleapis.com, model: m, api_key_env: "
     "GEMINI_API_KEY}`; Vertex AI: `url: "
     "https://L-aiplatform.googleapis.com/v1/projects/P/locations/L`, with an access token in the "
     "variable"),
    ("`tgi`", "`{protocol: tgi, url: http://h:8080}`"),
    ("`ollama`", "`{protocol: ollama, url: http://h:11434, model: m}`"),
    ("`llama_cpp`", "`{protocol: llama_cpp, url: http://h:8080}`; the text goes without a chat template"),
    ("`triton`", "`{protocol: triton, url: http://h:8000, model: ensemble}`; `backend: vllm` puts the parameters "
     "where that backend looks"),
)
_TAIL = """
Prompts and parameters are those of a chat in OpenAI's form, and are said in each protocol's own (`max_tokens`,
`stop`, `tools`, pictures, calls and what tools gave). What a protocol has no word for is sent as it is, for the
server to refuse; Ollama, which has no choice of a tool, gets none.

Responses are never stored and never run in the background; with `session_state: server` they are stored, and
conversations and agents whose answers are the server's own go on by `previous_response_id`: each turn sends what
is new.

"""


_BY_HAND = """
vLLM (`openai`, `responses`, `anthropic`, `embeddings`, `rerank`), infinity (`embeddings`, `rerank`) and
`transformers serve` (`openai`, `responses`) are checks by hand, with what was seen: [Conformance](conformance.md).
"""
_LITELLM = """
## LiteLLM's proxy, a check by hand

The proxy (`pip install 'litellm[proxy]'`, in an environment of its own) speaks `openai`, `responses` and `anthropic` to
its clients and others behind it, so that it holds both the reader and the emulator to its own idea of them. On
2026-11-29 its three paths were asked for each of three models, streamed and whole; behind it was the emulator, as
`openai/…`, `anthropic/…` and `hosted_vllm/…`:
```yaml
model_list:
  - {model_name: m, litellm_params: {model: openai/emulated, api_base: http://127.0.0.1:8080/v1, api_key: none}}
  - {model_name: claude, litellm_params: {model: anthropic/emulated, api_base: http://127.0.0.1:8080, api_key: none}}
  - model_name: hosted
    litellm_params: {model: hosted_vllm/emulated, api_base: http://127.0.0.1:8080/v1, api_key: none}
```
All 18 answers were `ok` with the emulator's own counts (10 tokens in, 30 out) and, streamed, 30 chunks.
"""


def page() -> str:
    """The whole page."""
    rows = [f"| {name} | " + " | ".join("yes" if feature in one.has else "–" for feature in FEATURES) + " |\n"
            for name, one in PROTOCOLS.items()]
    titles = " | ".join(title for title, _ in FEATURES.values())
    examples = [f"| {name} | {text} |\n" for name, text in EXAMPLES]
    parts = [_HEAD, *examples, _TAIL, "## What each has\n\n",
             "A – is nothing that is missing here: the protocol itself has no such thing.\n\n",
             f"| protocol | {titles} |\n|---|{'---|' * len(FEATURES)}\n", *rows,
             "\nEach column is held by one test, for every protocol that says yes:\n\n",
             *(f"- {title}: `{_HELD}{test}`\n" for title, test in FEATURES.values()),
             "\nAnd for every protocol alike:\n\n", *(f"- {what}: `{_HELD}{test}`\n" for what, test in OF_ALL),
             "\n## What each has met\n\nThe emulator speaks all of them, so that each is measured end to end "
             f"beside the truth (`{_IN_A_RUN}`). "
             "Beside it, the providers' own clients take what the emulator says, and real servers are asked:\n\n"
             "| protocol | met | never met |\n|---|---|---|\n", *map(_met_row, MET), _BY_HAND, _LITELLM]
    return "".join(parts)


def _met_row(name: str) -> str:
    met, never = MET[name]
    return f"| `{name}` | {'<br>'.join(f'{whose}: `{test}`' for whose, test in met) or '–'} | {never or '–'} |\n"


def named() -> list[str]:
    """Every test that the page names."""
    return [*(_HELD + test for _, test in (*FEATURES.values(), *OF_ALL)),
            *(test for met, _ in MET.values() for _, test in met),
            _IN_A_RUN]


if __name__ == "__main__":
    PAGE.write_text(page())
