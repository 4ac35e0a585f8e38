"""The usual is read in a quick way beside the thorough one, which takes any form: both come to the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import orjson
import pytest

from fmload.endpoints import openai_answer, usage
from fmload.endpoints.alike import like
from fmload.endpoints.openai_answer import OpenAIAnswer, read_stream
from fmload.model.reading import Reading
from fmload.wire.exchange import Exchange

ODD = (None, 0, 1, -1, 2.0, "3", True, "", " a", [], {}, {"tokens": {"completion_tokens": 2}}, {"cached_tokens": 9})
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}}
ROLE = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
TEXT = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": " a"}, "finish_reason": None}]}
END = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
LAST = {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}
USUAL = [ROLE, TEXT, TEXT, END, LAST]
COUNTS = [*USAGE, "tokens", "reasoning_tokens", "input_tokens", "cached_tokens"]
CHOICE = ["index", "delta", "finish_reason", "logprobs", "stop_reason", "text", "error", "usage", "message",
          "finish_details", "token_ids"]
# Where something may stand in place of what is usual, and what else than ODD.
CHANGES: dict[tuple[Any, ...], tuple[Any, ...]] = {
    **{(name,): () for name in ("object", "error", "message", "choices", "x_groq")}, ("usage",): (USAGE,),
    ("timings",): ({"predicted_n": 3, "prompt_n": 5, "cache_n": 1}, {"predicted_n": 4}), ("metrics",): ({"a": 1},),
    **{("usage", name): (USAGE,) for name in COUNTS}, ("usage", "prompt_tokens_details", "cached_tokens"): (),
    ("choices", 0): (),
    **{("choices", 0, name): (USAGE, {"content": [1, 2]}, {"type": "stop"}, "stop", [1, 2]) for name in CHOICE},
    **{("choices", 0, "delta", name): () for name in ("content", "reasoning", "tool_calls", "role", "reasoning_content",
                                                      "thinking", "refusal", "audio", "error")},
    ("choices", 0, "finish_reason"): ("length", "content_filter", "null", {"type": "stop"})}
REASON = ("choices", 0, "finish_reason")


def changed(message: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    """The message with another value at that place; as it is where it has no such place."""
    inside: Any = (made := deepcopy(message))
    with suppress(TypeError, KeyError, IndexError):
        for key in path[:-1]:
            inside = inside[key]
        inside[path[-1]] = value
    return made


def streams() -> Iterator[list[Any]]:
    """Usual streams, and vLLM's with counts in each message, of which one message is odd in one place."""
    in_each = [{**ROLE, "usage": of_total(0)}, counted(" a", 1), counted(" b", 2), {**END, "usage": of_total(2)},
               {**LAST, "usage": of_total(2)}]
    for usual in (USUAL, in_each, [*in_each[:2], changed(counted(" b", 2), REASON, "stop"), in_each[-1]],
                  [*map(completion, in_each)]):
        for place, message in enumerate(usual):
            for path, more in CHANGES.items():
                for value in (*ODD, *more):
                    stream = [*usual[:place], changed(message, path, value), *usual[place + 1:]]
                    yield from (stream, stream[:-1], stream[:-2])


def of_total(total: int) -> dict[str, Any]:
    """Counts with this running total."""
    return {"prompt_tokens": 5, "total_tokens": 5 + total, "completion_tokens": total}


def counted(text: str, total: int, index: int = 0) -> dict[str, Any]:
    """A piece of text with the running total."""
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None}
    return {"id": "x", "choices": [choice], "usage": of_total(total)}


# Deltas of a text as servers write them, {} for it: TGI and Ollama, SGLang, DeepSeek, vLLM, LMDeploy.
DELTAS: tuple[dict[str, Any], ...] = (
    {"content": {}}, {"role": "assistant", "content": {}}, {"role": None, "content": {}, "reasoning_content": None},
    {"content": None, "reasoning_content": {}}, {"reasoning": {}, "reasoning_content": {}},
    {"role": "assistant", "content": {}, "gen_tokens": None, "tool_calls": []},
    {"content": "", "thinking": {}})
ODD_DELTAS = (*DELTAS, {"text": {}}, {"content": {}, "text": "a"})


def in_form(message: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """The message with its text in another form."""
    text = message["choices"][0]["delta"].get("content")
    written = {name: text if value == {} else value for name, value in delta.items()}
    return changed(message, ("choices", 0, "delta"), written)  # type: ignore[no-any-return]


def completion(message: dict[str, Any]) -> dict[str, Any]:
    """The message as text completions have it; one without a choice as it is."""
    for choice in (made := deepcopy(message))["choices"]:
        choice["text"] = choice.pop("delta").get("content") or ""
    return made


def of_text(text: str) -> dict[str, Any]:
    return changed(TEXT, ("choices", 0, "delta", "content"), text)  # type: ignore[no-any-return]


def texts() -> Iterator[list[Any]]:
    """Streams of many texts, with running totals and without, of which one is odd in one place."""
    for usual in ([counted(f" {n}", n) for n in range(1, 7)], [of_text(f" {n}") for n in range(6)],
                  [in_form(counted(f" {n}", n), DELTAS[4]) for n in range(1, 7)],
                  [in_form(of_text(f" {n}"), DELTAS[2 + n // 3]) for n in range(6)],
                  [completion(counted(f" {n}", n)) for n in range(1, 7)]):
        for place in (1, 3, 4):
            for path, more in CHANGES.items():
                for value in (*ODD, *more, "a\"b", "a\n", "\u00a0", "\u0007", "\ud83e\udd80", "5", 5, 10):
                    yield [ROLE, *usual[:place], changed(usual[place], path, value), *usual[place + 1:], END]
    yield [counted("a", n // 2 + 1, n % 2) for n in range(8)]  # two choices, in turn
    yield [counted("a", 2 * n) for n in range(1, 8)]  # two tokens a message
    yield [{**of_text("a"), "created": n} for n in range(9)]  # never alike
    yield [{**of_text("a"), "created": n // 4} for n in range(30)]
    yield [*(counted("a", n) for n in (1, 2, 3)), of_text("b"), *(counted("a", n) for n in (4, 5, 6)), END]
    yield [of_text("a"), of_text("b"), LAST, of_text("c"), changed(END, ("choices", 0, "index"), 1)]  # 0 goes on
    for texts_of_0 in (1, 2, 3, 4):  # written with an escape, the text of 1 tells nothing of what is alike
        yield [*(of_text(f" {n}") for n in range(3)), changed(of_text("é"), ("choices", 0, "index"), 1),
               *(of_text(f" {n}") for n in range(texts_of_0)), changed(END, ("choices", 0, "index"), 1)]
    yield [of_text("chat"), of_text("chat"), *map(of_text, ("content", '"', "}", "0", "chat.completion.chunk"))]


def reading_of(told: list[Any], mark: bool, event: str, dumps: Callable[[Any], bytes] = orjson.dumps) -> Reading:
    name = f"event: {event}\n".encode() if event else b""
    datas = [*map(dumps, told), *[b"[DONE]"] * mark]
    body = b"".join(name + b"data: " + data + b"\n\n" for data in datas)
    return read_stream(Exchange("", status=200, body=body, complete=True))


def _take_no_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_answer, "like", lambda *_: None)
    for quick in ("_add_plain", "_add_text"):
        monkeypatch.setattr(OpenAIAnswer, quick, lambda self, end, message: False)
    monkeypatch.setattr(usage, "_read_plain", lambda told: None)


def test_a_stream_reads_the_same_in_the_quick_and_in_the_thorough_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [(told, mark, "") for told in streams() for mark in (True, False)]
    asked += [(USUAL, True, event) for event in ("message", "error", "ping")]
    quick = [reading_of(*one) for one in asked]
    _take_no_short_way(monkeypatch)
    for one, found in zip(asked, quick, strict=True):
        assert reading_of(*one) == found, one


def spaced(message: Any) -> bytes:
    return json.dumps(message).encode()


def compact(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def raw(message: Any) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("dumps", [compact, spaced, raw])
def test_messages_that_are_alike_are_read_as_each_by_itself(dumps: Callable[[Any], bytes],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        _take_no_short_way(patch)
        apart = [reading_of(told, True, "", dumps) for told in texts()]
    for told, found in zip(texts(), apart, strict=True):
        assert reading_of(told, True, "", dumps) == found, told


ODD_TEXTS = ("a", " b", "é", "🦀", '"', "\\", "\n", "}", "0", "12", "content", "[DONE]", "\u00a0", '"content":"x"',
             '"completion_tokens":3', '","finish_reason":"stop"', "")


def by_chance(draw: random.Random) -> bytes:
    """A stream of up to three choices whose texts look like what is around them, and whose totals jump, fall back, or
    count each choice by itself; in one of several ways of writing, maybe cut."""
    kind, choices, total = draw.choice(["none", "steady", "jumps", "falls", "apart"]), draw.choice([1, 1, 2, 3]), 0
    prompt, each, told = draw.choice([0, 3, 12]), dict.fromkeys(range(3), 0), []
    form = draw.choice(ODD_DELTAS) if draw.random() < 0.6 else DELTAS[0]
    for _ in range(draw.randrange(1, 16)):
        index = draw.randrange(choices)
        each[index] += 1
        total += draw.choice([1, 1, 1, {"jumps": 3, "falls": -1}.get(kind, 1)])
        count = each[index] if kind == "apart" else total
        message = in_form(counted(draw.choice(ODD_TEXTS), count, index), form)
        form = draw.choice(ODD_DELTAS) if draw.random() < 0.1 else form
        fed = prompt + (draw.random() < 0.03)
        message["usage"] |= {"prompt_tokens": fed, "total_tokens": fed + count}
        if draw.random() < 0.1:
            message = {"usage": message.pop("usage"), **message}
        if kind == "none" or draw.random() < 0.03:
            del message["usage"]
        told.append(message)
    if draw.random() < 0.3 and told:
        told[-1] = changed(told[-1], REASON, draw.choice(["stop", "length"]))
    for index in range(choices):
        if draw.random() < 0.8:
            told.append(changed(END, ("choices", 0, "index"), index))
            if draw.random() < 0.3:
                told[-1]["usage"] = of_total(draw.choice([0, total, total + 1]))
        if draw.random() < 0.3:
            told.insert(draw.randrange(2), changed({**ROLE, "usage": of_total(draw.choice([0, 0, 0, 1]))},
                                                   ("choices", 0, "index"), index))
    if draw.random() < 0.3:
        told.append({**LAST, "usage": of_total(total)})
    if draw.random() < 0.15:
        told = [*map(completion, told)]
    dumps = draw.choice([compact, spaced, raw, orjson.dumps])
    end, begin = draw.choice([b"\n\n", b"\r\n\r\n", b"\n"]), draw.choice([b"data: ", b"data:", b""])
    body = b"".join(begin + data + end for data in [*map(dumps, told), *[b"[DONE]"] * draw.randrange(2)])
    return body if draw.random() < 0.8 else body[:draw.randrange(len(body))]


def test_streams_by_chance_are_read_as_message_by_message(monkeypatch: pytest.MonkeyPatch) -> None:
    bodies = [by_chance(random.Random(seed)) for seed in range(4000)]
    quick = [read_stream(Exchange("", status=200, body=body, complete=True)) for body in bodies]
    _take_no_short_way(monkeypatch)
    for body, found in zip(bodies, quick, strict=True):
        assert read_stream(Exchange("", status=200, body=body, complete=True)) == found, body


@pytest.mark.parametrize("event", ["error", "ping", "message"])
def test_a_message_of_an_event_with_a_name_is_alike_to_none(event: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"".join(b"data: " + orjson.dumps(of_text(f" {n}")) + b"\n\n" for n in range(4))
    body += f"event: {event}\n".encode() + body[:body.index(b"\n\n") + 2] + body
    quick = read_stream(Exchange("", status=200, body=body, complete=True))
    monkeypatch.setattr(openai_answer, "like", lambda *_: None)
    assert read_stream(Exchange("", status=200, body=body, complete=True)) == quick


def test_a_text_that_strict_json_refuses_ends_what_is_alike() -> None:
    first = orjson.dumps(of_text("a"))
    found = like(first, orjson.loads(first), 0, ["content"])
    assert found is not None
    datas = [first.replace(b'"a"', text) for text in (b'"b"', '"é"'.encode(), b'"\x07"', b'"c"')]
    assert found.texts([(0, "", data) for data in datas], 0, 1) == ["b", "é"]


@pytest.mark.parametrize("usual", [[counted(f" {n}", n) for n in range(1, 10)], [of_text(f" {n}") for n in range(9)],
                                   [{**counted("x", n), "usage": {"completion_tokens": n}} for n in range(1, 10)],
                                   *([in_form(counted(f" {n}", n), delta) for n in range(1, 10)] for delta in DELTAS),
                                   [completion(of_text(f" {n}")) for n in range(9)]])
@pytest.mark.parametrize("dumps", [orjson.dumps, spaced])
def test_the_third_text_and_all_after_it_are_not_parsed(usual: list[Any], dumps: Callable[[Any], bytes],
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Any] = []
    taken = OpenAIAnswer._add_text
    monkeypatch.setattr(OpenAIAnswer, "_add_text",
                        lambda self, end, message: parsed.append(message) or taken(self, end, message))
    reading = reading_of([*usual, END], True, "", dumps)
    assert len(reading.chunks) == 9 and parsed == [*usual[:2], END]


def test_counts_of_zero_with_the_role_as_vllm_tells_them_hinder_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[Any] = []
    taken = OpenAIAnswer._add_text
    monkeypatch.setattr(OpenAIAnswer, "_add_text",
                        lambda self, end, message: parsed.append(message) or taken(self, end, message))
    monkeypatch.setattr(OpenAIAnswer, "add", lambda *_: pytest.fail("the thorough way"))
    role, last = {**ROLE, "usage": of_total(0)}, changed(counted(" 9", 9), REASON, "length")
    usual, counts = [counted(f" {n}", n) for n in range(1, 9)], {**LAST, "usage": of_total(9)}
    reading = reading_of([role, *usual, last, counts], True, "")
    assert (len(reading.chunks), reading.output_tokens, reading.chunk_tokens_known) == (9, 9, True)
    assert (reading.finish_reason, reading.failure) == ("length", None)
    assert parsed == [role, *usual[:2], last, counts]


def test_a_choice_whose_messages_come_in_a_row_has_to_come_to_its_end() -> None:
    in_a_row = [changed(of_text(text), ("choices", 0, "index"), 1) for text in ("a", "b", "c")]
    failure = reading_of([of_text("a"), of_text("b"), END, *in_a_row], True, "").failure
    assert failure is not None and "of some of its answers alone" in failure.message


def test_a_message_of_text_and_a_reason_to_stop_is_an_answer() -> None:
    assert reading_of([changed(of_text("a"), REASON, "stop")], False, "").failure is None


def test_where_no_message_is_alike_it_is_tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    monkeypatch.setattr(openai_answer, "like",
                        lambda data, *more: tried.append(data) or like(data, *more))
    assert len(reading_of([{**of_text("a"), "created": n} for n in range(50)], True, "").chunks) == 50
    assert len(tried) == 2


@pytest.mark.parametrize("data", [
    b'{"choices":[{"index":0,"delta":{"content":"a","content":"a"},"finish_reason":null}]}',
    b'{"content":"a","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}',
    b'{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":{"total_tokens":1,'
    b'"total_tokens":1,"completion_tokens":1}}',
    b'{"choices":[{"index":0,"delta":{"content":"\\u0061"},"finish_reason":null}]}'])
def test_where_text_or_counts_stand_in_two_places_nothing_is_taken_for_alike(data: bytes) -> None:
    assert like(data, orjson.loads(data), 1, ["content"]) is None


@pytest.mark.parametrize("message", [
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
    {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"object": "chat.completion.chunk", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}])
def test_what_nearly_all_streams_hold_is_read_in_the_quick_way(message: dict[str, Any],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OpenAIAnswer, "add", lambda *_: pytest.fail("the thorough way"))
    assert reading_of([message], True, "").failure is None


def test_counts_of_the_usual_form_are_those_of_the_thorough_reading() -> None:
    for path, more in CHANGES.items():
        for value in (*ODD, *more):
            told = changed(LAST, path, value).get("usage")
            if path[0] == "usage" and isinstance(told, dict):
                quick = usage._read_plain(told)
                assert quick is None or quick == usage._read_any(told, 1), told


def test_counts_of_the_usual_form_are_read_in_the_quick_way() -> None:
    told = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4}}
    assert usage._read_plain(told) == usage.Counts(5, 2, 4)


def test_a_choice_that_goes_on_after_the_counts_has_to_come_to_its_end() -> None:
    told = [of_text("a"), of_text("b"), LAST, of_text("c"), changed(END, ("choices", 0, "index"), 1)]
    failure = reading_of(told, True, "").failure
    assert failure is not None and "of some of its answers alone" in failure.message
