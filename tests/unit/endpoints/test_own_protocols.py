"""Protocols of servers and providers of their own: what of a chat becomes what, their paths, and odd answers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.base.errors import FmloadError
from fmload.model.prompt import Prompt
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome
from tests.protocols import CALL, body_of, sent
from tests.spoken import spoken

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}
TURNS = [{"role": "system", "content": "Be brief."},
         {"role": "user", "content": [{"type": "text", "text": "Who?"}, PICTURE]},
         {"role": "assistant", "content": "I look.", "tool_calls": [
             {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"word":"x"}'}}]},
         {"role": "tool", "tool_call_id": "c1", "name": "look_up", "content": "me"},
         {"role": "user", "content": "And?"}]


def body(protocol: str, prompt: Prompt, **keys: Any) -> dict[str, Any]:
    return body_of(sent(spoken(protocol, **keys), prompt))


def test_gemini_gets_turns_of_two_roles_with_calls_and_pictures() -> None:
    made = body("gemini", Prompt("p", "s", messages=TURNS, output_tokens=9, parameters=CALL))
    assert made["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert made["contents"] == [
        {"role": "user", "parts": [{"text": "Who?"}, {"inlineData": {"mimeType": "image/png", "data": "AAEC"}}]},
        {"role": "model", "parts": [{"text": "I look."},
                                    {"functionCall": {"name": "look_up", "args": {"word": "x"}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look_up", "response": {"result": "me"}}},
                                   {"text": "And?"}]}]
    assert made["generationConfig"] == {"maxOutputTokens": 9}
    assert made["tools"][0]["functionDeclarations"][0]["name"] == "look_up"
    assert made["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}


def test_geminis_sampling_stands_in_its_config_and_all_else_beside_it() -> None:
    made = body("gemini", Prompt("p", "s", text="x"), parameters={
        "temperature": 0.5, "top_p": 0.9, "stop": "END", "max_tokens": 7, "safetySettings": [],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}, "maxOutputTokens": 8}})
    assert made["generationConfig"] == {"temperature": 0.5, "topP": 0.9, "stopSequences": ["END"], "maxOutputTokens": 8,
                                        "thinkingConfig": {"thinkingBudget": 0}}
    assert made["safetySettings"] == []


VERTEX = "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l"


@pytest.mark.parametrize(("protocol", "url", "keys", "target"), [
    ("gemini", "https://generativelanguage.googleapis.com", {}, "/v1beta/models/m:streamGenerateContent?alt=sse"),
    ("gemini", "https://generativelanguage.googleapis.com/v1", {"stream": False}, "/v1/models/m:generateContent"),
    ("gemini", VERTEX, {},
     "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent?alt=sse"),
    ("gemini", VERTEX + "/endpoints/9", {"stream": False}, "/v1/projects/p/locations/l/endpoints/9:generateContent"),
    ("tgi", "http://h", {}, "/generate_stream"), ("tgi", "http://h", {"stream": False}, "/generate"),
    ("ollama", "http://h:11434", {}, "/api/chat"), ("ollama", "http://h:11434/v1", {}, "/api/chat"),
    ("llama_cpp", "http://h/v1", {}, "/completion"),
    ("triton", "http://h", {}, "/v2/models/m/generate_stream"),
    ("triton", "http://h/v2/models/ensemble/versions/1", {"stream": False}, "/v2/models/ensemble/versions/1/generate")])
def test_paths(protocol: str, url: str, keys: dict[str, Any], target: str) -> None:
    assert sent(spoken(protocol, url, **keys)).target == target


def test_googles_keys_and_tokens_go_where_each_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "k-123456")
    studio = sent(spoken("gemini", "https://generativelanguage.googleapis.com", api_key_env="THE_KEY")).headers
    assert studio["x-goog-api-key"] == "k-123456" and "Authorization" not in studio
    assert sent(spoken("gemini", VERTEX, api_key_env="THE_KEY")).headers["Authorization"] == "Bearer k-123456"


@pytest.mark.parametrize("protocol", ["gemini", "triton"])
def test_a_model_that_is_part_of_the_path_is_asked_for(protocol: str) -> None:
    with pytest.raises(FmloadError, match="no model"):
        spoken(protocol, model=None)


def test_ollamas_options_hold_the_sampling_and_pictures_stand_beside_the_text() -> None:
    made = body("ollama", Prompt("p", "s", messages=TURNS, output_tokens=9, parameters=CALL),
                parameters={"temperature": 0.5, "think": False, "options": {"num_ctx": 8192}})
    assert made["options"] == {"temperature": 0.5, "num_ctx": 8192, "num_predict": 9} and made["think"] is False
    assert made["messages"][1] == {"role": "user", "content": "Who?", "images": ["AAEC"]}
    assert made["messages"][2]["tool_calls"] == [{"function": {"name": "look_up", "arguments": {"word": "x"}}}]
    assert made["messages"][3]["tool_name"] == "look_up" and made["tools"] == CALL["tools"]


def test_an_exact_length_is_asked_for_where_the_server_has_words_for_it() -> None:
    exact = Prompt("p", "s", text="x", output_tokens=9, exact_output=True)
    assert body("llama_cpp", exact) == {"prompt": "x", "stream": True, "n_predict": 9, "ignore_eos": True}
    made = body("triton", exact, exact_output_parameters={"min_tokens": "$max_tokens"})
    assert made["min_tokens"] == made["max_tokens"] == 9


def test_tritons_two_backends_take_parameters_in_two_places() -> None:
    prompt = Prompt("p", "s", text="x", output_tokens=9)
    assert body("triton", prompt, parameters={"top_p": 0.5}) == {
        "text_input": "x", "stream": True, "top_p": 0.5, "max_tokens": 9}
    assert body("triton", prompt, backend="vllm", parameters={"top_p": 0.5}) == {
        "text_input": "x", "parameters": {"stream": True, "top_p": 0.5, "max_tokens": 9},
        "exclude_input_in_output": True}


def read(protocol: str, *events: dict[str, Any], complete: bool = True) -> tuple[Any, str]:
    start, end = (b"", b"\n") if protocol == "ollama" else (b"data: ", b"\n\n")
    exchange = Exchange("a", status=200, complete=complete,
                        body=b"".join(start + orjson.dumps(event) + end for event in events))
    reading = spoken(protocol).read(exchange)
    failure = outcome(exchange, reading)
    return reading, failure.outcome if failure else "ok"


def said(text: str, finish: str | None = None, **usage: int) -> dict[str, Any]:
    ended = {"finishReason": finish} if finish else {}
    return {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, **ended}], "usageMetadata": usage}


def test_geminis_large_pieces_hold_the_tokens_that_its_running_counts_say() -> None:
    reading, how = read("gemini", said("One two", promptTokenCount=5, candidatesTokenCount=2),
                        said(" three four five", "STOP", promptTokenCount=5, candidatesTokenCount=5))
    assert [chunk.tokens for chunk in reading.chunks] == [2, 3] and reading.chunk_tokens_known and how == "ok"


@pytest.mark.parametrize(("event", "how"), [
    ({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}, "blocked"),
    (said("x", "PROHIBITED_CONTENT"), "blocked"), (said("x", "MALFORMED_FUNCTION_CALL"), "stream_error"),
    ({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}, "stream_error"),
    (said("x"), "truncated")])
def test_each_end_of_gemini_is_what_it_is(event: dict[str, Any], how: str) -> None:
    assert read("gemini", event)[1] == how


def test_thoughts_and_what_tools_read_count_beside_geminis_answer() -> None:
    reading, _ = read("gemini", said("x", "STOP", promptTokenCount=5, toolUsePromptTokenCount=3, candidatesTokenCount=1,
                                     thoughtsTokenCount=40, cachedContentTokenCount=2))
    assert (reading.input_tokens, reading.cached_tokens) == (8, 2)
    assert (reading.output_tokens, reading.reasoning_tokens) == (41, 40)


def test_ollama_and_llama_cpp_tell_times_of_their_own() -> None:
    done = {"message": {"role": "assistant", "content": "x"}, "done": True, "done_reason": "stop", "eval_count": 1,
            "prompt_eval_count": 5, "total_duration": 9, "eval_duration": 4}
    reading, how = read("ollama", done)
    assert reading.detail == {"total_duration": 9, "eval_duration": 4} and how == "ok"
    stop = {"content": "x", "stop": True, "stop_type": "eos", "tokens_predicted": 1, "tokens_evaluated": 5,
            "timings": {"cache_n": 3, "prompt_ms": 7.5}}
    reading, how = read("llama_cpp", stop)
    assert reading.detail == {"timings": {"cache_n": 3, "prompt_ms": 7.5}}
    assert reading.cached_tokens == 3 and how == "ok"


def test_ollamas_older_generate_form_is_read() -> None:
    reading, how = read("ollama", {"response": "x", "done": False}, {"response": "", "done": True, "eval_count": 1})
    assert reading.said("answer") == "x" and how == "ok"


def test_an_answer_of_triton_is_whole_when_its_response_is() -> None:
    event = {"model_name": "m", "text_output": "x"}
    assert read("triton", event)[1] == "ok" and read("triton", event, complete=False)[1] == "truncated"


THOUGHTS = {"promptTokenCount": 9, "thoughtsTokenCount": 50, "totalTokenCount": 59}


@pytest.mark.parametrize(("candidates", "chunks"), [
    ([{"finishReason": "MAX_TOKENS"}], 0),
    ([{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}], 0),
    ([{"content": {"parts": [{"text": "hm", "thought": True}]}, "finishReason": "MAX_TOKENS"}], 1)])
def test_an_answer_of_gemini_that_is_thoughts_alone_has_their_tokens_and_ended_well(
        candidates: list[Any], chunks: int) -> None:
    body = b"data: " + orjson.dumps({"candidates": candidates, "usageMetadata": THOUGHTS}) + b"\r\n\r\n"
    exchange = Exchange("", status=200, body=body, complete=True)
    reading = spoken("gemini", model="m").read(exchange)
    assert (reading.input_tokens, reading.output_tokens, reading.reasoning_tokens) == (9, 50, 50)
    assert [chunk.channel for chunk in reading.chunks] == ["reasoning"] * chunks
    assert (reading.finish_reason, outcome(exchange, reading)) == ("MAX_TOKENS", None)


@pytest.mark.parametrize(("protocol", "url", "keys", "target"), [
    ("openai", "http://gateway/openai/v1", {}, "/openai/v1/chat/completions"),
    ("triton", "http://gateway", {"backend": "vllm"}, "/v2/models/m/generate_stream")])
def test_kserve_is_asked_by_its_paths_in_the_name_of_its_service(
        protocol: str, url: str, keys: dict[str, Any], target: str) -> None:
    request = sent(spoken(protocol, url=url, model="m", headers={"Host": "m.default.example.com"}, **keys))
    assert (request.target, request.headers["Host"]) == (target, "m.default.example.com")
