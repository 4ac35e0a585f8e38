"""A line that keeps what an emulated answer sends: for tests of answers without sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from fmload.emulator.answer import EmulatedAnswer


class KeptLine:
    """Keeps every write; timers are fired by hand, in order."""

    def __init__(self) -> None:
        self.headers: Mapping[str, str] = {"X-Emulator": "test"}
        self.writes: list[bytes] = []
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.ended: dict[str, bool] | None = None

    def send(self, data: bytes) -> None:
        if data:
            self.writes.append(data)

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        self.timers.append((due_ns, call))

    def finished(self, answer: EmulatedAnswer, keep_alive: bool, reset: bool = False) -> None:
        self.ended = {"keep_alive": keep_alive, "reset": reset}

    @property
    def head(self) -> str:
        return b"".join(self.writes).partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self) -> bytes:
        """The body, de-chunked as far as it goes."""
        head, _, rest = b"".join(self.writes).partition(b"\r\n\r\n")
        if b"Transfer-Encoding: chunked" not in head:
            return rest
        body = b""
        while found := re.match(rb"([0-9a-f]+)\r\n", rest):
            size, start = int(found[1], 16), found.end()
            body += rest[start:start + size]
            rest = rest[start + size + 2:]
        return body

    @property
    def complete(self) -> bool:
        return b"".join(self.writes).endswith(b"0\r\n\r\n")

    def events(self) -> list[Any]:
        lines = re.findall(rb"^data: ?(.+)$", self.body, re.MULTILINE)
        return [line.decode() if line == b"[DONE]" else json.loads(line) for line in lines]
