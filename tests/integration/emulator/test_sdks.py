"""The providers' own SDKs against the emulator: what they accept is what the services send.

Each takes seconds to import: the tests that need it do so, and not every process that collects tests.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient

from tests.integration.emulator.conftest import Emulate

if TYPE_CHECKING:
    import anthropic
    import cohere
    import httpx
    from google import genai

HELLO: Any = [{"role": "user", "content": "hi"}]


def claude(url: str) -> anthropic.Anthropic:
    import anthropic

    return anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)


def test_anthropics_sdk_takes_thinking_text_and_usage(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--natural-tokens", "20", "--shape",
                     "reasoning_tokens=2,tokens_per_chunk=3")
    with claude(server.url).messages.stream(model="m", messages=HELLO, max_tokens=100) as stream:
        kinds = [event.type for event in stream]
        last = stream.get_final_message()
    assert {"message_start", "content_block_start", "thinking", "signature", "text", "message_stop"} <= set(kinds)
    assert [block.type for block in last.content] == ["thinking", "text"]
    assert (last.usage.output_tokens, last.stop_reason) == (20, "end_turn")
    whole = claude(server.url).messages.create(model="m", messages=HELLO, max_tokens=100)
    said, whole_said = last.content[1], whole.content[1]
    assert said.type == whole_said.type == "text" and said.text == whole_said.text and whole.usage.output_tokens == 20


def test_anthropics_sdk_takes_a_call_of_a_tool(emulate: Emulate) -> None:
    server = emulate("--profile", "instant", "--natural-tokens", "6")
    tools: Any = [{"name": "look_up", "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}}}]
    with claude(server.url).messages.stream(model="m", messages=HELLO, max_tokens=60, tools=tools,
                                            tool_choice={"type": "any"}) as stream:
        (call,) = stream.get_final_message().content
    assert call.type == "tool_use" and call.name == "look_up" and len(str(call.input["word"]).split()) == 6


def test_anthropics_sdk_reads_the_errors_and_the_cache(emulate: Emulate) -> None:
    import anthropic

    server = emulate("--profile", "instant", "--prefix-cache", "--api-key", "none")
    with pytest.raises(anthropic.RateLimitError):
        claude(server.url).messages.create(model="m", messages=HELLO, max_tokens=5,
                                           extra_headers={"X-Emulator-Fault": "429"})
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=server.url, api_key="other", max_retries=0).messages.create(
            model="m", messages=HELLO, max_tokens=5)
    with pytest.raises(anthropic.APIStatusError, match="emulated failure"):
        list(claude(server.url).messages.create(model="m", messages=HELLO, max_tokens=5, stream=True,
                                                extra_headers={"X-Emulator-Fault": "error:after=2"}))
    long: Any = [{"role": "user", "content": [{"type": "text", "text": "word " * 200,
                                               "cache_control": {"type": "ephemeral"}}]}]
    first, second = (claude(server.url).messages.create(model="m", messages=long, max_tokens=5) for _ in range(2))
    assert (first.usage.cache_creation_input_tokens or 0) > 150 and not first.usage.cache_read_input_tokens
    assert (second.usage.cache_read_input_tokens or 0) > 150


def gemini(url: str) -> genai.Client:
    from google import genai
    from google.genai import types

    return genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))


@pytest.mark.parametrize("form", ["AI Studio", "Vertex AI"])
def test_googles_sdk_takes_thoughts_text_and_usage(emulate: Emulate, form: str) -> None:
    from google import genai
    from google.genai import types

    server = emulate("--profile", "instant", "--shape", "reasoning_tokens=2,tokens_per_chunk=3")
    client = gemini(server.url)
    model = "m" if form == "AI Studio" else "projects/p/locations/l/publishers/google/models/m"
    config = types.GenerateContentConfig(max_output_tokens=20, system_instruction="Be brief.", temperature=0.5)
    if form == "Vertex AI":
        client = genai.Client(vertexai=True, api_key="none", http_options=types.HttpOptions(
            base_url=server.url, api_version="v1"))
    responses = list(client.models.generate_content_stream(model=model, contents="hi", config=config))
    parts = [part for response in responses for candidate in response.candidates or ()
             for part in (candidate.content.parts if candidate.content and candidate.content.parts else ())]
    assert len("".join(part.text or "" for part in parts if part.thought).split()) == 2
    assert len("".join(part.text or "" for part in parts if not part.thought).split()) == 18
    usage = responses[-1].usage_metadata
    assert usage is not None and (usage.candidates_token_count, usage.thoughts_token_count) == (18, 2)
    whole = client.models.generate_content(model=model, contents="hi", config=config)
    assert whole.candidates is not None and whole.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert whole.text is not None and len(whole.text.split()) == 18


def test_googles_sdk_takes_a_call_of_a_tool_and_errors(emulate: Emulate) -> None:
    from google.genai import errors, types

    server = emulate("--profile", "instant", "--natural-tokens", "6")
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="look_up", parameters=types.Schema(
        type=types.Type.OBJECT, properties={"word": types.Schema(type=types.Type.STRING)}))])
    mode, client = types.FunctionCallingConfigMode.ANY, gemini(server.url)
    response = client.models.generate_content(model="m", contents="hi", config=types.GenerateContentConfig(
        tools=[tool], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode))))
    (call,) = response.function_calls or ()
    assert call.name == "look_up" and len((call.args or {})["word"].split()) == 6
    with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
        client.models.generate_content(model="m", contents="hi", config=types.GenerateContentConfig(
            http_options=types.HttpOptions(headers={"X-Emulator-Fault": "429"})))


def test_hugging_faces_client_takes_tgis_events(emulate: Emulate) -> None:
    server = emulate("--profile", "instant")
    client = InferenceClient(model=server.url)
    *_, last = client.text_generation("hi", max_new_tokens=7, stream=True, details=True)
    assert last.details is not None and last.details.generated_tokens == 7
    assert last.generated_text is not None and len(last.generated_text.split()) == 7
    whole = client.text_generation("hi", max_new_tokens=7, details=True)
    assert whole.details is not None and whole.details.finish_reason == "length"


class Kept:
    """Cohere's client, of the version now or of the one before, and the bodies that it was answered with: it makes its
    types of whatever comes, so that each body is held to the type besides."""

    def __init__(self, url: str, older: bool = False, key: str = "none") -> None:
        import cohere
        import httpx

        self._bodies: list[bytes] = []
        reading = httpx.Client(event_hooks={"response": [self._keep]})
        made = cohere.Client if older else cohere.ClientV2
        self.client: cohere.Client | cohere.ClientV2 = made(key, base_url=url, httpx_client=reading, max_retries=0)

    def _keep(self, response: httpx.Response) -> None:
        self._bodies.append(response.read())

    def of_its_type(self, found: Any) -> Any:
        """The last body as the type that the client gave, to the letter; its numbers are those that the client has."""
        strict = type(found).model_validate_json(self._bodies[-1], strict=True)
        assert strict.model_dump(exclude={"meta"}) == found.model_dump(exclude={"meta"})
        return strict


COLOURS = ["red", "blue"]
EVERY_TYPE = ("float", "int8", "uint8", "binary", "ubinary", "base64")


def test_coheres_sdk_takes_vectors_of_every_type(emulate: Emulate) -> None:
    kept = Kept(emulate("--profile", "instant", "--dimension", "32").url)
    found = kept.of_its_type(kept.client.embed(model="m", input_type="search_query", texts=COLOURS,
                                               embedding_types=EVERY_TYPE, output_dimension=16))  # type: ignore[call-arg]
    assert (found.model_extra, found.embeddings.model_extra) == ({}, {})
    assert (found.texts, found.meta.billed_units.input_tokens) == (COLOURS, 2)
    made = np.array(found.embeddings.float_, "<f4")
    assert made.shape == (2, 16)
    assert [base64.b64decode(one) for one in found.embeddings.base64] == [one.tobytes() for one in made]
    assert np.abs(np.array(found.embeddings.int8) / 127 - made).max() < 0.005
    assert (np.array(found.embeddings.uint8) == np.array(found.embeddings.int8) + 128).all()
    assert (np.unpackbits(np.array(found.embeddings.ubinary, np.uint8), axis=1) == (made > 0)).all()
    assert (np.array(found.embeddings.ubinary) - 128 == np.array(found.embeddings.binary)).all()


@pytest.mark.parametrize("types", [None, ["float"]])
def test_coheres_older_client_takes_vectors_with_their_types_and_without(emulate: Emulate, types: Any) -> None:
    kept = Kept(emulate("--profile", "instant", "--dimension", "16").url, older=True)
    found = kept.of_its_type(kept.client.embed(texts=COLOURS, model="m", input_type="search_document",
                                               **({"embedding_types": types} if types else {})))
    assert found.response_type == ("embeddings_by_type" if types else "embeddings_floats")
    assert np.shape(found.embeddings.float_ if types else found.embeddings) == (2, 16)
    assert found.meta.billed_units.input_tokens == 2


@pytest.mark.parametrize("older", [False, True])
def test_coheres_sdk_takes_a_ranking(emulate: Emulate, older: bool) -> None:
    kept = Kept(emulate("--profile", "instant").url, older)
    documents = ["red", "seven", "blue"]
    found = kept.of_its_type(kept.client.rerank(model="m", query="a colour?", documents=documents, top_n=2))
    scores = [one.relevance_score for one in found.results]
    assert len(scores) == 2 and scores == sorted(scores, reverse=True)
    assert {one.index for one in found.results} < {0, 1, 2}
    assert found.meta.billed_units.search_units == 1


def test_coheres_sdk_reads_the_errors(emulate: Emulate) -> None:
    from cohere import errors

    url = emulate("--profile", "instant", "--api-key", "none").url
    with pytest.raises(errors.BadRequestError) as refused:
        Kept(url).client.rerank(model="m", query="q", documents=["red", ""])
    assert refused.value.body["message"].endswith("none of them empty")
    with pytest.raises(errors.BadRequestError, match="embedding_types: float16"):
        Kept(url).client.embed(model="m", texts=COLOURS, input_type="search_query", embedding_types=["float16"])
    with pytest.raises(errors.UnauthorizedError):
        Kept(url, key="other").client.embed(model="m", texts=COLOURS, input_type="search_query")
    with pytest.raises(errors.TooManyRequestsError):
        Kept(url).client.embed(model="m", texts=COLOURS, input_type="search_query", request_options={
            "additional_headers": {"X-Emulator-Fault": "429"}})
