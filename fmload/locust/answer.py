"""What a scenario gets back of a request: the answer, what it took, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fmload.endpoints.inputs_answer import Ranked, numbers_of, ranked_of
from fmload.metrics.per_record import e2e_ns, ttft_ns
from fmload.model.outcome import Outcome
from fmload.model.reading import Reading, ToolCall
from fmload.model.record import Record
from fmload.worker.agent_chat import answer_message

NS = 1e9


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `outcome` is `ok` or one of the failures of docs/metrics.md, `error` its message.

    Tokens are None where nobody told; `ttft_s` and `e2e_s` (seconds) where no token came. `record` is what the results
    folder holds of the request.
    """

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    outcome: Outcome
    error: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    ttft_s: float | None
    e2e_s: float | None
    record: Record
    body: bytes = field(default=b"", repr=False)  # of an answer of vectors or a ranking

    @property
    def ok(self) -> bool:
        """Whether the request ended well."""
        return self.outcome == "ok"

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message of the chat, for the requests that go on from it: text and tool calls."""
        return answer_message(self.text, self.tool_calls)

    @property
    def vectors(self) -> list[list[float]]:
        """Of a request for embeddings: one a text, in their order. Empty where it failed; raises ValueError for numbers
        in a form that is not read (base64 is taken for 32-bit ones)."""
        return numbers_of(self.body) if self.ok and self.body else []

    @property
    def ranking(self) -> list[Ranked]:
        """Of a request for a ranking: the place of each document (from 0) and its score, the best first. Empty where it
        failed."""
        return ranked_of(self.body) if self.ok and self.body else []


def answer_of(record: Record, reading: Reading) -> Answer:
    """The answer of a request that has ended."""
    return Answer(
        text=reading.said("answer"), reasoning=reading.said("reasoning"), tool_calls=tuple(reading.tool_calls),
        outcome=record.outcome, error=record.error, input_tokens=record.input_tokens,
        output_tokens=record.output_tokens, cached_tokens=record.cached_tokens, ttft_s=_seconds(ttft_ns(record)),
        e2e_s=_seconds(e2e_ns(record)), record=record, body=reading.body)


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / NS
