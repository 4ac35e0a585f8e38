"""Answer: gathers what an AWS response says into a Reading, and judges how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fmload.endpoints.aws_errors import frame_failure
from fmload.model.outcome import Failure, Outcome
from fmload.model.reading import Channel, Chunk, Reading
from fmload.wire.eventstream import FrameError, frames
from fmload.wire.exchange import Exchange

_MAX_COUNT = 2**31 - 1  # what a record's column holds
# What strange JSON does to code that expects the documented shape.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)


@dataclass(slots=True)
class Answer:
    """A Reading in the making.

    `ended`: the end mark or a finish reason of the protocol has come. `read_to`: bytes of the body made use of.
    """

    reading: Reading = field(default_factory=Reading)
    ended: bool = False
    read_to: int = 0

    def add(self, end: int, text: str | None, channel: Channel = "answer", tokens: int = 1) -> None:
        """A piece of the answer that was complete at byte `end`; no text, no chunk. Raises TypeError for no text."""
        if not isinstance(text, str | None):
            raise TypeError("a text was expected")
        if text:
            self.reading.chunks.append(Chunk(end, tokens, channel, text))

    def finish(self, reason: str | None) -> None:
        """The model's own reason to stop, when there is one."""
        if reason:
            self.reading.finish_reason = str(reason)
            self.ended = True

    def usage(self, input_tokens: int | None, output_tokens: int | None, cached: int | None = None,
              reasoning: int | None = None) -> None:
        """The server's counts; `input_tokens` with the cached ones in it. What is no count leaves the earlier one."""
        reading = self.reading
        reading.input_tokens = _known(input_tokens, reading.input_tokens)
        reading.cached_tokens = _known(cached, reading.cached_tokens)
        reading.reasoning_tokens = _known(reasoning, reading.reasoning_tokens)
        reading.output_tokens = _known(output_tokens, reading.output_tokens)
        if reading.output_tokens is not None:
            reading.tokens_source = "server"

    def wrote(self, tokens: int | None, for_1h: int | None = None) -> None:
        """Input tokens that the server wrote to its prefix cache, and those of them that it keeps for an hour."""
        self.reading.cache_write_tokens = _known(tokens, self.reading.cache_write_tokens)
        self.reading.cache_write_1h_tokens = _known(for_1h, self.reading.cache_write_1h_tokens)

    def note(self, name: str, value: Any) -> None:
        """A figure of the server's own, kept as it came."""
        if value is not None:
            self.reading.detail = {**self.reading.detail, name: value}

    def fail(self, outcome: Outcome, message: str) -> None:
        """The first failure stays: what follows it is its consequence."""
        self.reading.failure = self.reading.failure or Failure(outcome, message)

    def settle(self, exchange: Exchange, end_mark: str, streamed: bool) -> Reading:
        """The reading, once all bytes are in. A response without its end is `truncated`, however fast it was."""
        reading = self.reading
        if not streamed and reading.chunks and reading.output_tokens:  # all of them came with the one body
            others = len(reading.chunks) - 1
            reading.chunks[-1] = reading.chunks[-1]._replace(tokens=max(1, reading.output_tokens - others))
        if exchange.failure is None:
            if self.read_to < len(exchange.body):
                self.fail("truncated", "the response ended inside a frame")
            elif not exchange.complete:
                self.fail("truncated", "the connection closed inside the response")
            elif not reading.chunks:
                self.fail("empty", "the response holds no token")
            elif not self.ended:
                self.fail("truncated", f"the response ended without {end_mark}")
        return reading


def _known(new: object, old: int | None) -> int | None:
    return new if isinstance(new, int) and 0 <= new <= _MAX_COUNT else old


# Called with event type, payload and the offset at which the event was complete.
OnEvent = Callable[[str, bytes, int], None]


def read_events(answer: Answer, body: bytes, on_event: OnEvent) -> None:
    """Pass the events of the frames in `body` to `on_event`; exception frames and broken bytes fail the answer."""
    try:
        for frame in frames(body):
            answer.read_to = frame.end
            if frame.headers.get(":message-type") == "event":
                on_event(str(frame.headers.get(":event-type")), frame.payload, frame.end)
            else:
                failure = frame_failure(frame)
                answer.fail(failure.outcome, failure.message)
    except FrameError as error:
        answer.fail("decode", str(error))
    except MALFORMED:  # without the cause: it may quote the answer
        answer.fail("decode", f"the event that ends at byte {answer.read_to} is not of the documented form")
