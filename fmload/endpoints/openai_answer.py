"""What OpenAI-compatible servers answer: bytes to chunks, counts and the way it ended. Pure.

Nothing here runs before the response has ended. One odd event costs no answer: what is no message is passed over, and
what was to be one and cannot be read fails the answer without costing it the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import repeat
from operator import itemgetter
from typing import Any

import orjson

from fmload.endpoints import chunk_tokens, repetitions, usage
from fmload.endpoints.alike import Alike, like
from fmload.endpoints.answer import note_counts
from fmload.endpoints.channels import Piece, piece_of, text_alone
from fmload.endpoints.characters import is_whole, mended
from fmload.endpoints.endings import failure_of, is_reason, reason_text
from fmload.endpoints.failures import error_text, failure_of_error
from fmload.endpoints.lenient_json import loads, tolerant
from fmload.endpoints.streams import DONE, PINGS, messages
from fmload.endpoints.tool_calls import ToolCalls
from fmload.model.outcome import Failure
from fmload.model.reading import Channel, Chunk, Reading
from fmload.wire.exchange import Exchange
from fmload.wire.sse import Event

_TRIES = 2  # to find what messages have in common
_LONG_WORDS = 64 * 1024  # bytes of a message: no server says more in words
_BEFORE_JSON = b"\xef\xbb\xbf \t\r\n\0"  # what the tolerant reading passes over
_SERVERS_OWN = ("timings", "metrics")  # llama.cpp; vLLM
# Beside a piece of text, in its message and in its choice: an error, and counts in a place that is not the usual one.
_UNUSUAL_BESIDE = usage.PLACES - {"usage"} | {*_SERVERS_OWN, "error"}
_UNUSUAL_IN_CHOICE = usage.PLACES - {"delta"} | {"error", "finish_details"}
_ERRORS = ("error", "detail", "errors")
COMPLAINTS = ("message", "msg", "err_msg", "error_msg", "error_message")
# Of messages and choices without text as nearly all streams have them: the role first, a reason to stop, counts last.
_PLAIN_MESSAGE = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint"})
_PLAIN_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs", "stop_reason"})
_PLAIN_DELTA, _PLAIN_REASONS = frozenset({"role", "content"}), (None, "stop", "length")
_chunk: Callable[[Any], Chunk] = partial(tuple.__new__, Chunk)  # Chunk._make in C: once a token
_end = itemgetter(0)
_UNUSUAL = (ValueError, TypeError, KeyError, IndexError, AttributeError)
_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)  # orjson's errors are ValueErrors


def read_stream(exchange: Exchange) -> Reading:
    """The reading of a stream of events."""
    answer = OpenAIAnswer()
    answer.add_all(exchange)
    answer.settle(len(exchange.body))
    if exchange.failure is None:
        answer.judge_end(exchange)
    return answer.reading


def read_whole(exchange: Exchange) -> Reading:
    """The reading of a response in one piece: one chunk with all its tokens, complete with the body."""
    answer = OpenAIAnswer()
    try:
        answer.add(len(exchange.body), loads(exchange.body))
    except _MALFORMED:
        if exchange.complete:
            answer.fail("decode", f"not a response of this protocol: {exchange.body[:80]!r}")
        elif exchange.failure is None:
            answer.fail("truncated", "the connection closed inside the response")
    answer.settle(len(exchange.body))
    return answer.reading


class OpenAIAnswer:
    """A reading in the making: `add` every message, then `settle`."""

    def __init__(self, reading: Reading | None = None) -> None:
        """`reading`: the one to fill in, beside another reader."""
        self.reading = reading if reading is not None else Reading()
        self.done = False  # the end mark has come
        self._chunks = self.reading.chunks
        self._understood = False  # a message of this protocol has come, besides chunks
        self._odd = False  # a message that the strict parser refused: its text may hold half a character
        self._choices: dict[int, int] = {}  # messages of each choice
        self._finish_reasons: dict[int, str] = {}
        self._complaint = ""
        self._told = chunk_tokens.Told()
        self._calls = ToolCalls()
        # Usage, by how much it can be trusted to be the total: in a message of its own, with the end of a choice
        # or after it, or anywhere (continuous usage of a stream that broke off).
        self._usage_alone: list[Mapping[str, Any]] = []
        self._usage_at_end: list[Mapping[str, Any]] = []
        self._first_usage: Mapping[str, Any] = {}  # some tell the prompt's count at the start alone
        self._last_usage: Mapping[str, Any] = {}
        self._alike: Alike | None = None  # what the messages have in common, and of which choice they are
        self._alike_index = 0
        self._alike_channel: Channel = "answer"
        self._has_alike = False  # whether one was alike since
        self._never_alike = 0

    @property
    def begun(self) -> bool:
        """Whether a message of this form has come."""
        return self._understood

    @property
    def ended_by_mark(self) -> bool:
        """Whether the end mark has come where no choice gave a reason: some servers never tell one."""
        return self.done and not self._finish_reasons

    def fail(self, outcome: Any, message: str) -> None:
        """The first failure stays: what follows is its consequence."""
        self.reading.failure = self.reading.failure or Failure(outcome, message)

    def _fail_with(self, error: Any) -> None:
        self.reading.failure = self.reading.failure or failure_of_error(error)

    def complain(self, words: str) -> None:
        """Note what may be the server's word that it failed: it is where the answer does not go on to its end."""
        self._complaint = error_text(words)

    def add_all(self, exchange: Exchange) -> None:
        """Every message of a stream. Nearly all are a piece of one answer's text, maybe with a running total: those are
        taken at once (`_add_alike`, `_add_text`), the others by `_add_plain` or `add`."""
        found, place = list(messages(exchange.body)), 0
        while place < len(found):
            if taken := self._add_alike(found, place):
                place += taken
                continue
            end, event, data = found[place]
            self._add_message(end, event, data, cut=end == len(exchange.body) and not exchange.complete)
            place += 1

    def _add_alike(self, found: Sequence[Event], begin: int) -> int:
        """Take the messages from this place on that differ from one before them in text and running total alone, and
        say how many they were."""
        alike, chunks, running = self._alike, self._chunks, self._told
        if alike is None or (alike.beyond and (
                running.steady != len(chunks) or self._alike_index in self._finish_reasons)):
            return 0
        texts = alike.texts(found, begin, running.steady + 1)
        if texts:
            ends = map(_end, found[begin:begin + len(texts)])
            chunks += map(_chunk, zip(ends, repeat(1), repeat(self._alike_channel), texts, repeat("")))
            if alike.beyond:
                running.steady += len(texts)
                self._last_usage = orjson.loads(found[begin + len(texts) - 1][2])["usage"]
            self._see(self._alike_index, len(texts))
            self._has_alike = True
        return len(texts)

    def _add_message(self, end: int, event: str, data: bytes, cut: bool) -> None:
        if data == DONE and not event:
            self.done = True
            return
        message = None
        try:
            message = orjson.loads(data)
            if not event and self._add_text(end, message):
                self._note_alike(data, message)
                return
        except _UNUSUAL:
            pass
        if event or not self._add_plain(end, message):
            self._add_unusual(end, data, message, event, cut)

    def _add_text(self, end: int, message: Any) -> bool:
        """Take a message that is a piece of one choice's text, maybe with a running total and a reason to stop, and
        nothing else. False, or one of _UNUSUAL, for any other, of which nothing was taken."""
        (choice,) = message["choices"]
        alone, told = text_alone(choice), message.get("usage")
        if alone is None or not _is_usual(choice, message) or (told and "tokens" in told):
            return False
        index, reason, (text, channel, _) = choice["index"], choice.get("finish_reason"), alone
        if told:
            self._note_total(index, told)
        self._see(index)
        self._chunks.append(_chunk((end, 1, channel, text, "")))
        if reason is not None:
            self._finish_reasons[index] = reason
        if told:
            self._note_usage(index, told)
        return True

    def _note_total(self, index: int, told: Mapping[str, Any]) -> None:
        """The running total of a message with text, before its chunk. Raises one of _UNUSUAL for none of usual form."""
        running, chunks, total = self._told, len(self._chunks), told["completion_tokens"]
        if (total.__class__ is int and total == running.steady + 1 == chunks + 1
                and index == 0 and not running.totals):
            running.steady = total
        else:
            running.add(chunks, index, _whole(total), 0)

    def _note_usage(self, index: int, told: Mapping[str, Any]) -> None:
        """The usage that a message of a choice holds, once its reason to stop is noted."""
        if index in self._finish_reasons:
            self._usage_at_end.append(told)
        self._first_usage, self._last_usage = self._first_usage or told, told

    def _note_alike(self, data: bytes, message: Mapping[str, Any]) -> None:
        """From the second text on, the messages after it may be alike; where two times none was, they are not looked
        at."""
        choice = message["choices"][0]
        if len(self._chunks) == 1 or choice.get("finish_reason") is not None:
            return
        if self._alike is not None and not self._has_alike:
            self._never_alike += 1
        self._has_alike = False
        if self._never_alike == _TRIES:
            self._alike = None
            return
        alone = text_alone(choice)
        if alone and (found := like(data, message, self._told.steady, alone[2])) is not None:
            self._alike, self._alike_index, self._alike_channel = found, choice["index"], alone[1]

    def _add_plain(self, end: int, message: Any) -> bool:
        """Take a message that holds no text and nothing out of the ordinary, as `add` would. False for any other, of
        which nothing was taken."""
        if message.__class__ is not dict or not message.keys() <= _PLAIN_MESSAGE:
            return False
        choices, told = message.get("choices"), message.get("usage")
        if choices == [] and told.__class__ is dict and told and "tokens" not in told:
            self._usage_alone.append(told)
            self._first_usage, self._last_usage = self._first_usage or told, told
        elif (told and usage.plain_output(told) is None) or not self._see_plain(choices):
            return False
        elif told and choices:
            index = choices[0]["index"]
            self._told.add_silent(len(self._chunks), index, told["completion_tokens"], end)
            self._note_usage(index, told)
        self._understood = True
        return True

    def _see_plain(self, choices: Any) -> bool:
        """Whether it was one choice alone without text, which is noted, with its reason to stop."""
        if choices.__class__ is not list or len(choices) != 1 or choices[0].__class__ is not dict:
            return False
        choice = choices[0]
        index, delta, reason = choice.get("index"), choice.get("delta"), choice.get("finish_reason")
        if (index.__class__ is not int or delta.__class__ is not dict or not choice.keys() <= _PLAIN_CHOICE
                or not delta.keys() <= _PLAIN_DELTA or delta.get("content") not in ("", None)
                or choice.get("logprobs") is not None or reason not in _PLAIN_REASONS):
            return False
        self._see(index)
        if reason is not None:
            self._finish_reasons[index] = reason
        return True

    def _add_unusual(self, end: int, data: bytes, message: Any, event: str, cut: bool) -> None:
        """A message of any form; None where it is not strictly JSON."""
        try:
            self.add(end, message, event)
        except _MALFORMED:
            self.add_odd(end, data, event, cut)

    def _see(self, index: int, messages: int = 1) -> None:
        self._choices[index] = self._choices.get(index, 0) + messages

    def add(self, end: int, message: Any, event: str = "") -> None:
        """One message, complete at byte `end`. Raises one of _MALFORMED for what no server of this protocol sends."""
        choices = message.get("choices")
        self._understood = True
        if _is_error(message, choices, event):
            self._fail_with(message)
            return
        if not choices and (words := _complaint(message)):
            self.complain(words)
        told = usage.usages_of(message)
        if (groq := message.get("x_groq")) and isinstance(groq, Mapping) and groq.get("error"):
            self._fail_with({"error": groq["error"]})
        if isinstance(choices, Mapping):
            choices = [choices]
        pieces: list[tuple[int, Piece]] = []
        tokens: list[int | None] = []
        for choice in choices or ():
            index = _index(choice)
            self._see(index)
            piece, count = piece_of(choice), chunk_tokens.of_choice(choice)
            self._calls.add_openai(index, choice.get("delta") or choice.get("message"))
            if piece.text or piece.silent or count:
                pieces.append((index, piece))
                tokens.append(count)
            self._end_of_choice(index, choice)
            told += usage.usages_of(choice)
        self._add_chunk(end, pieces, tokens, told, choices)
        self._note_totals(message, told, choices)

    def _end_of_choice(self, index: int, choice: Any) -> None:
        delta = choice.get("delta")
        if error := choice.get("error") or (delta.get("error") if isinstance(delta, Mapping) else None):
            self._fail_with(error)
        reason = choice.get("finish_reason") or _details_reason(choice) or (
            choice.get("stop_reason") if "delta" not in choice else None)
        if is_reason(reason):
            self._finish_reasons[index] = reason_text(reason)
            self.reading.failure = self.reading.failure or failure_of(reason)

    def _add_chunk(self, end: int, pieces: list[tuple[int, Piece]], tokens: list[int | None],
                   told: list[Mapping[str, Any]], choices: Any) -> None:
        """The chunk that a message makes, and what it tells of the tokens in it."""
        index = pieces[0][0] if len(pieces) == 1 else _index(choices[0]) if choices and len(choices) == 1 else -1
        count = usage.output_of(told[0]) if told else None
        if pieces:
            self._told.directly += all(one is not None for one in tokens)
        if count is not None and choices:
            self._told.add(len(self._chunks), index, count, 0 if pieces else end)
        if pieces:
            self._chunks.append(_merged(end, [piece for _, piece in pieces], tokens))

    def add_odd(self, end: int, data: bytes, event: str, cut: bool) -> None:
        """A message that is not strictly JSON or not of this form. `cut`: in it the stream broke off."""
        data = data.strip()
        if not data or event in PINGS:
            return
        if data[:len(DONE) + 3].upper() in (DONE, b'"[DONE]"'):
            self.done = True
            return
        if len(data) > _LONG_WORDS and data[:8].lstrip(_BEFORE_JSON)[:1] not in (b"{", b"[", b'"', b""):
            self._judge_odd(data, event, cut)  # no JSON: to try would take a second for each 30 MB
            return
        try:
            message = tolerant(data)
            if isinstance(message, list) and len(message) == 1:  # some wrap each message in a list
                message = message[0]
            if not message or not isinstance(message, Mapping | list):  # a ping of its own kind
                return
            self._odd = True
            self.add(end, message, event)
        except _MALFORMED:
            self._judge_odd(data, event, cut)

    def _judge_odd(self, data: bytes, event: str, cut: bool) -> None:
        words = data[:_LONG_WORDS]
        if event == "error":
            self.fail("stream_error", error_text(words.decode("utf-8", "replace")))
        elif not cut and (data[:1] in b"{[" or not data.isascii()):
            self.fail("decode", f"not a chunk of this protocol: {data[:80]!r}")
        elif not cut and words.lower().decode() not in PINGS:
            self.complain(words.decode())

    def _note_totals(self, message: Any, told: list[Mapping[str, Any]], choices: Any) -> None:
        for name in _SERVERS_OWN:
            if name in message:
                self.reading.detail = {**self.reading.detail, name: message[name]}
        if not told:
            return
        if not choices:
            self._usage_alone.append(told[0])
        elif all(_index(choice) in self._finish_reasons for choice in choices):
            self._usage_at_end += told if len(told) == len(choices) else told[:1]
        self._first_usage = self._first_usage or told[0]
        self._last_usage = told[0]

    def settle(self, body_bytes: int) -> None:
        """Counts, tokens of the chunks and finish reason, once all messages are in."""
        reading = self.reading
        if self._complaint and reading.finish_reason is None and not self._all_ended():
            self.fail("stream_error", self._complaint)
        if not self._chunks and not self._understood:
            return
        if self._odd and not is_whole(reading.chunks):
            reading.chunks = mended(reading.chunks)
        reading.choices = self._number_of_choices()
        repeats = repetitions.taken_out(reading, self._told)
        reading.tool_calls = self._calls.all()
        counts = self._counts()
        usage.bound(counts, body_bytes, None, reading.choices)
        if repeats:
            counts.remark(repeats)
        note_counts(reading, counts)
        chunk_tokens.settle(reading, self._told)
        if self._all_ended():
            reading.finish_reason = self._finish_reasons[min(self._finish_reasons)]

    def _all_ended(self) -> bool:
        """Whether every choice gave a finish reason; where some give every token an index of its own, any did."""
        going_on = {index for index, seen in self._choices.items() if self.done <= (seen > 1)}
        return bool(self._finish_reasons) and going_on <= set(self._finish_reasons)

    def _number_of_choices(self) -> int:
        """Those that came to an end, or had several messages: some servers give every token an index of its own."""
        ended = self._finish_reasons.keys() | {index for index, seen in self._choices.items() if seen > 1}
        return max(1, len(ended))

    def _counts(self) -> usage.Counts:
        choices = self.reading.choices
        anywhere = [self._first_usage, self._last_usage] if self._last_usage else []
        ranked = [told for told in (self._usage_alone, self._usage_at_end, anywhere) if told]
        # Several choices, and a usage for each: the outputs add up, the prompt was one. Else the last is the total.
        totals = self._usage_alone or self._usage_at_end
        each = [usage.read(one) for one in totals] if 1 < len(totals) == len(self._choices) else []
        if each and all(counts.output for counts in each):
            return usage.added(each)
        looked_at: list[Mapping[str, Any]] = []  # each account once: a later one often says the same
        for one in (one for ranks in ranked for one in reversed(ranks[-_LOOKED_AT:])):
            if one not in looked_at:
                looked_at.append(one)
        told = [usage.read(one, choices) for one in looked_at]
        if (own := usage.timings_usage(self.reading.detail.get("timings"))) is not None:
            told.append(usage.read(own))
        counts = usage.merge(told)
        if choices > 1 and not self._usage_alone and (made := chunk_tokens.so_far(self._told)):
            counts.output = max(made, counts.output or 0)
        return counts

    def judge_end(self, exchange: Exchange) -> None:
        """A stream is whole when each of its choices gave a finish reason, or when none did and the end mark came."""
        reading = self.reading
        if reading.chunks and reading.finish_reason is None and not self.ended_by_mark:
            how = ("with a finish reason of some of its answers alone" if self._finish_reasons
                   else "with neither a finish reason nor [DONE]" if exchange.complete
                   else "because the connection closed")
            self.fail("truncated", f"the stream ended after {len(reading.chunks)} chunks {how}")
        elif not reading.chunks and not exchange.complete:
            self.fail("truncated", "the connection closed before the first token")
        elif exchange.body.strip() and not self._understood and not self.done and not reading.chunks:
            self.fail("decode", f"no event in the body: {exchange.body[:80]!r}")


_LOOKED_AT = 4  # usages of one rank


def _details_reason(choice: Any) -> Any:
    """Some of Azure's models tell their reason under `finish_details` alone."""
    details = choice.get("finish_details")
    return details.get("type") if isinstance(details, Mapping) else None


def _is_error(message: Any, choices: Any, event: str) -> bool:
    """Whether the message is the server's word that it failed, in any of the shapes in use."""
    if message.get("error") or event == "error":
        return True
    if choices or usage.usages_of(message):
        return False
    return message.get("object") == "error" or message.get("type") == "error" or any(map(message.get, _ERRORS))


def _complaint(message: Any) -> str:
    """The words of a message without choices that may say that the server failed, or only how it is getting on."""
    if "object" in message:
        return ""
    status = message.get("base_resp")  # MiniMax
    if isinstance(status, Mapping) and status.get("status_code"):
        return error_text(status)
    return error_text(message) if any(isinstance(message.get(name), str) for name in COMPLAINTS) else ""


def _is_usual(choice: Any, message: Any) -> bool:
    """Whether neither says more than a text, maybe with a reason to stop and counts in their usual place."""
    return (choice["index"].__class__ is int and choice.get("finish_reason") in _PLAIN_REASONS
            and choice.get("logprobs") is None and choice.get("token_ids") is None
            and _UNUSUAL_IN_CHOICE.isdisjoint(choice) and _UNUSUAL_BESIDE.isdisjoint(message))


def _whole(total: Any) -> int:
    """A running total of the usual form; raises TypeError for another one."""
    if total.__class__ is not int or total < 0:
        raise TypeError("a total that is no whole number")
    return int(total)


def _index(choice: Any) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else usage.whole(index) or 0


def _merged(end: int, pieces: list[Piece], tokens: list[int | None]) -> Chunk:
    """One chunk of what all choices of a message add; each holds at least one token."""
    first = next((piece for piece in pieces if piece.channel == "answer"), pieces[0])
    channel: Channel = first.channel
    text = "".join(piece.text for piece in pieces if piece.channel == channel)
    thought = "".join(piece.thought if piece.channel == channel else piece.text for piece in pieces
                      if piece.thought or (piece.channel == "reasoning" != channel))
    return Chunk(end, sum(count or 1 for count in tokens), channel, text, thought)
