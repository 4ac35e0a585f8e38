"""The OpenAI endpoint: the request it makes, and how it reads what servers are known to answer.

The bodies are of our own making; each shows one habit of one server.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.endpoints.http import HttpEndpoint
from fmload.endpoints.openai import OPENAI
from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.wire.exchange import Address, Exchange


def endpoint(url: str = "http://h:8000/v1", **values: Any) -> HttpEndpoint:
    return OPENAI.from_spec(
        EndpointSpec.model_validate({"name": "e", "protocol": "openai", "url": url, "model": "m", **values})
    )


def sent(prompt: Prompt, made: HttpEndpoint | None = None) -> dict[str, Any]:
    made = made or endpoint()
    return orjson.loads(made.request(prompt, "r1", made.addresses()[0]).body)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, index: int = 0, **message: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    return b"data: " + orjson.dumps({"object": "chat.completion.chunk", "choices": choices, **message}) + b"\n\n"


def text_chunk(text: str, finish: str | None = None, index: int = 0, **message: Any) -> bytes:
    return (
        b"data: "
        + orjson.dumps({"choices": [{"index": index, "text": text, "finish_reason": finish}], **message})
        + b"\n\n"
    )


def usage(prompt: int, completion: int, **details: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **details}


ROLE, DONE = chunk({"role": "assistant", "content": ""}), b"data: [DONE]\n\n"


def read(*parts: bytes, complete: bool = True, streamed: bool = True, status: int = 200) -> Reading:
    made = endpoint() if streamed else endpoint(stream=False)
    return made.read(Exchange("a", status=status, body=b"".join(parts), complete=complete))


def channels(reading: Reading) -> list[tuple[str, str]]:
    return [(piece.channel, piece.text) for piece in reading.chunks]


# -- the request --


def test_a_chat_request_asks_for_a_stream_with_usage() -> None:
    assert sent(Prompt("p", "s", text="hi")) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_the_prompts_parameters_go_over_the_endpoints_and_its_length_over_both() -> None:
    made = endpoint(parameters={"temperature": 0.1, "max_tokens": 5, "top_k": 1})
    body = sent(Prompt("p", "s", text="x", output_tokens=40, parameters={"temperature": 0.9, "max_tokens": 6}), made)
    assert (body["temperature"], body["max_tokens"], body["top_k"]) == (0.9, 40, 1)


def test_options_shape_the_request() -> None:
    made = endpoint(api="completions", include_usage=False, max_tokens_field="max_completion_tokens")
    assert sent(Prompt("p", "s", text="x", output_tokens=3), made) == {
        "model": "m",
        "stream": True,
        "prompt": "x",
        "max_completion_tokens": 3,
    }
    made = endpoint(continuous_usage=False)
    assert sent(Prompt("p", "s", text="x"), made)["stream_options"] == {"include_usage": True}
    assert "stream" not in sent(Prompt("p", "s", text="x"), endpoint(stream=False))


def test_running_counts_are_asked_for_until_a_server_refuses_them() -> None:
    made = endpoint()
    assert made.unsure and made.ask_less() and not made.ask_less()
    assert sent(Prompt("p", "s", text="x"), made)["stream_options"] == {"include_usage": True}
    for firm in (endpoint(continuous_usage=True), endpoint(stream=False), endpoint(include_usage=False)):
        assert not firm.unsure and not firm.ask_less()


@pytest.mark.parametrize(
    ("url", "address", "target"),
    [
        ("http://h:8000/v1", Address("h", 8000), "/v1/chat/completions"),
        ("http://h:8000", Address("h", 8000), "/v1/chat/completions"),
        ("http://h/api/v2/", Address("h", 80), "/api/v2/chat/completions"),
        ("https://h/v1/chat/completions", Address("h", 443, True), "/v1/chat/completions"),
        ("http://[::1]:9/v1?key=1", Address("::1", 9), "/v1/chat/completions?key=1"),
    ],
)
def test_addresses_from_urls(url: str, address: Address, target: str) -> None:
    made = endpoint(url)
    assert made.addresses() == [address]
    assert made.request(Prompt("p", "s", text="x"), "r1", address).target == target


def test_several_urls_are_several_addresses_each_with_its_path() -> None:
    made = endpoint(urls=["http://a:1/v1", "http://b:2/x"], url=None)
    targets = [made.request(Prompt("p", "s", text="x"), "r", address).target for address in made.addresses()]
    assert targets == ["/v1/chat/completions", "/x/chat/completions"]


def test_headers_carry_the_key_and_the_request_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "secret-1")
    made = endpoint(api_key_env="THE_KEY", headers={"X-Team": "a"})
    headers = made.request(Prompt("p", "s", text="x"), "r1", made.addresses()[0]).headers
    assert headers["Authorization"] == "Bearer secret-1"
    assert (headers["X-Request-Id"], headers["X-Team"]) == ("r1", "a")
    made = endpoint(request_id_header=None)
    assert "X-Request-Id" not in made.request(Prompt("p", "s", text="x"), "r1", made.addresses()[0]).headers


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"api_key_env": "SURELY_NOT_SET_1"}, "SURELY_NOT_SET_1 is not set"),
        ({"url": None, "deploy": {"target": "local", "emulator": "steady"}}, "no url"),
        ({"url": "https://h/v1", "ca_file": "/nowhere.pem"}, "CA file"),
    ],
)
def test_what_cannot_be_used_is_said_before_the_load(values: dict[str, Any], words: str) -> None:
    with pytest.raises(FmloadError, match=words):
        endpoint(**values)


def test_the_key_that_a_server_echoes_is_blanked_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_KEY", "odd.key/without-pattern")
    made = endpoint(api_key_env="THE_KEY")
    for status, body in (
        (401, b'{"error": "no odd.key/without-pattern here"}'),
        (200, b'data: {"error": "no odd.key/without-pattern here"}\n\n'),
    ):
        failure = made.read(Exchange("a", status=status, body=body, complete=True)).failure
        assert failure is not None and "odd.key" not in failure.message and "[redacted]" in failure.message


# -- what servers answer --


def test_vllm_text_on_the_finish_chunk_and_usage_on_its_own() -> None:
    reading = read(
        ROLE,
        chunk({"content": "a"}),
        chunk({"content": "b"}, "length"),
        chunk(usage=usage(26, 2, prompt_tokens_details={"cached_tokens": 16})),
        DONE,
    )
    assert channels(reading) == [("answer", "a"), ("answer", "b")]
    assert (reading.input_tokens, reading.output_tokens, reading.cached_tokens, reading.tokens_source) == (
        26,
        2,
        16,
        "server",
    )
    assert (reading.finish_reason, reading.failure) == ("length", None)


def test_a_chunks_end_is_the_end_of_its_event() -> None:
    first, second = chunk({"content": "a"}), chunk({"content": "b"}, "stop")
    reading = read(ROLE, first, b": keep-alive\n\n", second, DONE)
    assert [piece.end for piece in reading.chunks] == [
        len(ROLE + first),
        len(ROLE + first) + len(b": keep-alive\n\n") + len(second),
    ]


def test_vllm_tells_per_request_metrics_and_keep_alives_before_the_first_token() -> None:
    metrics = {"time_to_first_token_ms": 19.8}
    reading = read(
        b": keep-alive\n\n",
        ROLE,
        chunk({"reasoning": "x"}),
        chunk({"content": "a"}, "stop"),
        chunk(usage=usage(1, 5, completion_tokens_details={"reasoning_tokens": 4}), metrics=metrics),
        DONE,
    )
    assert channels(reading) == [("reasoning", "x"), ("answer", "a")]
    assert reading.detail == {"metrics": metrics} and reading.reasoning_tokens == 4


def test_vllm_token_ids_count_the_tokens_of_a_chunk() -> None:
    ids = [
        b"data: "
        + orjson.dumps(
            {"choices": [{"index": 0, "delta": {"content": text}, "token_ids": tokens, "finish_reason": finish}]}
        )
        + b"\n\n"
        for text, tokens, finish in (("ab", [5, 6], None), ("", [7], None), ("c", [8], "stop"))
    ]
    assert [piece.tokens for piece in read(ROLE, *ids, DONE).chunks] == [2, 1, 1]


def test_continuous_usage_counts_the_tokens_of_a_chunk_and_survives_a_break() -> None:
    parts = [
        chunk({"role": "assistant", "content": ""}, usage=usage(9, 0)),
        chunk({"content": "abc"}, usage=usage(9, 3)),
        chunk({"content": "d"}, usage=usage(9, 4)),
    ]
    broken = read(*parts, complete=False)
    assert [piece.tokens for piece in broken.chunks] == [3, 1]
    assert broken.output_tokens == 4 and broken.failure is not None and broken.failure.outcome == "truncated"
    whole = read(*parts, chunk({"content": "e"}, "stop", usage=usage(9, 5)), chunk(usage=usage(9, 5)), DONE)
    assert (whole.output_tokens, whole.input_tokens) == (5, 9)


def test_llama_cpp_null_content_role_chunk_and_timings() -> None:
    timings = {"predicted_n": 1, "predicted_per_token_ms": 13.6}
    reading = read(
        chunk({"role": "assistant", "content": None}),
        chunk({"content": "head"}),
        chunk({}, "length"),
        chunk(usage=usage(5, 1), timings=timings),
        DONE,
    )
    assert channels(reading) == [("answer", "head")] and reading.detail == {"timings": timings}


def test_llama_cpp_usage_of_each_choice_adds_up() -> None:
    reading = read(
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({}, "stop"),
        chunk({}, "stop", index=1),
        chunk(usage=usage(26, 4)),
        chunk(usage=usage(26, 5)),
        DONE,
    )
    assert (reading.input_tokens, reading.output_tokens) == (26, 9)


def test_vllm_one_usage_for_all_choices() -> None:
    reading = read(
        chunk({"content": "a"}),
        chunk({"content": "b"}, index=1),
        chunk({}, "stop"),
        chunk({}, "stop", index=1),
        chunk(usage=usage(26, 8)),
        DONE,
    )
    assert reading.output_tokens == 8


def test_transformers_usage_on_the_finish_chunk_and_no_done() -> None:
    reading = read(chunk({"role": "assistant"}), chunk({"content": "a"}), chunk({}, "length", usage=usage(26, 12)))
    assert (reading.failure, reading.finish_reason, reading.output_tokens) == (None, "length", 12)


def test_litellm_usage_in_a_chunk_with_an_empty_delta_after_the_finish() -> None:
    reading = read(ROLE, chunk({"content": "a"}), chunk({}, "stop"), chunk({}, usage=usage(3, 1)), DONE)
    assert (reading.output_tokens, len(reading.chunks), reading.failure) == (1, 1, None)


def test_an_end_mark_is_an_end_without_a_finish_reason_and_neither_is_none() -> None:
    assert read(ROLE, chunk({"content": "a"}), DONE).failure is None
    failure = read(ROLE, chunk({"content": "a"})).failure
    assert failure is not None and failure.outcome == "truncated" and "neither a finish reason nor" in failure.message


def test_tgi_writes_no_space_after_the_colon() -> None:
    reading = read(
        *(part.replace(b"data: ", b"data:") for part in (chunk({"content": "a"}), chunk({}, "eos_token"), DONE))
    )
    assert channels(reading) == [("answer", "a")] and reading.failure is None


def test_sglang_and_deepseek_reasoning_content() -> None:
    reading = read(
        chunk({"content": None, "reasoning_content": "hm"}),
        chunk({"content": "a", "reasoning_content": None}, "stop"),
    )
    assert channels(reading) == [("reasoning", "hm"), ("answer", "a")]


def test_ollama_names_the_role_in_every_chunk() -> None:
    reading = read(
        chunk({"role": "assistant", "content": "a"}), chunk({"role": "assistant", "content": ""}, "stop"), DONE
    )
    assert channels(reading) == [("answer", "a")] and reading.finish_reason == "stop"


def test_tool_calls_are_tokens() -> None:
    calls = [
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]},
        {"tool_calls": []},
    ]
    assert channels(read(ROLE, *map(chunk, calls), chunk({}, "tool_calls"), DONE)) == [
        ("tool", "f"),
        ("tool", '{"a"'),
    ]


def test_text_completions_with_usage_on_the_finish_chunk() -> None:
    reading = read(text_chunk("a"), text_chunk("b", "length", usage=usage(4, 2)), DONE)
    assert channels(reading) == [("answer", "a"), ("answer", "b")] and reading.output_tokens == 2


def test_a_new_index_with_every_token_is_still_one_answer() -> None:
    reading = read(text_chunk("a", index=0), text_chunk("b", index=1), text_chunk("", "stop", index=2), DONE)
    assert (reading.finish_reason, reading.failure) == ("stop", None)


@pytest.mark.parametrize(
    "error",
    [
        b'data: {"error": {"message": "out of memory", "code": 500}}\n\n',
        b'data: {"error": "out of memory"}\n\n',
        b'event: error\ndata: {"message": "out of memory"}\n\n',
        b'data: {"object": "error", "message": "out of memory", "code": "400"}\n\n',
    ],
)
def test_an_error_event_after_200_is_a_stream_error_and_the_tokens_stay(error: bytes) -> None:
    reading = read(ROLE, chunk({"content": "a"}), error, DONE)
    assert reading.failure is not None
    assert (reading.failure.outcome, reading.failure.message, len(reading.chunks)) == (
        "stream_error",
        "out of memory",
        1,
    )


def test_a_stream_that_is_cut_inside_an_event_is_truncated_not_undecodable() -> None:
    reading = read(ROLE, chunk({"content": "a"}), b'data: {"choices": [{"ind', complete=False)
    assert reading.failure is not None and reading.failure.outcome == "truncated"


def test_a_finish_reason_counts_although_the_connection_broke_after_it() -> None:
    assert read(chunk({"content": "a"}), chunk({}, "stop"), complete=False).failure is None


@pytest.mark.parametrize(
    ("body", "complete", "expected"),
    [
        (b"", True, None),
        (DONE, True, None),
        (ROLE + DONE, True, None),
        (b"", False, "truncated"),
        (b"<html>busy</html>", True, "decode"),
        (b"data: {broken\n\n", True, "decode"),
        (b"data: 5\n\n", True, "decode"),
        (b'data: {"choices": [5]}\n\n', True, "decode"),
    ],
)
def test_bodies_without_a_token(body: bytes, complete: bool, expected: str | None) -> None:
    """None: no failure of the protocol; `measure` calls it empty."""
    reading = read(body, complete=complete)
    assert reading.chunks == [] and (reading.failure.outcome if reading.failure else None) == expected


# -- without a stream --


def whole(message: dict[str, Any], **fields: Any) -> bytes:
    return orjson.dumps(
        {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage(7, 30), **fields}
    )


def test_a_response_in_one_piece_is_one_chunk_with_all_tokens() -> None:
    body = whole({"role": "assistant", "content": "hello", "reasoning_content": "hm"})
    reading = read(body, streamed=False)
    assert [tuple(piece) for piece in reading.chunks] == [(len(body), 30, "answer", "hello", "hm")]
    assert (reading.output_tokens, reading.finish_reason, reading.failure) == (30, "stop", None)


def test_a_server_that_answers_a_stream_with_plain_json_is_understood() -> None:
    assert len(read(whole({"content": "hello"})).chunks) == 1


@pytest.mark.parametrize(
    ("body", "complete", "expected"),
    [
        (b'{"error": {"message": "busy"}}', True, "stream_error"),
        (b"oops", True, "decode"),
        (b'{"choices": [{"mess', False, "truncated"),
        (b"[]", True, "decode"),
    ],
)
def test_bad_responses_in_one_piece(body: bytes, complete: bool, expected: str) -> None:
    failure = read(body, complete=complete, streamed=False).failure
    assert failure is not None and failure.outcome == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", False),
        (ROLE, False),
        (b": ping\n\n", False),
        (ROLE + chunk({"content": "a"}), True),
        (ROLE + chunk({"reasoning": "a"}), True),
        (ROLE + chunk({"content": "a"})[:-8], False),
    ],
)
def test_carries_token(body: bytes, expected: bool) -> None:
    assert endpoint().carries_token(body) is expected
    assert endpoint(stream=False).carries_token(body) is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "index",
                    "finish_reason",
                    "usage",
                    "text",
                    "error",
                    "message",
                    "tool_calls",
                    "function",
                    "token_ids",
                    "completion_tokens",
                    "prompt_tokens_details",
                    "timings",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(
    messages=st.lists(
        st.dictionaries(st.sampled_from(["choices", "usage", "error", "timings", "object"]), JSON, max_size=3),
        max_size=4,
    )
)
def test_read_never_raises_on_strange_json(messages: list[Any]) -> None:
    import json

    body = b"".join(b"data: " + json.dumps(message).encode() + b"\n\n" for message in messages)
    for complete in (True, False):
        read(body, complete=complete)
        read(body[6:-2], complete=complete, streamed=False)


@given(st.binary(max_size=200))
def test_read_never_raises_on_garbage(body: bytes) -> None:
    for streamed in (True, False):
        for status in (200, 500):
            read(body, b"\n\n", streamed=streamed, status=status)
