"""A link that keeps what is sent through it."""

from __future__ import annotations

from fmload.protocol.messages import Message


class Link:
    """As a worker's link to its master."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message, worker: str | None = None) -> None:
        self.sent.append(message)
