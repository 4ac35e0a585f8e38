"""What is fuzzed: a function of bytes a target, the exceptions it declares, and bytes to begin with."""

from __future__ import annotations

import json
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

from fmload.config.schema import EndpointSpec
from fmload.model.record import Record, pack, to_table, unpack
from fmload.plugins import ENDPOINTS
from fmload.wire.content_coding import decode_content
from fmload.wire.eventstream import FrameError, frames
from fmload.wire.exchange import Exchange, ReadMark
from fmload.wire.framing import FramingError, ResponseParser
from fmload.wire.native import native
from fmload.wire.sse import events
from fmload.worker import measure
from tests.aws_frames import chunk, event, exception

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@dataclass(frozen=True)
class Target:
    """`run` reads the bytes; anything but `declared` that it raises is a finding, and so is a record that cannot be
    kept. `seeds` and `tokens` are what mutation begins with and splices in."""

    run: Callable[[bytes], Any]
    seeds: list[bytes]
    tokens: list[bytes]
    declared: tuple[type[Exception], ...] = field(default=())


def http(data: bytes) -> None:
    """A response in reads of a length that its first byte tells, then its body with the content coding undone."""
    parser, step = ResponseParser("POST", 1 << 20), 1 + (data[0] if data else 0)
    ends = []
    for at in range(1, len(data), step):
        ended = parser.feed(data[at:at + step])
        ends.append(parser.received)
        if ended:
            break
    else:
        parser.eof()
    body, lengths = parser.body(ends)
    encoding = parser.head.headers.get("content-encoding", "") if parser.head else ""
    plain, _, _ = decode_content(encoding.strip().lower(), body, lengths, 1 << 20)
    assert lengths == sorted(lengths) and len(plain) <= 1 << 20


def native_reader(data: bytes) -> None:
    """The same reads over a socket to the native reader: it keeps them all, misses no end of a response that the parser
    finds, and says that the peer has closed. Nothing where it is not installed."""
    reader = _native_reader()
    if reader is None:
        return
    here, there = socket.socketpair()
    here.setblocking(False)
    connection = reader.connection(here.detach(), True, False)
    connection.send(b"x", False, bool(data) and data[0] == 255, 1 << 20)
    parser = ResponseParser("HEAD" if data[:1] == b"\xff" else "POST", 1 << 20)
    step, whole = 1 + (data[0] if data else 0), False
    with there, suppress(FramingError):
        for at in range(1, min(len(data), step * 64), step):
            there.sendall(data[at:at + step])
            whole = whole or parser.feed(data[at:at + step])
        whole = whole or parser.settle()
    received, flags = b"", 0
    while not flags & 4:
        assert select.select([reader], [], [], 20)[0], "it missed the end"
        reader.ready()
        piece, ends, instants, lags, flags, _ = connection.take()
        if isinstance(piece, list):
            received += b"".join(data for data, _, _ in piece)
        else:
            assert len(ends) == len(instants) == len(lags)
            received += piece
    connection.close()
    assert data[1:1 + step * 64].startswith(received)
    assert not whole or flags & 3, "it missed the end of the response"
    assert not flags & 1 or whole or _refused(received), "it saw an end where there is none"


def _refused(data: bytes) -> bool:
    try:
        ResponseParser("POST", 1 << 20).feed(data)
    except FramingError:
        return True
    return False


@cache
def _native_reader() -> Any:
    return None if native is None else native.Reader()


def sse(data: bytes) -> None:
    """Events of a body: their ends ascend and lie within."""
    ends = [end for end, _, _ in events(data)]
    assert ends == sorted(ends) and all(0 < end <= len(data) for end in ends)


def eventstream(data: bytes) -> None:
    """Frames of a body."""
    for frame in frames(data):
        assert 0 < frame.end <= len(data)


def _kept(endpoint: Any, data: bytes) -> None:
    """Read as the product does, to a record that every later step can hold."""
    if not data:
        return
    complete, body = bool(data[0] & 1), data[1:]
    headers = {"x-amzn-bedrock-output-token-count": body[:3].decode("latin-1")}
    ends = sorted({len(body) // 3, len(body) // 2, len(body)})
    exchange = Exchange("http://h:1", send_ns=1, headers_ns=2, end_ns=9, status=200, headers=headers, body=body,
                        marks=[ReadMark(end, 3 + number, 0, True) for number, end in enumerate(ends)],
                        complete=complete)
    record = Record("r", "w", 0, "e", "s", "p", 0, max_output_tokens=50)
    measure._read_into(record, endpoint, exchange)
    assert record.outcome != "client", record.error
    assert unpack(pack(record)) == record
    if crc32(data) % 64 == 0:  # Arrow takes a thousand times as long as all the rest
        to_table([record])
    endpoint.carries_token(body)


def openai(data: bytes) -> None:
    """A streamed answer of an OpenAI server."""
    _kept(_endpoint("openai", url="http://h:1/v1"), data)


def openai_whole(data: bytes) -> None:
    """An answer of an OpenAI server in one piece."""
    _kept(_endpoint("openai", url="http://h:1/v1", stream=False), data)


def sagemaker(data: bytes) -> None:
    """Payload parts: the container's bytes, cut wherever the second byte says; or the frames themselves."""
    if len(data) > 1 and not data[0] & 2:
        size = 1 + data[1]
        data = data[:1] + b"".join(event("PayloadPart", data[at:at + size]) for at in range(2, len(data), size))
    _kept(_endpoint("sagemaker", payload_format="openai", region="us-east-1"), data)


_MODELS = ("anthropic.claude-haiku-4-5-20251001-v1:0", "meta.llama3-1-8b-instruct-v1:0", "openai.gpt-oss-20b-1:0",
           "amazon.titan-text-express-v1", "cohere.command-r-v1:0", "mistral.mistral-7b-instruct-v0:2")


def bedrock(data: bytes) -> None:
    """Converse's events, or a family's chunks by the first byte: a JSON payload a line, framed; or the frames
    themselves."""
    family = data[0] >> 2 if data else 0
    model = (None, *_MODELS)[family % (len(_MODELS) + 1)]
    if data and not data[0] & 2:
        lines = data[1:].split(b"\n")
        data = data[:1] + b"".join(map(_chunk, lines) if model else (_converse(line) for line in lines if line))
    _kept(_endpoint("bedrock", region="us-east-1", **({"api": "invoke", "model": model} if model else {})), data)


def _converse(line: bytes) -> bytes:
    kinds = ("contentBlockDelta", "messageStop", "metadata", "contentBlockStart", "messageStart")
    return event(kinds[line[0] % len(kinds)], line[1:])


def _chunk(line: bytes) -> bytes:
    try:
        return chunk(json.loads(line))
    except (ValueError, RecursionError):
        return event("chunk", line)


_OVER_HTTP = ("responses", "anthropic", "gemini", "tgi", "ollama", "llama_cpp", "triton")


def protocols(data: bytes) -> None:
    """An answer of each protocol over HTTP, streamed or in one piece by the first byte."""
    for protocol in _OVER_HTTP:
        _kept(_endpoint(protocol, url="http://h:1", stream=not data[:1] or not data[0] & 2), data)


def records(data: bytes) -> None:
    """A journal's bytes as a record."""
    unpack(data)


@cache
def _endpoint(protocol: str, **keys: Any) -> Any:
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "hidden")
    spec = EndpointSpec.model_validate({"name": "e", "protocol": protocol, "model": "m", **keys})
    return ENDPOINTS.load(protocol).from_spec(spec)


_MESSAGE = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"usage":null}\n\n'
_END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}\n\n'
_STREAM = _MESSAGE + _END + _USAGE + b"data: [DONE]\n\n"
_WHOLE = b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}'
_JSON = [b"{", b"}", b"[", b"]", b'"', b",", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"0",
         b"9" * 40, b"12.0", b"\\ud83e", b"\\udd80", b"\xf0\x9f", b"\xff", b'{"a":' * 70, b"[" * 300, b'"usage":',
         b'"completion_tokens":', b'"total_tokens":', b'"choices":', b'"delta":', b'"content":', b'"index":',
         b'"finish_reason":"abort"', b'"finish_reason":{"type":"abort"}', b'"error":', b'"tool_calls":',
         b'"reasoning_details":', b'"logprobs":', b'"token_ids":[1,2]', b'"audio":', b'"timings":', b'"message":']
_LINES = [b"\n", b"\r", b"\r\n", b"\n\n", b"data: ", b"data:", b"event: error\n", b"event: ping\n", b": c\n", b"[DONE]",
          b"id: 1\n", b"error: ", b"\xef\xbb\xbf"]
_CONVERSE = (b'\x00{"delta":{"text":"A"},"contentBlockIndex":0}\n\x01{"stopReason":"end_turn"}\n'
             b'\x02{"usage":{"inputTokens":5,"outputTokens":1,"cacheReadInputTokens":2},"metrics":{"latencyMs":3}}')
_FAMILIES = (b'{"type":"content_block_delta","delta":{"text":"A","thinking":"B"}}\n{"generation":"A",'
             b'"generation_token_count":1,"stop_reason":"stop"}\n{"outputs":[{"text":"A","stop_reason":"stop"}]}\n'
             b'{"outputText":"A","completionReason":"FINISH"}\n{"event_type":"text-generation","text":"A"}\n'
             b'{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}}')

_SAID = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","output_index":0,"delta":"a"}\n\n'
    b'data: {"type":"response.completed","response":{"id":"r","status":"completed","usage":{"output_tokens":1}}}\n\n',
    b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"n"}}\n\n'
    b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n'
    b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":1}}\n\n',
    b'data: {"candidates":[{"content":{"parts":[{"text":"a"},{"functionCall":{"name":"n","args":{}}}]},'
    b'"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":2,"candidatesTokenCount":1}}\r\n\r\n',
    b'{"message":{"role":"assistant","content":"a"},"done":false}\n{"message":{"content":""},"done":true,'
    b'"done_reason":"stop","eval_count":1,"prompt_eval_count":2}\n',
    b'data: {"content":"a","stop":false,"tokens_predicted":1}\n\ndata: {"content":"","stop":true,"stop_type":"eos",'
    b'"tokens_predicted":1,"tokens_evaluated":2,"timings":{"cache_n":1}}\n\n',
    b'data: {"text_output":"a"}\n\n', b'data:{"token":{"id":1,"text":"a"},"generated_text":"a"}\n\n')
_KEYS = [b'"type":"error"', b'"type":"response.failed"', b'"response":', b'"delta":', b'"item":', b'"output":[{"type":',
         b'"incomplete_details":', b'"content_block":', b'"usageMetadata":', b'"candidates":', b'"parts":',
         b'"promptFeedback":{"blockReason":', b'"thought":true', b'"tool_calls":[{"function":', b'"done":true',
         b'"tokens_predicted":', b'"timings":', b'"stop":true', b'"text_output":', b'"summary":', b'"content":']

TARGETS: dict[str, Target] = {
    "http": Target(http, [
        b"\x05" + HEAD + b"Content-Length: 5\r\n\r\nhello", b"\xff" + HEAD + b"\r\nuntil close",
        b"\x09" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"\x03HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n",
        b"\x40" + HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00"],
        [b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Content-Length: ", b"-1", b"9" * 30, b"\xb2", b"chunked", b"0\r\n",
         b"ffffffff\r\n", b"HTTP/1.1 ", b"HTTP/1.1 102 \r\n\r\n", b"x:" + b" " * 200, b"gzip", b"deflate"],
        (FramingError,)),
    "native-reader": Target(native_reader, [
        b"\x05" + HEAD + b"Content-Length: 5\r\n\r\nhello", b"\xff" + HEAD + b"\r\nuntil close",
        b"\x09" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
        b"\x20" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1 \r\nx\r\n0\r\n\r\n",
        b"\x03HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 0\r\n\r\n"],
        [b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Content-Length: ", b"-1", b"9" * 30, b"chunked", b"0\r\n",
         b"7fffffff\r\n", b"ffffffff\r\n", b"HTTP/1.1 ", b"HTTP/1.1 102 \r\n\r\n", b"Transfer-Encoding: chunked\r\n"]),
    "sse": Target(sse, [_STREAM, b"event: a\r\ndata: b\r\n\r\n"], _LINES + _JSON[:8]),
    "eventstream": Target(eventstream, [event("PayloadPart", b"x"), exception("modelStreamErrorException", {})],
                          [b"\x00\x00\x00\x10", b"\xff\xff\xff\xff", b"\x07\x00\x01", event("chunk", b"y")],
                          (FrameError,)),
    "openai": Target(openai, [b"\x01" + _STREAM, b"\x00" + _STREAM], _JSON + _LINES),
    "openai-whole": Target(openai_whole, [b"\x01" + _WHOLE], _JSON),
    "sagemaker": Target(sagemaker, [b"\x01\x20" + _STREAM, b"\x03" + event("PayloadPart", _STREAM),
                                    b'\x01\x07{"token":{"id":1,"text":"a"},"generated_text":null}\n'
                                    b'{"token":[{"id":2}],"generated_text":"a","details":{"generated_tokens":2}}\n',
                                    b'\x01\x10[{"generated_text":"a"}]'], [
        *_JSON, *_LINES, b'"token":', b'"generated_text":', b'"details":', b'"outputs":', event("PayloadPart", b"\n")]),
    "bedrock": Target(bedrock, [bytes([1 | family << 2]) + said for family in range(1 + len(_MODELS))
                                for said in ((_FAMILIES, _WHOLE) if family else (_CONVERSE,))], [
        *_JSON, b"\n", b'"type":"message"', b'"generation_token_count":', b'"outputs":', b'"stopReason":',
        b'"reasoningContent":', b'"amazon-bedrock-invocationMetrics":', b'"toolUse":', b'"results":', b'"text":']),
    "protocols": Target(protocols, [mark + said for said in _SAID for mark in (b"\x01", b"\x00", b"\x03")],
                        _JSON + _LINES + _KEYS),
    "records": Target(records, [pack(Record("r", "w", 0, "e", "s", "p", 0))],
                      [b"\x90", b"\xdc\xff\xff", b"\xc0", b"\xc4\x08", b"\xa5hello", b"\xcf" + b"\xff" * 8],
                      (ValueError,)),
}
