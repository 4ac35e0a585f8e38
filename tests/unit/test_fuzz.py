"""A short run of the fuzz harness, and the time of every reader over growing inputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fmload.endpoints.lenient_json import tolerant
from fmload.wire.eventstream import frames
from fmload.wire.framing import FramingError, ResponseParser
from fmload.wire.sse import events
from tests.aws_frames import event
from tests.fuzz import targets
from tests.fuzz.__main__ import fuzz
from tests.fuzz.targets import HEAD, TARGETS

INPUTS = int(os.environ.get("FMLOAD_FUZZ", "400"))


@pytest.mark.parametrize("name", TARGETS)
def test_no_reader_raises_what_it_does_not_declare(name: str) -> None:
    fuzz(TARGETS[name], INPUTS // 4 if name == "bedrock" else INPUTS, seed=1)


def calls(work: Callable[[], Any]) -> int:
    """How many functions, of Python and of C, and how many lines were run: time that no other process disturbs."""
    count = 0

    def trace(frame: Any, kind: str, argument: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def parts(size: int, data: bytes) -> bytes:
    return b"".join(event("PayloadPart", data[at:at + size]) for at in range(0, len(data), size))


def fed(data: bytes, size: int) -> None:
    parser = ResponseParser("POST", 1 << 26)
    try:
        for at in range(0, len(data), size):
            if parser.feed(data[at:at + size]):
                break
        parser.body([len(data)])
    except FramingError:
        pass


STREAM = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
ODD = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}],"x":NaN}\n\n'
TOTALS = b'}],"usage":{"completion_tokens":%d}}\n'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# What reads the input, and the input of a size.
GROWING: dict[str, tuple[Callable[[bytes], Any], Callable[[int], bytes]]] = {
    "messages": (targets.openai, lambda n: b"\x01" + STREAM * n),
    "odd messages": (targets.openai, lambda n: b"\x01" + ODD * n),
    "pings": (targets.openai, lambda n: b"\x01" + b"data: ping\n\n" * n),
    "single line ends": (targets.openai, lambda n: b"\x01" + STREAM.replace(b"\n\n", b"\n") * n),
    "running totals": (targets.openai, lambda n: b"\x01" + b"".join(
        STREAM.replace(b"}]}\n", TOTALS % number) for number in range(1, n + 1))),
    "deep events": (targets.openai, lambda n: b'\x01data: {"timings":' + b'{"a":' * n + b"1" + b"}" * n + b"}\n\n"),
    "deep values": (tolerant, lambda n: b"[" * n + b"]" * n),
    "lines": (events, lambda n: b"data: {}\n" * n),
    "carriage returns": (events, lambda n: b"\r" * n),
    "parts without a line end": (targets.sagemaker, lambda n: b"\x03" + parts(20, b"x" * 20 * n)),
    "parts of lines": (targets.sagemaker, lambda n: b"\x03" + parts(7, STREAM * n)),
    "frames": (lambda data: list(frames(data)), lambda n: event("chunk", b"{}") * n),
    "chunks of a body": (lambda data: fed(data, 1 << 10), lambda n: CHUNKED + b"1\r\nx\r\n" * n * 100),
    "interim responses": (lambda data: fed(data, 1 << 20), lambda n: b"HTTP/1.1 100 Continue\r\n\r\n" * n),
    "spaces in a header": (lambda data: fed(data, 1 << 20), lambda n: HEAD + b"x:" + b" " * n + b"\rb\r\n\r\n"),
    "trailers": (lambda data: fed(data, 3), lambda n: CHUNKED + b"0\r\n" + b"x: y\r\n" * n),
}


@pytest.mark.parametrize("name", GROWING)
def test_work_grows_no_faster_than_the_input(name: str) -> None:
    """Lines run for four times the input are at most some five times as many; a square would be sixteen."""
    work, made = GROWING[name]
    small, large = (calls(partial(work, made(size))) for size in (150, 600))
    assert large <= 5 * small + 2000
