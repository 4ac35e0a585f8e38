"""What an endpoint read from the bytes of an answer: chunks, counts, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fmload.model.outcome import Failure
from fmload.model.record import TokensSource

Channel = Literal["answer", "reasoning", "tool"]


class Chunk(NamedTuple):
    """One token-bearing piece of the answer. `end` is the offset in the body at which it was complete.

    `tokens` is 1 unless the server says better. `text` is kept only until the record is made.
    """

    end: int
    tokens: int = 1
    channel: Channel = "answer"
    text: str = ""


@dataclass(slots=True)
class Reading:
    """What the bytes said. Counts are None where the server was silent. `detail` is the server's own account."""

    chunks: list[Chunk] = field(default_factory=list)
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_write_tokens: int | None = None  # of the input, written to the prefix cache; with those for 1 h
    cache_write_1h_tokens: int | None = None
    tokens_source: TokensSource | None = None
    finish_reason: str | None = None
    failure: Failure | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
