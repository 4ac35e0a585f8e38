"""OpenAI's Responses: what of a chat becomes what, and forms of events that servers are known to send."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome
from tests.protocols import CALL, PROTOCOLS, answered, body_of, sent
from tests.spoken import spoken

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"},
         {"role": "assistant", "content": "I look.", "tool_calls": [
             {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"word":"x"}'}}]},
         {"role": "tool", "tool_call_id": "c1", "content": "rain"},
         {"role": "user", "content": [{"type": "text", "text": "And this?"},
                                      {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]


def body(prompt: Prompt, **keys: Any) -> dict[str, Any]:
    return body_of(sent(spoken("responses", **keys), prompt))


def test_nothing_is_stored_unless_the_server_holds_the_conversation() -> None:
    assert body(Prompt("p", "s", text="hi", output_tokens=20)) == {
        "model": "m", "stream": True, "store": False, "input": "hi", "max_output_tokens": 20}
    assert body(Prompt("p", "s", text="hi"), session_state="server")["store"] is True


def test_an_answer_in_one_piece_is_asked_for_by_word() -> None:
    """`transformers serve` streams unless it is told not to."""
    assert body(Prompt("p", "s", text="hi"), stream=False)["stream"] is False


def test_a_chat_becomes_items() -> None:
    made = body(Prompt("p", "s", messages=TURNS, parameters=CALL))
    assert made["input"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "look_up", "arguments": '{"word":"x"}'},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {"role": "user", "content": [{"type": "input_text", "text": "And this?"},
                                     {"type": "input_image", "image_url": "data:image/png;base64,AA==",
                                      "detail": "auto"}]}]
    assert made["tools"][0]["name"] == "look_up" and "function" not in made["tools"][0]


def test_parameters_of_a_chat_have_their_names_here() -> None:
    made = body(Prompt("p", "s", text="x"), parameters={
        "max_completion_tokens": 9, "reasoning_effort": "low",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}})
    assert made["max_output_tokens"] == 9 and made["reasoning"] == {"effort": "low"}
    assert made["tool_choice"] == {"type": "function", "name": "f"}
    assert made["text"]["format"] == {"type": "json_schema", "name": "n", "schema": {"type": "object"}}


def test_a_turn_goes_on_from_the_answer_that_the_server_holds() -> None:
    endpoint = spoken("responses", session_state="server")
    first = Prompt("p", "s", messages=TURNS[:2], output_tokens=6)
    reading = endpoint.read(answered(endpoint, first).exchange)
    assert reading.response_id is not None
    said = {"role": "assistant", "content": reading.said("answer")}
    later = Prompt("q", "s", messages=[*TURNS[:2], said, {"role": "user", "content": "And now?"}],
                   goes_on_from=(reading.response_id, 3))
    made = body_of(sent(endpoint, later))
    assert made["input"] == [{"role": "user", "content": "And now?"}]
    assert made["previous_response_id"] == reading.response_id
    assert "previous_response_id" not in body(later)  # one that holds nothing at the server sends all of it
    assert endpoint.read(answered(endpoint, later).exchange).failure is None


@pytest.mark.parametrize(("url", "keys", "target"), [
    ("http://h", {}, "/v1/responses"), ("http://h/openai/v1/", {}, "/openai/v1/responses"),
    ("https://r.openai.azure.com", {"api_version": "2025-04-01-preview"},
     "/openai/responses?api-version=2025-04-01-preview"),
    ("https://runtime.sagemaker.us-east-1.amazonaws.com/endpoints/e/openai/v1", {}, "/endpoints/e/openai/v1/responses"),
    ("https://bedrock-mantle.us-east-1.api.aws/v1", {}, "/v1/responses")])
def test_paths_of_all_who_serve_it(url: str, keys: dict[str, Any], target: str) -> None:
    assert sent(spoken("responses", url, **keys)).target == target


def test_azure_takes_its_key_in_a_header_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "k-123456")
    for protocol in ("responses", "openai"):
        headers = sent(spoken(protocol, "https://r.openai.azure.com/openai/v1", api_key_env="THE_KEY")).headers
        assert headers["api-key"] == "k-123456" and "Authorization" not in headers


def test_an_azure_deployment_is_the_model_of_its_path() -> None:
    assert sent(PROTOCOLS["openai on Azure"].endpoint(model="my-gpt")).target == (
        "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21")


# --- events ---

def read(*events: dict[str, Any], complete: bool = True) -> tuple[Reading, str]:
    exchange = Exchange("a", status=200, complete=complete, body=b"".join(
        f"event: {event['type']}\n".encode() + b"data: " + orjson.dumps(event) + b"\n\n" for event in events))
    reading = spoken("responses").read(exchange)
    failure = outcome(exchange, reading)
    return reading, failure.outcome if failure else "ok"


def end(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": f"response.{status}", "response": {"id": "resp_1", "object": "response", "status": status, **more}}


DELTA = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"}


@pytest.mark.parametrize(("kind", "channel"), [
    ("response.output_text", "answer"), ("response.refusal", "answer"), ("response.reasoning_text", "reasoning"),
    ("response.reasoning_summary_text", "reasoning"), ("response.function_call_arguments", "tool"),
    ("response.custom_tool_call_input", "tool"), ("response.code_interpreter_call_code", "tool"),
    ("response.mcp_call_arguments", "tool")])
def test_each_kind_of_piece_is_of_its_channel(kind: str, channel: str) -> None:
    reading, how = read({**DELTA, "type": f"{kind}.delta"}, end())
    assert [(chunk.channel, chunk.text) for chunk in reading.chunks] == [(channel, "Hi")] and how == "ok"


def test_kinds_without_a_token_are_passed_over() -> None:
    kinds = ("in_progress", "queued", "content_part.added", "reasoning_summary_part.added", "web_search_call.searching",
             "file_search_call.completed", "image_generation_call.partial_image", "output_text.annotation.added",
             "mcp_list_tools.completed", "some_new_thing.begun")
    reading, how = read(*({"type": f"response.{kind}"} for kind in kinds), DELTA, end())
    assert len(reading.chunks) == 1 and how == "ok"


def test_a_text_that_came_without_pieces_is_read_once() -> None:
    done = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi there"}
    whole = end(output=[{"type": "message", "content": [{"type": "output_text", "text": "Hi there"}]}])
    assert read(done, whole)[0].said("answer") == "Hi there"
    assert read(whole)[0].said("answer") == "Hi there"
    assert read(DELTA, {**DELTA, "delta": " there"}, done, whole)[0].said("answer") == "Hi there"


@pytest.mark.parametrize(("last", "how", "reason"), [
    (end(), "ok", "completed"),
    (end("incomplete", incomplete_details={"reason": "max_output_tokens"}), "ok", "max_output_tokens"),
    (end("incomplete", incomplete_details={"reason": "content_filter"}), "blocked", "content_filter"),
    (end("failed", error={"code": "server_error", "message": "gave up"}), "stream_error", "failed"),
    (end("failed", error={"code": "rate_limit_exceeded", "message": "slow down"}), "throttled", "failed"),
    ({"type": "error", "code": "server_error", "message": "gave up"}, "stream_error", None)])
def test_each_end_is_what_it_is(last: dict[str, Any], how: str, reason: str | None) -> None:
    reading, found = read(DELTA, last)
    assert (found, reading.finish_reason) == (how, reason)
    assert reading.failure is None or how != "stream_error" or "gave up" in reading.failure.message


def test_hidden_reasoning_is_counted() -> None:
    usage = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 50,
             "output_tokens_details": {"reasoning_tokens": 49}, "total_tokens": 60}
    reading, how = read(DELTA, end(usage=usage))
    assert (reading.input_tokens, reading.cached_tokens) == (10, 4)
    assert (reading.output_tokens, reading.reasoning_tokens) == (50, 49)
    assert how == "ok"
