"""How an answer is cut into events, writes and bodies: what servers do differently although the tokens are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Shape:
    """Defaults are vLLM's: headers at once, the role just before the first token, usage on a chunk of its own."""

    headers: Literal["at_once", "with_first_token"] = "at_once"
    role: Literal["none", "early", "with_first_token"] = "with_first_token"  # early: with the headers, before prefill
    tokens_per_chunk: int = 1
    coalesce: int = 1  # events a write
    finish: Literal["own", "with_last_token"] = "own"
    usage: Literal["own", "with_finish"] = "own"
    done: bool = True  # OpenAI's [DONE]
    reasoning_tokens: int = 0  # that many tokens come first, as reasoning
    reasoning_field: Literal["reasoning_content", "reasoning"] = "reasoning_content"
    framing: Literal["chunked", "close"] = "chunked"  # close: the body ends with the connection
    delay_s: float = 0.0  # network delay added to every write
    ping_s: float = 0.0  # an SSE comment so often before the first token, as vLLM sends them
    container: Literal["tgi", "lmi"] = "tgi"  # how a SageMaker container answers TGI's `inputs`
    part_bytes: int | None = None  # SageMaker: payload parts of this size, wherever lines end
    close_each: bool = False  # `Connection: close` on every answer
