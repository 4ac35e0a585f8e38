"""What a master or worker uses of Locust's runner to talk to the other side."""

from __future__ import annotations

from typing import Protocol

from fmload.protocol.messages import Message


class Link(Protocol):
    """Messages between master and workers. `send` raises ConnectionError when the other side cannot be reached."""

    def send(self, message: Message, worker: str | None = None) -> None: ...
