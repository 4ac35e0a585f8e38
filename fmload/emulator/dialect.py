"""What every protocol tells the server: what a request asks for, and how an answer to it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fmload.emulator.media import Seen


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
    goes_on_from: str | None = None  # the answer before, which the server holds
    held_texts: int = 0  # of `texts`, those that it held by that
    roles: list[str] = field(default_factory=list)  # of the messages, where the protocol has them
    inputs: int | None = None  # to embed or to rank: nothing is generated
    audio_s: float | None = None  # of sound that is to be transcribed
    characters: int | None = None  # of a text that is to be spoken
    input_tokens: int | None = None  # where texts do not tell them
    media: Seen = field(default_factory=Seen)  # beside the texts
    images: int | None = None  # to make: its tokens are steps, of which no text comes
    priority: int = 0  # vLLM's: the lowest goes first

    @property
    def prompt(self) -> str:
        """All of the prompt in one piece."""
        return "\n".join(self.texts)


@dataclass(slots=True)
class Usage:
    """Token counts as the server will state them, and its own account of the time since the request came."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    latency_ms: int = 0
    first_token_ms: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)  # image_tokens, audio_tokens, video_tokens of the input


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer that is not streamed."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Dialect(Protocol):
    """Writes one answer. Every method returns the bytes of whole events, free of transfer coding.

    `opening` comes once before the first token (b"" where the protocol has none); `token` carries the text of the
    newest tokens; `closing` is everything after the last one, `trailer` what marks a regular end, `error` a failure
    inside a stream (`aws` names it; `how`: "error" for a frame outside the model, "container" for the container's own
    words). With `finish_with_last` the last token's event carries the finish reason, and `closing` gets None.
    `usage_each` asks for `usage` with every token; otherwise only the last one has it.
    """

    content_type: str
    headers: Mapping[str, str]
    finish_with_last: bool
    usage_each: bool

    def opening(self, usage: Usage) -> bytes: ...

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes: ...

    def closing(self, finish: str | None, usage: Usage) -> bytes: ...

    def trailer(self) -> bytes: ...

    def error(self, aws: str | None, message: str, how: str) -> bytes: ...

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole: ...
