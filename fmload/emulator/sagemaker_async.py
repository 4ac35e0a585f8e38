"""SageMaker's InvokeEndpointAsync: a request is taken at once, and what its container answers becomes an object."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from fmload.emulator import sagemaker
from fmload.emulator.answer import EmulatedAnswer, Line
from fmload.emulator.http import Refusal, Request, json_refusal
from fmload.emulator.objects import Objects
from fmload.emulator.plane import Opened, Plane
from fmload.emulator.settings import Settings

MOST_INLINE_BYTES = 128_000
_PATH = re.compile(r"/endpoints/[^/]+/async-invocations$")
_OF_REQUEST = "x-amzn-sagemaker-"
_INPUT = "x-amzn-sagemaker-inputlocation"
_OUTPUTS, _FAILURES = "emulated-output", "emulated-failures"  # buckets


def with_input(request: Request, objects: Objects) -> Request:
    """The request with its input, from wherever that lies. Raises Refusal for one that has none, or too long a one."""
    place = request.headers.get(_INPUT)
    if (place is None) == (not request.body):
        raise PLANE.refuse(400, "exactly one of Body and InputLocation has to be given", "ValidationError")
    if place is None:
        if len(request.body) > MOST_INLINE_BYTES:
            raise PLANE.refuse(400, f"Body has {len(request.body)} bytes, and may have {MOST_INLINE_BYTES}",
                               "ValidationError")
        return request
    content = objects.of(place.removeprefix("s3://"))
    if content is None:
        raise PLANE.refuse(400, f"there is no input at {place}", "ValidationError")
    return replace(request, body=content)


def _open(request: Request, number: int, settings: Settings) -> Opened:
    """As the container would have it: the headers of its body are those that came under SageMaker's names."""
    own = {name: request.headers.get(_OF_REQUEST + name) for name in ("content-type", "accept")}
    headers = {**request.headers, **{name: value for name, value in own.items() if value is not None}}
    return sagemaker.open_invocation(replace(request, headers=headers), number, settings)


class Deposit:
    """The `Line` of an answer that nobody waits for: once it is whole it is an object, or a failure's."""

    headers: Mapping[str, str] = {}

    def __init__(self, line: Line, objects: Objects, name: str, finish: Callable[[EmulatedAnswer], None]) -> None:
        """`line`: the connection of the request, whose clock is used; `finish` gets the answer when it is over."""
        self.at, self._objects, self._name, self._finish = line.at, objects, name, finish
        self._sent = bytearray()

    def accepted(self, inference_id: str | None) -> Refusal:
        """What the request itself is answered."""
        return json_refusal(202, {"InferenceId": inference_id or self._name}, {
            "X-Amzn-SageMaker-OutputLocation": f"s3://{_OUTPUTS}/{self._name}.out",
            "X-Amzn-SageMaker-FailureLocation": f"s3://{_FAILURES}/{self._name}-error.out"})

    def send(self, data: bytes) -> None:
        """Keeps what the container answers."""
        self._sent += data

    def finished(self, answer: EmulatedAnswer, keep_alive: bool, reset: bool = False) -> None:
        """Puts it where it belongs: what is not a whole answer of status 200 is a failure."""
        head, _, body = bytes(self._sent).partition(b"\r\n\r\n")
        whole = head.startswith(b"HTTP/1.1 200") and b"Content-Length: %d\r" % len(body) in head + b"\r"
        place = f"{_OUTPUTS}/{self._name}.out" if whole else f"{_FAILURES}/{self._name}-error.out"
        self._objects.keep(place, body)
        self._finish(answer)


PLANE = Plane("sagemaker_async", lambda path: _PATH.match(path) is not None, _open, sagemaker.PLANE.refuse,
              request_id_header=sagemaker.PLANE.request_id_header)
