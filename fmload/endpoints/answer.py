"""Answer: gathers what a response says into a Reading, and judges how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fmload.endpoints import repetitions, usage
from fmload.endpoints.aws_errors import frame_failure
from fmload.endpoints.characters import is_whole, mended
from fmload.endpoints.endings import failure_of, is_reason, reason_text
from fmload.endpoints.failures import failure_in
from fmload.endpoints.tool_calls import ToolCalls
from fmload.model.outcome import Failure, Outcome
from fmload.model.reading import Channel, Chunk, Reading
from fmload.wire.eventstream import FrameError, frames
from fmload.wire.exchange import Exchange

_MAX_COUNT = 2**31 - 1  # what a record's column holds
# What strange JSON does to code that expects the documented shape.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError)
MALFORMED_OR_DEEP = (*MALFORMED, RecursionError)  # where what is nested without end is walked through as well


class Strange(ValueError):
    """What is wrong with an answer of a known form, in words for people."""


def malformed(error: Exception, data: bytes) -> Failure:
    """The failure of an answer, or of a message, that raised one of these: Strange's own words, or how it begins."""
    return Failure("decode", str(error) if isinstance(error, Strange) else
                   f"not a response of this protocol: {data[:80]!r}")


@dataclass(slots=True)
class Answer:
    """A Reading in the making.

    `ended`: the end mark or a finish reason of the protocol has come. `read_to`: bytes of the body made use of.
    """

    reading: Reading = field(default_factory=Reading)
    ended: bool = False
    read_to: int = 0
    calls: ToolCalls = field(default_factory=ToolCalls)
    _running: int = 0  # the running total of tokens so far
    _told_each: bool = True  # it has grown with every text
    _told: list[usage.Counts] = field(default_factory=list)

    def add(self, end: int, text: str | None, channel: Channel = "answer", tokens: int = 1) -> None:
        """A piece of the answer that was complete at byte `end`; no text, no chunk. Raises TypeError for no text."""
        if not isinstance(text, str | None):
            raise TypeError("a text was expected")
        if text:
            self.reading.chunks.append(Chunk(end, min(tokens, _MAX_COUNT), channel, text))

    def add_sealed(self, end: int) -> None:
        """Reasoning that came whole and unreadable by byte `end`: a chunk of nobody knows how many tokens."""
        self.add(end, "redacted", "reasoning", tokens=0)

    def add_running(self, end: int, total: int, text: str, channel: Channel = "answer") -> bool:
        """A piece that came with a running total of tokens, be there a text or not (half a character, a mark).
        False where the total has not grown, and nothing was added."""
        if not self._running < total <= usage.MAX_ANSWER_TOKENS:
            self._told_each &= not text
            return False
        self.reading.chunks.append(Chunk(end, total - self._running, channel, text))
        self._running = total
        return True

    def finish(self, reason: Any) -> None:
        """The model's own reason to stop, when there is one; some are failures."""
        if is_reason(reason):
            self.reading.finish_reason = reason_text(reason)
            self.ended = True
            self.reading.failure = self.reading.failure or failure_of(reason)

    def tell(self, told: Any) -> None:
        """A usage object of the server's, whatever its names; a later one is trusted more."""
        if isinstance(told, Mapping) and told:
            self._told.append(usage.read(told))

    def usage(self, input_tokens: object, output_tokens: object, cached: object = None,
              reasoning: object = None, kinds: dict[str, int] | None = None) -> None:
        """The server's counts; `input_tokens` with the cached ones in it, `kinds` those of images, sound and video.
        What is no count leaves the earlier one."""
        self._told.append(usage.Counts(usage.whole(input_tokens), usage.whole(output_tokens), usage.whole(cached),
                                       usage.whole(reasoning), kinds=kinds or {}))

    @property
    def input_told(self) -> bool:
        """Whether the server has told the number of input tokens."""
        return any(counts.input for counts in self._told)

    @property
    def output_told(self) -> bool:
        """Whether the server has told the number of output tokens."""
        return any(counts.output for counts in self._told)

    def wrote(self, tokens: int | None, for_1h: int | None = None) -> None:
        """Input tokens that the server wrote to its prefix cache, and those of them that it keeps for an hour."""
        self.reading.cache_write_tokens = _known(tokens, self.reading.cache_write_tokens)
        self.reading.cache_write_1h_tokens = _known(for_1h, self.reading.cache_write_1h_tokens)

    def named(self, name: Any) -> None:
        """The server's name for the answer; what is no text leaves the earlier one."""
        if isinstance(name, str) and name:
            self.reading.response_id = name

    def note(self, name: str, value: Any) -> None:
        """A figure of the server's own, kept as it came."""
        if value is not None:
            self.reading.detail = {**self.reading.detail, name: value}

    def fail(self, outcome: Outcome, message: str) -> None:
        """The first failure stays: what follows it is its consequence."""
        self.reading.failure = self.reading.failure or Failure(outcome, message)

    def settle(self, exchange: Exchange, end_mark: str, streamed: bool, whole_once_ended: bool = False) -> Reading:
        """The reading, once all bytes are in. A response without its end is `truncated`, however fast it was.
        `whole_once_ended`: the protocol's own end is enough, whatever its framing lacks then."""
        self._settle_counts(len(exchange.body))
        reading = self.reading
        if streamed and (repeats := repetitions.taken_out(reading)):
            reading.remark = "; ".join(filter(None, (reading.remark, repeats)))
        self._settle_chunks(streamed)
        reading.tool_calls = self.calls.all() or reading.tool_calls
        if not is_whole(reading.chunks):
            reading.chunks = mended(reading.chunks)
        if exchange.failure is None:
            if self.read_to < len(exchange.body):
                self.fail("truncated", "the response ended inside a frame")
            elif not exchange.complete and not (whole_once_ended and self.ended):
                self.fail("truncated", "the connection closed inside the response")
            elif not reading.chunks and (reading.output_tokens or 0) <= 1:
                self.fail("empty", "the response holds no token")
            elif not self.ended:
                self.fail("truncated", f"the response ended without {end_mark}")
        return reading

    def _settle_counts(self, body_bytes: int) -> None:
        """Counts by usage objects of the protocol itself; those that another reader has set stay."""
        note_told(self.reading, self._told, body_bytes)

    def _settle_chunks(self, streamed: bool) -> None:
        """Tokens of the chunks: told for each, or all of a body that came in one piece, or as many as pieces."""
        reading = self.reading
        chunks, total = reading.chunks, reading.output_tokens
        if not chunks or reading.chunk_tokens_known:
            return
        held = sum(chunk.tokens for chunk in chunks)
        if total and (not streamed or len(chunks) == 1) and held < total:
            chunks[-1] = chunks[-1]._replace(tokens=chunks[-1].tokens + total - held)
            held = total
        reading.chunk_tokens_known = all(chunk.tokens for chunk in chunks) and (
            held == total or (self._running == held and self._told_each))


def note_told(reading: Reading, told: Sequence[usage.Counts], body_bytes: int) -> None:
    """Put what a server told in an answer of so many bytes, a later account trusted more, where the record finds it."""
    if told:
        counts = usage.merge(reversed(told))
        usage.bound(counts, body_bytes, None)
        note_counts(reading, counts)


def note_counts(reading: Reading, counts: usage.Counts) -> None:
    """Put the counts where the record finds them."""
    reading.input_tokens, reading.output_tokens = counts.input, counts.output
    reading.cached_tokens, reading.reasoning_tokens = counts.cached, counts.reasoning
    for name, count in counts.kinds.items():
        setattr(reading, name, count)
    reading.tokens_source = "server" if counts.output is not None else None
    reading.remark = "; ".join(counts.remarks) or None


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
                _pass_on(answer, on_event, str(frame.headers.get(":event-type")), frame.payload, frame.end)
            else:
                failure = frame_failure(frame)
                answer.fail(failure.outcome, failure.message)
    except FrameError as error:
        told = None if answer.read_to else failure_in(body)
        failure = told or Failure("decode", str(error))
        answer.fail(failure.outcome, failure.message)


def _pass_on(answer: Answer, on_event: OnEvent, kind: str, payload: bytes, end: int) -> None:
    try:
        on_event(kind, payload, end)
    except MALFORMED:  # without the cause: it may quote the answer
        answer.fail("decode", f"the event that ends at byte {end} is not of the documented form")
