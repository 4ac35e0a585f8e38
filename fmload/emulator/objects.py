"""Objects as S3 has them, in memory: what asynchronous endpoints read their requests from, and write answers to."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import md5

from fmload.emulator.http import Refusal, Request

MOST_BYTES = 256 << 20  # of all objects; the oldest go
_SCOPE = "/s3/aws4_request"  # in what S3's requests are signed with


class Objects:
    """Buckets are not made: every one is there."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._held = most_bytes, 0
        self._objects: OrderedDict[str, bytes] = OrderedDict()  # by bucket/key

    def keep(self, place: str, content: bytes) -> None:
        """Write an object, `bucket/key`."""
        self._held += len(content) - len(self._objects.pop(place, b""))
        self._objects[place] = content
        while self._held > self._most:
            self._held -= len(self._objects.popitem(last=False)[1])

    def of(self, place: str) -> bytes | None:
        """An object's content; None where there is none."""
        return self._objects.get(place)

    def reply(self, request: Request) -> Refusal:
        """The answer to PutObject and GetObject, with the bucket in the path."""
        place = request.path.lstrip("/")
        if request.method == "PUT":
            self.keep(place, request.body)
            return Refusal(200, b"", {"ETag": f'"{md5(request.body, usedforsecurity=False).hexdigest()}"'})
        content = self.of(place) if request.method == "GET" else None
        if content is not None:
            return Refusal(200, content, {}, "binary/octet-stream")
        return _refusal(404, "NoSuchKey", "The specified key does not exist.") if request.method == "GET" else _refusal(
            405, "MethodNotAllowed", "The specified method is not allowed against this resource.")


def is_for_objects(request: Request) -> bool:
    """Whether a request is signed for S3."""
    return _SCOPE in request.headers.get("authorization", "")


def _refusal(status: int, code: str, message: str) -> Refusal:
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Refusal(status, body.encode(), {}, "application/xml")
