"""Whole answers to requests for embeddings or a ranking: vectors or results are counted, and held against the request.

What an answer is, is told from its keys, so that one reader serves every server and service.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fmload.endpoints import usage
from fmload.endpoints.answer import MALFORMED_OR_DEEP, Strange, malformed
from fmload.endpoints.failures import error_text
from fmload.endpoints.lenient_json import loads
from fmload.endpoints.vectors import base64_dimension, floats_of, skeleton_of
from fmload.model.outcome import Failure
from fmload.model.reading import Batch, Expected, Reading
from fmload.wire.exchange import Exchange

IsVector = Callable[[Any], bool]
_ERRORS = ("error", "detail", "errors", "message")
_TOLD_IN = ("x-compute-tokens", "x-amzn-bedrock-input-token-count")  # headers: TEI's, and Bedrock's
_NOTED = {"x-compute-time": "compute_ms", "x-queue-time": "queue_ms", "x-inference-time": "inference_ms",
          "x-tokenization-time": "tokenization_ms", "x-amzn-requestid": "request_id",
          "x-amzn-invoked-production-variant": "variant", "x-amzn-bedrock-invocation-latency": "latencyMs"}


@dataclass(frozen=True, slots=True)
class Ranked:
    """One result of a ranking: the place of a document in the request, from 0, and its score, in the server's unit."""

    index: int
    score: float


def read_vectors(exchange: Exchange, number_bytes: int = 4) -> Reading:
    """An answer to a request for embeddings. `number_bytes`: of each number, where vectors come as base64."""
    found = skeleton_of(exchange.body)
    reading = _read(exchange, found.skeleton, lambda document: _vectors(document, found.strange, number_bytes))
    reading.body = exchange.body
    return reading


def numbers_of(body: bytes) -> list[list[float]]:
    """The vectors of an answer that was read, in the order of their inputs; of base64 those of 32-bit numbers. Raises
    ValueError for another form."""
    return [_numbers(entry) for entry in sorted(_entries(loads(body), _is_list_of_numbers), key=_place)]


def _place(entry: Any) -> int:
    return int(entry.get("index") or 0) if isinstance(entry, Mapping) else 0


def _numbers(entry: Any) -> list[float]:
    found = _in_entry(entry, _is_list_of_numbers)
    if isinstance(found, str):
        return floats_of(found)
    if not isinstance(found, list):
        raise ValueError(f"{str(found)[:40]!r} where a vector should be")
    return [float(number) for number in found]


def read_results(exchange: Exchange) -> Reading:
    """An answer to a request for a ranking."""
    reading = _read(exchange, exchange.body, _results)
    reading.body = exchange.body
    return reading


def ranked_of(body: bytes) -> list[Ranked]:
    """The results of an answer that was read, the best first."""
    return sorted(map(_ranked, _listed_results(loads(body))), key=lambda ranked: -ranked.score)


def mismatch(batch: Batch | None, expected: Expected) -> Failure | None:
    """Why an answer is not one to its request: too few or too many, of inputs that were not sent, of a wrong length."""
    what = expected.what
    if batch is None or not batch.held:
        return Failure("empty", f"the response holds no {what.removesuffix('s')}")
    if batch.held != expected.wanted:
        return Failure("decode", f"{batch.held} {what} for {expected.inputs} inputs"
                       f"{'' if expected.wanted == expected.inputs else f', {expected.wanted} of them asked for'}")
    strangers = [index for index in batch.indices if not 0 <= index < expected.inputs]
    if strangers:
        return Failure("decode", f"one of the {what} is of input {strangers[0]}; there were {expected.inputs}")
    if len(set(batch.indices)) < len(batch.indices):
        return Failure("decode", f"two of the {what} are of the same input")
    return _wrong_dimension(batch, expected.dimension)


def _wrong_dimension(batch: Batch, wanted: int | None) -> Failure | None:
    found = sorted(set(batch.dimensions))
    if len(found) > 1:
        return Failure("decode", f"vectors of {found[0]} and of {found[-1]} numbers in one response")
    if found and wanted is not None and found[0] != wanted:
        return Failure("decode", f"vectors of {found[0]} numbers; {wanted} were asked for")
    return None


def _read(exchange: Exchange, body: bytes, batch_of: Callable[[Any], Batch]) -> Reading:
    reading = Reading()
    if not exchange.complete:
        if exchange.failure is None:
            reading.failure = Failure("truncated", "the connection closed inside the response")
        return reading
    try:
        document = loads(body)
        _account(reading, exchange.headers, document)
        if complaint := _complaint(document):
            reading.failure = Failure("stream_error", complaint)
        else:
            reading.batch = batch_of(document)
    except MALFORMED_OR_DEEP as error:
        reading.failure = malformed(error, exchange.body)
    return reading


def _complaint(document: Any) -> str:
    """The words of an error inside an answer of status 200."""
    if not isinstance(document, Mapping) or document.keys() & {"data", "results", "embeddings", "embedding"}:
        error = document.get("error") if isinstance(document, Mapping) else None
        return error_text({"error": error}) if error else ""
    return error_text(document) if any(document.get(key) for key in _ERRORS) else ""


# -- vectors --


def _vectors(document: Any, strange: Sequence[str], number_bytes: int) -> Batch:
    """Raises one of MALFORMED_OR_DEEP for what has no known form."""
    entries = _entries(document, _is_vector)
    indices = [entry["index"] for entry in entries if isinstance(entry, Mapping) and _is_index(entry.get("index"))]
    return Batch(len(entries), indices if len(indices) == len(entries) else (),
                 [_dimension(one, strange, number_bytes) for one in entries])


def _entries(document: Any, is_vector: IsVector) -> Sequence[Any]:
    """One entry a vector: the vector, or what holds it."""
    if is_vector(document):
        return [document]
    if isinstance(document, list):
        return document
    if "data" in document:
        return _listed(document["data"], is_vector)
    if "embeddings" in document or "embeddingsByType" in document:
        found = document.get("embeddings", document.get("embeddingsByType"))
        return _listed(_of_type(found) if isinstance(found, Mapping) else found, is_vector)
    return _listed(document["embedding"], is_vector)


def _of_type(by_type: Mapping[str, Any]) -> Any:
    """Of several encodings of the same vectors (Cohere, Titan), the first that is there."""
    return next((found for found in by_type.values() if found), [])


def _listed(found: Any, is_vector: IsVector) -> Sequence[Any]:
    if is_vector(found):
        return [found]
    if not isinstance(found, list):
        raise ValueError("no list of vectors")
    return found


def _in_entry(entry: Any, is_vector: IsVector) -> Any:
    """The vector, where it has a known form."""
    if isinstance(entry, Mapping):
        entry = entry["embedding"]
    if isinstance(entry, list) and len(entry) == 1 and not is_vector(entry):
        return entry[0]  # llama.cpp's own form: vectors by token, or one in all
    return entry


def _dimension(entry: Any, strange: Sequence[str], number_bytes: int) -> int:
    entry = _in_entry(entry, _is_vector)
    if isinstance(entry, str):
        try:
            return base64_dimension(entry, number_bytes)
        except ValueError as error:
            raise Strange(f"a vector in base64: {error}") from error
    if not _is_vector(entry):
        raise Strange("a vector without numbers" if entry == [] else f"{str(entry)[:40]!r} where a vector should be")
    if isinstance(entry, float):
        raise Strange(f"a vector holds {strange[int(-entry)]}, which is no number")
    return -int(entry)


def _is_vector(value: Any) -> bool:
    """Whether a value stands for a vector in a skeleton."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value < 0


def _is_list_of_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], int | float)


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# -- results of a ranking --


def _results(document: Any) -> Batch:
    """Raises one of MALFORMED_OR_DEEP for what has no known form."""
    found = _listed_results(document)
    return Batch(len(found), [_ranked(result).index for result in found])


def _listed_results(document: Any) -> list[Any]:
    found = document if isinstance(document, list) else document.get("results", document.get("data"))
    if not isinstance(found, list):
        raise ValueError("no list of results")
    return found


def _ranked(result: Mapping[str, Any]) -> Ranked:
    score = result.get("relevance_score", result.get("score"))
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise Strange(f"a result's score is {str(score)[:40]}, which is no number")
    if not _is_index(result.get("index")):
        raise Strange(f"a result of input {str(result.get('index'))[:40]}, which is no number")
    return Ranked(int(result["index"]), float(score))


# -- the server's account --


def _account(reading: Reading, headers: Mapping[str, str], document: Any) -> None:
    """Its count of input tokens, and what it says of its times and of what it bills."""
    told = usage.charged(document) if isinstance(document, Mapping) else None
    counts = [told, *(usage.whole(headers.get(name)) for name in _TOLD_IN)]
    reading.input_tokens = next((count for count in counts if count and count <= usage.MAX_BATCH_TOKENS), None)
    detail = {name: headers[header] for header, name in _NOTED.items() if header in headers}
    units = document.get("meta") if isinstance(document, Mapping) else None
    billed = units.get("billed_units") if isinstance(units, Mapping) else None
    if isinstance(billed, Mapping) and usage.whole(billed.get("search_units")) is not None:
        detail["search_units"] = billed["search_units"]
    reading.detail = detail
