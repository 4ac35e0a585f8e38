"""What every protocol tells the server: what a request asks for, and how an answer to it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Plane = Literal["openai", "sagemaker", "bedrock"]


@dataclass(slots=True)
class Ask:
    """A request, whatever its protocol. `texts` are its messages or its one prompt; `chat` says which.

    `max_tokens` None: the request sets no limit.
    """

    texts: list[str]
    chat: bool = False
    model: str = ""
    stream: bool = False
    max_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False


    @property
    def prompt(self) -> str:
        """All of the prompt in one piece."""
        return "\n".join(self.texts)


@dataclass(slots=True)
class Usage:
    """Token counts as the server will state them."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Dialect(Protocol):
    """Writes one answer. Every method returns the bytes of whole events, free of transfer coding.

    `opening` comes once before the first token (b"" where the protocol has none), `token` carries text of `usage`'s
    newest tokens (`finish` on the last one where the shape puts it there), `closing` everything after the last token,
    `trailer` what marks a regular end, `error` a failure inside a stream, `whole` an answer that is not streamed.
    """

    content_type: str
    headers: Mapping[str, str]

    def opening(self) -> bytes: ...

    def token(self, text: str, usage: Usage, reasoning: bool, finish: str | None) -> bytes: ...

    def closing(self, finish: str | None, usage: Usage) -> bytes: ...

    def trailer(self) -> bytes: ...

    def error(self, code: str, message: str) -> bytes: ...

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> bytes: ...
