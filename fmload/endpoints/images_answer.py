"""Answers to requests for images, whole or streamed: images are counted, looked at, and held against the request.

What an answer is, is told from its keys, so that one reader serves every server and service. An image is taken as
bytes: its header must be that of an image, of the size that was asked for, and its end must be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from fmload.base.base64_text import decoded
from fmload.endpoints import usage
from fmload.endpoints.answer import MALFORMED_OR_DEEP, Strange, malformed
from fmload.endpoints.failures import error_text, failure_of_error
from fmload.endpoints.filters import is_filters
from fmload.endpoints.lenient_json import loads
from fmload.endpoints.streams import DONE, PINGS, messages
from fmload.media.headers import header_of, is_cut
from fmload.model.outcome import Failure
from fmload.model.reading import Batch, Expected, Reading
from fmload.wire.exchange import Exchange

Json = Mapping[str, Any]
_PARTIAL, _COMPLETED = "image_generation.partial_image", "image_generation.completed"
_FINE = ("success", "")  # what Stability's models say of an image that is there
_NOTED = {"x-amzn-requestid": "request_id", "x-amzn-bedrock-invocation-latency": "latencyMs"}


def read(exchange: Exchange, streamed: bool) -> Reading:
    """The reading of a response of status 2xx. A server that answers a stream with plain JSON is understood, and one
    that streams what was asked for in one piece."""
    reading = Reading()
    for name, key in _NOTED.items():
        if name in exchange.headers:
            reading.detail = {**reading.detail, key: exchange.headers[name]}
    body = exchange.body.lstrip()
    if body[:1] in (b"{", b"[") or not (streamed or body[:5] in (b"data:", b"event")):
        _whole(reading, exchange)
    else:
        _stream(reading, exchange)
    return reading


def mismatch(batch: Batch | None, expected: Expected) -> Failure | None:
    """Why an answer is not one to its request: too few images or too many, or of another size."""
    if batch is None or not batch.held:
        return Failure("empty", "the response holds no image")
    if batch.held != expected.wanted:
        return Failure("decode", f"{batch.held} images; {expected.wanted} were asked for")
    wrong = next((size for size in batch.sizes if expected.size is not None and size != expected.size), None)
    if wrong is not None and expected.size is not None:
        return Failure("decode", f"an image of {_size(wrong)}; {_size(expected.size)} was asked for "
                                 "(any_size: true takes it)")
    return None


def started(body: bytes) -> bool:
    """Whether an image, partial or whole, has come in the part of a stream that has."""
    reading = Reading()
    _stream(reading, Exchange("", body=body))
    return reading.batch is not None and bool(reading.batch.parts)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


# -- in one piece --


def _whole(reading: Reading, exchange: Exchange) -> None:
    if not exchange.complete:
        if exchange.failure is None:
            reading.failure = Failure("truncated", "the connection closed inside the response")
        return
    try:
        document = loads(exchange.body)
        _account(reading, document)
        reading.failure = _complaint(document)
        if reading.failure is None:
            sizes = [size for entry in _entries(document) for size in _looked_at(entry)]
            reading.batch = Batch(len(_entries(document)), sizes=sizes)
    except MALFORMED_OR_DEEP as error:
        reading.failure = malformed(error, exchange.body)


def _complaint(document: Json) -> Failure | None:
    """An error inside an answer of status 200, also one that comes with the images that a filter left over."""
    if document.get("error") or document.get("type") == "error":
        return _failed(document)
    reasons = [one for one in document.get("finish_reasons") or () if one]
    reasons += [one.get("finishReason") for one in document.get("artifacts") or ()]
    reasons += ["filtered" for one in document.get("data") or () if isinstance(one, Mapping) and _was_filtered(one)]
    wrong = [str(one) for one in reasons if one and str(one).lower() not in _FINE]
    if wrong:
        broken = wrong[0].upper() in ("ERROR", "INFERENCE ERROR")
        return Failure("stream_error" if broken else "blocked", f"an image was not made: {wrong[0]}"[:500])
    if not document.keys() & {"data", "images", "artifacts"} and any(
            document.get(name) for name in ("detail", "message", "errors")):
        return failure_of_error(document)
    return None


def _was_filtered(entry: Json) -> bool:
    """Whether an entry stands for an image that a filter kept back: Azure's verdicts, or the filter's error."""
    if any(entry.get(name) for name in ("b64_json", "url")):
        return False
    verdicts = entry.get("content_filter_results")
    return is_filters(entry) or (isinstance(verdicts, Mapping) and any(
        isinstance(one, Mapping) and one.get("filtered") for one in verdicts.values()))


def _failed(document: Json) -> Failure:
    """Bedrock's image models tell in `error`, as a text alone, that a policy kept images back."""
    error = document.get("error")
    if isinstance(error, str) and any(word in error.lower() for word in ("blocked", "policy", "filter", "moderat")):
        return Failure("blocked", error_text(error))
    return failure_of_error(document)


def _entries(document: Json) -> Sequence[Any]:
    """One entry an image. Raises one of MALFORMED_OR_DEEP for what has no known form."""
    found = next((document[name] for name in ("data", "images", "artifacts") if name in document), None)
    if not isinstance(found, list):
        raise ValueError("no list of images")
    return found


def _looked_at(entry: Any) -> Iterator[tuple[int, int]]:
    """The size of an image that is there; nothing of one that is told by its address. Raises Strange."""
    by_address = False
    if isinstance(entry, Mapping):
        image = entry.get("b64_json") or entry.get("base64")
        entry, by_address = image or entry.get("url"), not image
    if not isinstance(entry, str) or not entry:
        raise Strange("an entry without an image")
    if entry.startswith(("http://", "https://")) or (by_address and not entry.startswith("data:")):
        return
    if entry.startswith("data:"):
        entry = entry.partition(",")[2]
    yield _size_of_image(entry)


def _size_of_image(text: str) -> tuple[int, int]:
    try:
        data = decoded(text)
    except ValueError as error:
        raise Strange(f"an image is no base64: {error}") from error
    header = header_of(data)
    if header is None or header.kind != "image" or header.size is None:
        raise Strange(f"what should be an image begins with {data[:8]!r}")
    if is_cut(data, header.format):
        raise Strange(f"an image ({header.format}, {len(data)} bytes) is cut off")
    return header.size


def _account(reading: Reading, document: Json) -> None:
    """The tokens that the server counts: of the prompt, and (gpt-image) of the images that it made."""
    for told in usage.usages_of(document):
        counts = usage.read(told)
        usage.bound(counts, 0, None)
        reading.input_tokens, reading.cached_tokens = counts.input or None, counts.cached
        reading.output_tokens = (reading.output_tokens or 0) + (counts.output or 0) or None  # of a stream: each image's
        reading.tokens_source = "server" if reading.output_tokens else None
        return


# -- streamed --


def _stream(reading: Reading, exchange: Exchange) -> None:
    held, parts, sizes, end = 0, list[int](), list[tuple[int, int]](), None
    found, text = messages(exchange.body), exchange.body.strip()[:80]
    unknown = None if found or text[:1] in (b"", b":") else text  # a comment is no message, and no stranger
    for offset, event, data in found:
        if not data.strip() or data.strip()[:len(DONE)] == DONE or event in PINGS:
            continue
        try:
            message = orjson.loads(data)
            kind = message.get("type") or event
            if kind in (_PARTIAL, _COMPLETED):
                size = list(_looked_at(message))
                parts.append(offset)
            if kind == _COMPLETED:
                held, end = held + 1, offset
                sizes += size
                _account(reading, message)
            elif kind == "error" or message.get("error"):
                reading.failure = reading.failure or _failed(message)
            elif kind != _PARTIAL and kind not in PINGS:
                unknown = unknown or data[:80]
        except MALFORMED_OR_DEEP as error:
            if offset < len(exchange.body) or exchange.complete:
                reading.failure = reading.failure or malformed(error, data)
    reading.batch = Batch(held, sizes=sizes, parts=parts, end=end)
    if unknown is not None and not parts and exchange.complete:
        reading.failure = reading.failure or Failure("decode", f"no event of an image, but others: {unknown!r}")
    if reading.failure is None and exchange.failure is None and not (exchange.complete and (held or not parts)):
        how = "the stream ended" if exchange.complete else "the connection closed"
        when = f"after {len(parts) - held} partial images" if parts else "before the first image"
        reading.failure = Failure("truncated", f"{how} {when}")
