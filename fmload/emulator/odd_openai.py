"""Odd forms of OpenAI's chat completions, as engines, gateways and façades send them. Each is one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from fmload.emulator.dialect import Usage
from fmload.emulator.odd import Form, Message, Part, form, spoken, sse
from fmload.emulator.openai import usage_json

_ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
ABSURD = 2**31 - 1


# -- usage: where it stands, and under which names --


def _without_usage(message: Message) -> Iterator[Message]:
    """The message without its usage; nothing where it was nothing else."""
    message.pop("usage", None)
    if message["choices"]:
        yield message


def _told(tell: Callable[[Usage], Message]) -> Form:
    """A form that tells its counts as `tell` writes them, in a message of its own at the end."""
    def change(message: Message, part: Part) -> Iterable[Any]:
        yield from _without_usage(message)
        if part.moment == "closing" and not message["choices"]:
            yield {**message, **tell(part.usage)}
    return Form(change)


float_counts = _told(lambda usage: {"usage": {"prompt_tokens": float(usage.input_tokens),
                                              "completion_tokens": float(usage.output_tokens)}})
text_counts = _told(lambda usage: {"usage": {"prompt_tokens": str(usage.input_tokens),
                                             "completion_tokens": str(usage.output_tokens)}})
input_output_names = _told(lambda usage: {"usage": {"input_tokens": usage.input_tokens,
                                                    "output_tokens": usage.output_tokens}})
groq = _told(lambda usage: {"x_groq": {"id": "req_1", "usage": usage_json(usage)}})
metadata_usage = _told(lambda usage: {"metadata": {"usage": usage_json(usage)}})
gemini_names = _told(lambda usage: {"usageMetadata": {"promptTokenCount": usage.input_tokens,
                                                      "candidatesTokenCount": usage.output_tokens,
                                                      "totalTokenCount": usage.input_tokens + usage.output_tokens}})
cache_hit_names = _told(lambda usage: {"usage": {
    **{name: count for name, count in usage_json(usage).items() if name != "prompt_tokens_details"},
    "prompt_cache_hit_tokens": 4, "prompt_cache_miss_tokens": max(0, usage.input_tokens - 4)}})
camel_names = _told(lambda usage: {"usage": {"promptTokens": usage.input_tokens,
                                             "completionTokens": usage.output_tokens}})
cohere_names = _told(lambda usage: {"usage": {
    "billed_units": {"input_tokens": 1, "output_tokens": usage.output_tokens},
    "tokens": {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}}})
usage_in_list = _told(lambda usage: {"usage": [usage_json(usage)]})
ollama_counts = _told(lambda usage: {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens})
total_and_prompt = _told(lambda usage: {"usage": {"prompt_tokens": usage.input_tokens,
                                                  "total_tokens": usage.input_tokens + usage.output_tokens}})
llama_timings = _told(lambda usage: {"timings": {"cache_n": 0, "prompt_n": usage.input_tokens,
                                                 "predicted_n": usage.output_tokens}})


@form(with_last=True)
def usage_with_last_text(message: Message, part: Part) -> Iterable[Any]:
    """The total comes once, with the last text."""
    for kept in _without_usage(message):
        yield {**kept, "usage": usage_json(part.usage)} if part.last else kept


@form()
def usage_in_choice(message: Message, part: Part) -> Iterable[Any]:
    """The last choice holds the usage (Moonshot)."""
    for kept in _without_usage(message):
        if part.moment == "closing":
            kept["choices"][0]["usage"] = usage_json(part.usage)
        yield kept


@form()
def usage_in_delta(message: Message, part: Part) -> Iterable[Any]:
    """The last delta holds the usage."""
    for kept in _without_usage(message):
        if part.moment == "closing":
            kept["choices"][0]["delta"] = {"usage": usage_json(part.usage)}
        yield kept


@form()
def continuous_usage(message: Message, part: Part) -> Iterable[Any]:
    """A running total with every chunk, though nobody asked for it."""
    yield {**message, "usage": usage_json(part.usage)}


@form()
def usage_null_until_the_end(message: Message, part: Part) -> Iterable[Any]:
    """`usage: null` with every chunk."""
    yield message if message.get("usage") else {**message, "usage": None}


@form()
def zeros_until_the_end(message: Message, part: Part) -> Iterable[Any]:
    """A usage of zeros with every chunk, the total in a message of its own."""
    yield {**message, "usage": usage_json(part.usage)} if not message["choices"] else {**message, "usage": _ZERO}


@form()
def zero_after_the_total(message: Message, part: Part) -> Iterable[Any]:
    """The total with the finish reason, and zeros after it."""
    if not message["choices"]:
        yield {**message, "usage": _ZERO}
        return
    yield {**message, "usage": usage_json(part.usage)} if part.moment == "closing" else next(_without_usage(message))


@form()
def prompt_at_the_start(message: Message, part: Part) -> Iterable[Any]:
    """The prompt's count with the first message, the answer's with the last."""
    for kept in _without_usage(message):
        if part.moment == "opening":
            kept["usage"] = {"prompt_tokens": part.usage.input_tokens, "completion_tokens": 0}
        elif part.moment == "closing":
            kept["usage"] = {"completion_tokens": part.usage.output_tokens}
        yield kept


@form(told=False)
def one_token_told(message: Message, part: Part) -> Iterable[Any]:
    """The server says 1, whatever it has sent."""
    if message.get("usage") and not message["choices"]:
        message["usage"] = {**message["usage"], "completion_tokens": 1,
                            "total_tokens": message["usage"]["prompt_tokens"] + 1}
        yield message
    else:
        yield from _without_usage(message)


@form(told=False)
def absurd_count(message: Message, part: Part) -> Iterable[Any]:
    """A count that no answer holds."""
    if not message["choices"]:
        message["usage"] = {"prompt_tokens": 1, "completion_tokens": ABSURD, "total_tokens": ABSURD + 1}
        yield message
    else:
        yield from _without_usage(message)


@form(told=False)
def negative_count(message: Message, part: Part) -> Iterable[Any]:
    """A count below zero."""
    if not message["choices"]:
        message["usage"] = {"prompt_tokens": -1, "completion_tokens": -1}
        yield message
    else:
        yield from _without_usage(message)


@form(told=False)
def no_usage(message: Message, part: Part) -> Iterable[Any]:
    """Nothing is told."""
    yield from _without_usage(message)


_THOUGHT = 4  # tokens


@form(hidden=_THOUGHT)
def thinking_outside(message: Message, part: Part) -> Iterable[Any]:
    """The first tokens are thought, not shown, and outside of `completion_tokens`: only the total tells (Gemini)."""
    if part.moment == "token" and part.usage.output_tokens <= _THOUGHT:
        return
    yield from _without_usage(message)
    if part.moment == "closing" and not message["choices"]:
        told = usage_json(part.usage)
        yield {**message, "usage": {**told, "completion_tokens": told["completion_tokens"] - _THOUGHT}}


@form(hidden=_THOUGHT)
def hidden_then_shown(message: Message, part: Part) -> Iterable[Any]:
    """The first tokens are thought and not shown; the counts tell how many."""
    if part.moment == "token" and part.usage.output_tokens <= _THOUGHT:
        return
    yield from _without_usage(message)
    if part.moment == "closing" and not message["choices"]:
        yield {**message, "usage": {**usage_json(part.usage),
                                    "completion_tokens_details": {"reasoning_tokens": _THOUGHT}}}


@form(choices=2)
def two_choices(message: Message, part: Part) -> Iterable[Any]:
    """Two answers to the one prompt (`n: 2`), token by token side by side; the usage is of both."""
    usage = message.pop("usage", None)
    for choice in message["choices"]:
        for index in (0, 1):
            yield {**message, "choices": [{**choice, "index": index}]}
    if usage and not message["choices"]:
        made = 2 * usage["completion_tokens"]
        yield {**message, "usage": {**usage, "completion_tokens": made,
                                    "total_tokens": usage["prompt_tokens"] + made}}


@form(spoken=False)
def hidden_reasoning(message: Message, part: Part) -> Iterable[Any]:
    """All tokens are thought, and none is shown."""
    if part.moment == "token":
        return
    if message.get("usage"):
        message["usage"]["completion_tokens_details"] = {"reasoning_tokens": part.usage.output_tokens}
    yield message


# -- channels --


def _delta(make: Callable[[str, Part], Any]) -> Form:
    """A form that says the text of each token as `make` writes it."""
    def change(message: Message, part: Part) -> Iterable[Any]:
        choice = spoken(message)
        if part.moment == "token" and isinstance(choice, dict) and part.text:
            choice["delta"] = make(part.text, part)
        yield message
    return Form(change)


def _call(text: str, part: Part) -> Any:
    first = not part.kept.setdefault("called", False)
    part.kept["called"] = True
    return {"name": "f", "arguments": text} if first else {"arguments": text}


content_parts = _delta(lambda text, _: {"content": [{"type": "text", "text": text}]})
thinking_parts = _delta(lambda text, _: {"content": [
    {"type": "thinking", "thinking": [{"type": "text", "text": text}]}]})
reasoning_details = _delta(lambda text, _: {"content": "", "reasoning_details": [
    {"type": "reasoning.text", "text": text, "index": 0}]})
reasoning_object = _delta(lambda text, _: {"reasoning": {"content": text}})
thinking_blocks = _delta(lambda text, _: {"thinking_blocks": [{"type": "thinking", "thinking": text}]})
both_channels = _delta(lambda text, _: {"content": text, "reasoning_content": text})
tool_calls = _delta(lambda text, part: {"tool_calls": [{"index": 0, "function": _call(text, part)}]})
bare_tool_calls = _delta(lambda text, part: {"tool_calls": [{"index": 0, **_call(text, part)}]})
text_delta = _delta(lambda text, _: text)
output_text_parts = _delta(lambda text, _: {"content": [{"type": "output_text", "text": text}]})
function_call = _delta(lambda text, part: {"function_call": _call(text, part)})
audio_transcript = _delta(lambda text, _: {"audio": {"id": "a", "data": "UklGRg==", "transcript": text}})
refusal = _delta(lambda text, _: {"refusal": text})
encrypted_reasoning = _delta(lambda text, _: {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAA"}]})


@form()
def token_ids(message: Message, part: Part) -> Iterable[Any]:
    """The ids of the tokens beside their text (vLLM)."""
    choice = spoken(message)
    if part.moment == "token" and isinstance(choice, dict):
        choice["token_ids"] = list(range(max(1, part.usage.output_tokens - part.kept.get("made", 0))))
        part.kept["made"] = part.usage.output_tokens
    yield message


@form()
def log_probabilities(message: Message, part: Part) -> Iterable[Any]:
    """The log probability of each token beside the text; -Infinity among them, as Python writes it."""
    choice = spoken(message)
    if part.moment == "token" and isinstance(choice, dict):
        choice["logprobs"] = {"content": [{"token": part.text, "logprob": "$"}]}
        yield sse(message).replace(b'"$"', b"-Infinity")
    else:
        yield message


# -- ends --


def _ended(reason: Any, outcome: str, trailer: bytes | None = None) -> Form:
    def change(message: Message, part: Part) -> Iterable[Any]:
        choice = spoken(message)
        if part.moment == "closing" and isinstance(choice, dict):
            choice["finish_reason"] = reason
        yield message
    return Form(change, outcome=outcome, trailer=trailer)


abort = _ended("abort", "stream_error")
abort_object = _ended({"type": "abort", "message": "out of memory"}, "stream_error")
engine_overloaded = _ended("engine_overloaded", "stream_error")
content_filter = _ended("content_filter", "blocked")
guardrail_word = _ended("guardrail", "blocked")
word_for_none = _ended("null", "ok", b"data: [DONE]\n\n")  # which alone says that it is over
end_mark_of_tgi = _ended("eos_token", "ok")


def _failing(make: Callable[[Message], Any]) -> Form:
    """A form that ends every answer with an error in place of its last messages."""
    def change(message: Message, part: Part) -> Iterable[Any]:
        if part.moment != "closing":
            yield message
        elif message["choices"]:
            yield make(message)
    return Form(change, outcome="stream_error")


error_in_choice = _failing(lambda message: {**message, "choices": [
    {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": {"message": "upstream lost"}}]})
error_in_delta = _failing(lambda message: {**message, "choices": [
    {"index": 0, "delta": {"error": {"message": "upstream lost"}}, "finish_reason": None}]})
error_code = _failing(lambda _: {"code": 500, "msg": "out of memory"})
error_status = _failing(lambda _: {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}})
error_text = _failing(lambda _: b"data: Internal Server Error\n\n")
error_detail = _failing(lambda _: {"detail": "out of memory"})
error_event = _failing(lambda _: b'event: error\ndata: {"message": "out of memory"}\n\n')
error_line = _failing(lambda _: b'{"error": {"message": "out of memory"}}\n\n')
error_field = _failing(lambda _: b'error: {"message": "out of memory"}\n\n')


@form()
def empty_finish_reason(message: Message, part: Part) -> Iterable[Any]:
    """The finish reason is an empty text until the end."""
    choice = spoken(message)
    if part.moment != "closing" and isinstance(choice, dict):
        choice["finish_reason"] = ""
    yield message


# -- events --


def _before_each(odd: bytes) -> Form:
    """A form that sends something odd before every message."""
    def change(message: Message, part: Part) -> Iterable[Any]:
        yield odd
        yield message
    return Form(change)


def _as_it_is(message: Message, part: Part) -> Iterable[Any]:
    yield message


empty_data = _before_each(b"data: \n\n")
ping_event = _before_each(b"event: ping\ndata: keepalive\n\n")
ping_object = _before_each(b'data: {"type": "ping"}\n\n')
ping_text = _before_each(b"data: ping\n\n")
news = _before_each(b'data: {"message": "queued", "position": 3}\n\n')
null_data = _before_each(b"data: null\n\n")
done_with_space = Form(_as_it_is, trailer=b"data: [DONE] \n\n")
no_done = Form(_as_it_is, trailer=b"")
carriage_returns = Form(_as_it_is, after=lambda data, _: data.replace(b"\n", b"\r\n"))
single_newlines = Form(_as_it_is, trailer=b"data: [DONE]\n", after=lambda data, _: data.replace(b"\n\n", b"\n"))
no_space = Form(_as_it_is, after=lambda data, _: data.replace(b"data: ", b"data:"))
wrapped_in_lists = Form(lambda message, part: [[message]])


def _mark(data: bytes, part: Part) -> bytes:
    if data and not part.kept.get("marked"):
        part.kept["marked"] = True
        return b"\xef\xbb\xbf" + data
    return data


byte_order_mark = Form(_as_it_is, after=_mark)
json_lines = Form(_as_it_is, trailer=b"",
                  after=lambda data, _: data.replace(b"data: ", b"").replace(b"\n\n", b"\n"))


# -- values --


def _with_raw(name: str, value: bytes) -> Form:
    """A form that adds to every message a value which strict JSON does not have, or nobody expects."""
    def change(message: Message, part: Part) -> Iterable[Any]:
        yield sse({**message, name: "$raw"}).replace(b'"$raw"', value)
    return Form(change)


nan = _with_raw("score", b"NaN")
huge_integer = _with_raw("created", b"9" * 5000)
deep_timings = _with_raw("timings", b'{"a":' * 300 + b"1" + b"}" * 300)
deeper_than_parsers_go = _with_raw("timings", b'{"a":' * 3000 + b"1" + b"}" * 3000)


def _in_halves(first: bytes, second: bytes) -> Form:
    """A form in which every second text ends with half of a character, and the next begins with the rest."""
    def change(message: Message, part: Part) -> Iterable[Any]:
        if part.moment != "token":
            yield message
            return
        half, part.kept["half"] = part.kept.get("half", False), not part.kept.get("half", False)
        written = orjson.dumps(part.text)
        odd = b'"' + second + written[1:] if half else written[:-1] + first + b'"'
        yield sse(message).replace(written, odd, 1)
    return Form(change)


half_escapes = _in_halves(b"\\ud83e", b"\\udd80")
half_bytes = _in_halves(b"\xf0\x9f", b"\xa6\x80")
