"""A protocol of the emulator: the other side of `protocol: lines`, at the path /lines."""

from __future__ import annotations

from collections.abc import Mapping

from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.http import Refusal
from fmload.emulator.plane import Opened, Plane


class Spoken:
    """One answer: a line a token."""

    content_type = "text/plain"
    headers: Mapping[str, str] = {}
    finish_with_last = usage_each = False

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        return text.encode() + b"\n"

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return b""

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return f"! {message}\n".encode()

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        return Whole(text.replace(" ", "\n").encode(), self.content_type)


def refuse(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
           outcome: str = "rejected") -> Refusal:
    return Refusal(status, message.encode(), headers or {}, "text/plain", outcome)


LINES = Plane("lines", lambda path: path == "/lines",
              lambda request, number, settings: Opened(Ask([request.body.decode()], stream=True), Spoken()), refuse)
