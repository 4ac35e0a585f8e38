"""The one place that times a request: endpoint and prompt in, Record out.

Arrivals and censoring. A chunk arrived when the read that completed it was stamped. A read that completed several
token-bearing chunks came after all of them, and the kernel keeps only the stamp of the last segment that it
merged. So the last chunk of such a read has its own instant, and each earlier one is known only to lie between
the stamp of the read before and this one: it is *censored*, and gets this read's instant, the latest possible.
The rule is the same when the server itself wrote several events at once, which cannot be told apart from here.
Chunks without a token (role, comment, usage) censor nothing: a first read that holds the role chunk and the
first token has an exact first token.
"""

from __future__ import annotations

import logging
import time
from array import array
from collections.abc import Callable, Sequence
from traceback import format_exception
from typing import Any

import gevent
from gevent import GreenletExit

from fmload.base.offload import beside_the_loop
from fmload.base.redaction import printable
from fmload.endpoints.base import Endpoint
from fmload.endpoints.failures import http_failure
from fmload.endpoints.usage import Counts, bound
from fmload.model.outcome import SENT_AGAIN, Failure
from fmload.model.prompt import Prompt
from fmload.model.reading import Batch, Chunk, Reading
from fmload.model.record import Record
from fmload.wire.exchange import Address, Exchange, ReadMark, Wire
from fmload.worker import sound
from fmload.worker.detail import detail_json
from fmload.worker.wanted import Wanted, asked, mismatch

logger = logging.getLogger(__name__)

# Of an answer without a text: more than these were made and billed, though none was shown.
_END_MARK_TOKENS = 1
_MAX_REASON = 60  # characters of a reason to stop: it is one of a few words
_MOST_OF_A_REMARK = 500
_PLAIN_REASONS = frozenset(  # which hold no secret
    ("stop", "length", "end_turn", "max_tokens", "tool_calls", "tool_use", "eos_token"))


def measure(endpoint: Endpoint, prompt: Prompt, wire: Wire, address: Address, *, request_id: str, worker: str,
            stage: int, scheduled_ns: int, max_output_tokens: int | None = None) -> tuple[Record, Reading]:
    """Send the prompt, wait for the whole answer, and give its record and what the endpoint read in it.

    A failure is an outcome of the record. A greenlet that is killed while it waits for the answer returns as well,
    with what had come by then and the outcome `cancelled`: run it in a greenlet of its own. `max_output_tokens` is
    the limit that holds when the prompt sets none, for the record.
    """
    failure: Exception | gevent.Timeout | None = None
    try:
        exchange = endpoint.send(prompt, request_id, wire, address)
    except GreenletExit:
        partial = wire.partial()
        if partial is None:  # killed before anything was sent
            raise
        exchange = partial
    except (Exception, gevent.Timeout) as error:
        failure, exchange = error, wire.partial() or Exchange(str(address))
    record = unsent(endpoint, prompt, request_id=request_id, worker=worker, stage=stage, scheduled_ns=scheduled_ns,
                    max_output_tokens=max_output_tokens)
    reading = beside_the_loop(len(exchange.body), _read_into, record, endpoint, exchange, expected(endpoint, prompt))
    if failure is not None:
        note_own_failure(record, failure)
    return record, reading


_logged: set[tuple[str, str]] = set()


def note_own_failure(record: Record, error: BaseException) -> None:
    """Mark the record of a request in which the load generator itself failed: outcome `client`, never the endpoint's.

    The traceback is logged once for each kind of error: a fault of every request would fill the disk.
    """
    first_line = next(iter(redact(str(error)).splitlines()), "")[:300]
    record.outcome, record.error = "client", f"{type(error).__name__}: {first_line}"
    record.end_ns = record.end_ns or time.monotonic_ns()
    if (kind := (type(error).__name__, _first_frame(error))) not in _logged:
        _logged.add(kind)
        logger.error("a request failed in the load generator itself; more of this kind are only counted\n%s",
                     redact("".join(format_exception(error))))


def _first_frame(error: BaseException) -> str:
    """Where it was raised: the file and the line."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""


def expected(endpoint: Endpoint, prompt: Prompt) -> Wanted | None:
    """What the answer to a prompt has to be, where that is not text of a model's own: vectors, ranks, a transcript,
    sound."""
    expects: Callable[[Prompt], Wanted] | None = getattr(endpoint, "expects", None)
    return None if expects is None else expects(prompt)


def _read_into(record: Record, endpoint: Endpoint, exchange: Exchange, wanted: Wanted | None = None) -> Reading:
    """Read the answer, and note in the record what came of it."""
    reading, error = _read(endpoint, exchange)
    _note_exchange(record, exchange)
    try:
        _note_batch(record, reading.batch, exchange)
        if reading.transcript is not None or reading.speech is not None:
            sound.note(record, reading, exchange)
        else:
            _note_chunks(record, reading.chunks, exchange.marks)
        if reading.deferred:
            record.first_token_ns = record.first_answer_ns = None
        _note_reading(record, reading)
        _set_aside(record, len(exchange.body))
    except Exception as unkept:
        error = error or unkept
    if exchange.again:
        record.remark = "; ".join(filter(None, (record.remark, SENT_AGAIN)))
    failure = outcome(exchange, reading, wanted)
    if failure is not None:
        record.outcome, record.error = failure.outcome, redact(failure.message)
    if error is not None and exchange.failure is None:
        note_own_failure(record, error)
    return reading


def _read(endpoint: Endpoint, exchange: Exchange) -> tuple[Reading, Exception | None]:
    """The endpoint's reading, and our own failure to read, which is one failed request, not the end of its user."""
    try:
        return endpoint.read(exchange), None
    except Exception as error:
        return Reading(), error


def unsent(endpoint: Endpoint, prompt: Prompt, *, request_id: str, worker: str, stage: int, scheduled_ns: int,
           max_output_tokens: int | None = None) -> Record:
    """The record of a request of which nothing has come yet."""
    return Record(
        request_id=request_id, worker=worker, stage=stage, endpoint=endpoint.name, prompt_set=prompt.prompt_set,
        prompt_id=prompt.id, scheduled_ns=scheduled_ns, streamed=endpoint.streamed, prompt_tokens=prompt.input_tokens,
        max_output_tokens=prompt.output_tokens or max_output_tokens,
        **asked(expected(endpoint, prompt)), **_carried(prompt))


def _carried(prompt: Prompt) -> dict[str, Any]:
    """What a record says of the images, sound and video in a prompt."""
    if prompt.carried is None:
        return {}
    images, pixels, seconds, size = prompt.carried
    return {"images_in": images, "pixels_in": pixels, "media_s": seconds, "media_bytes": size}


def outcome(exchange: Exchange, reading: Reading, wanted: Wanted | None = None) -> Failure | None:
    """Why the request failed; None when it did not. What ended the exchange comes first, then the endpoint's word."""
    failure = exchange.failure or reading.failure or http_failure(exchange)
    if wanted is not None:
        return failure or mismatch(reading, wanted)
    if failure is None and not reading.chunks and (reading.output_tokens or 0) <= _END_MARK_TOKENS:
        return Failure("empty", "the response holds no token")
    return failure


def redact(text: str) -> str:
    """The text without secrets and what would steer a terminal, half characters replaced: it can be written."""
    return _writable(printable(text))


def _writable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _note_exchange(record: Record, exchange: Exchange) -> None:
    record.address, record.status = exchange.address, exchange.status
    record.send_ns, record.connected_ns = exchange.send_ns, exchange.connected_ns
    record.headers_ns, record.end_ns = exchange.headers_ns, exchange.end_ns
    marks = exchange.marks
    record.reads = len(marks)
    if marks:
        record.stamp = "kernel" if all(mark.kernel for mark in marks) else "user"
        lags = [mark.lag_ns for mark in marks]
        record.lag_max_ns, record.lag_sum_ns = max(lags), sum(lags)


def _note_chunks(record: Record, chunks: Sequence[Chunk], marks: Sequence[ReadMark]) -> None:
    if not chunks or not marks:
        return
    record.chunk_ns, record.chunk_censored = arrivals(chunks, marks)
    record.chunk_tokens = array("i", [chunk.tokens for chunk in chunks])
    record.first_token_ns, record.last_token_ns = record.chunk_ns[0], record.chunk_ns[-1]
    for chunk, ns in zip(chunks, record.chunk_ns, strict=True):
        if chunk.channel == "answer":
            record.first_answer_ns = ns
            break


def _note_batch(record: Record, batch: Batch | None, exchange: Exchange) -> None:
    """The instants of an answer that is no text: its last byte, or those of the parts of a stream."""
    if batch is None or not exchange.marks:
        return
    if batch.parts:
        record.first_output_ns = exchange.came_ns(batch.parts[0])
    if not batch.parts or batch.end is not None:
        record.last_token_ns = exchange.marks[-1].ns if batch.end is None else exchange.came_ns(batch.end)


def arrivals(chunks: Sequence[Chunk], marks: Sequence[ReadMark]) -> tuple[array[int], array[int]]:
    """Arrival of every chunk, and whether it is censored (1) or exact (0). Both ascend in their offsets.

    A chunk beyond the last mark, which only a response in no known framing has, gets the last mark's instant.
    """
    instants, censored = array("q"), array("b")
    index, last, before = 0, len(marks) - 1, -1
    for chunk in chunks:
        end = chunk.end
        while index < last and marks[index].end < end:
            index += 1
        if index == before:
            censored[-1] = 1
        instants.append(marks[index].ns)
        censored.append(0)
        before = index
    return instants, censored


def _note_reading(record: Record, reading: Reading) -> None:
    record.input_tokens, record.output_tokens = reading.input_tokens, reading.output_tokens
    record.cached_tokens, record.reasoning_tokens = reading.cached_tokens, reading.reasoning_tokens
    record.cache_write_tokens = reading.cache_write_tokens
    record.cache_write_1h_tokens = reading.cache_write_1h_tokens
    record.tokens_source = reading.tokens_source
    if reading.finish_reason is not None:
        reason = reading.finish_reason
        record.finish_reason = reason if reason in _PLAIN_REASONS else redact(reason)[:_MAX_REASON]
    record.image_tokens, record.audio_tokens, record.video_tokens = (
        reading.image_tokens, reading.audio_tokens, reading.video_tokens)
    record.chunk_tokens_known, record.choices, record.remark = (
        reading.chunk_tokens_known, reading.choices, _short(reading.remark))
    if record.output_tokens is None and reading.chunks and reading.transcript is None:
        record.output_tokens, record.tokens_source = max(1, sum(record.chunk_tokens)), "chunks"
    if reading.detail:
        record.detail = detail_json(reading.detail)


def _set_aside(record: Record, body_bytes: int) -> None:
    """Set aside a count that cannot be true of an answer of so many bytes to a request for so many tokens."""
    if record.tokens_source != "server" or record.max_output_tokens is None:
        return
    counts = Counts(output=record.output_tokens, reasoning=record.reasoning_tokens)
    bound(counts, body_bytes, record.max_output_tokens, record.choices)
    if counts.output is None:
        record.remark = "; ".join(filter(None, (record.remark, *counts.remarks)))
        record.chunk_tokens, record.chunk_tokens_known = array("i", [1] * len(record.chunk_ns)), False
        record.output_tokens, record.reasoning_tokens = len(record.chunk_ns) or None, None
        record.tokens_source = "chunks" if record.output_tokens else None


def _short(said: str | None) -> str | None:
    """What may hold a server's own words."""
    return None if said is None else redact(said)[:_MOST_OF_A_REMARK]
