"""Odd answers to requests for embeddings and rankings. Each is one function, of a whole answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from fmload.emulator.odd import Message, Part, form


def _listed(message: Any) -> list[Any]:
    """The vectors or results of an answer, whatever its form."""
    if isinstance(message, list):
        return message
    found = message.get("data", message.get("results", message.get("embeddings", message.get("embedding"))))
    return next(iter(found.values())) if isinstance(found, dict) else found


def _first_vector(message: Any) -> list[Any]:
    found = _listed(message)[0]
    vector: list[Any] = found["embedding"] if isinstance(found, dict) else found
    return vector


def _with_word(message: Any, word: bytes) -> bytes:
    """The answer with a word that JSON does not have in place of its first number."""
    _first_vector(message)[0] = 123454321
    return orjson.dumps(message).replace(b"123454321", word)


@form(of="inputs", outcome="decode")
def vector_missing(message: Message, part: Part) -> Iterable[Any]:
    """One less than there were inputs."""
    _listed(message).pop()
    yield message


@form(of="inputs", outcome="decode")
def vector_twice(message: Message, part: Part) -> Iterable[Any]:
    """One more than there were inputs."""
    _listed(message).append(_listed(message)[0])
    yield message


@form(of="inputs", outcome="empty")
def no_vectors(message: Message, part: Part) -> Iterable[Any]:
    """None at all."""
    _listed(message).clear()
    yield message


@form(of="inputs", outcome="decode")
def short_vector(message: Message, part: Part) -> Iterable[Any]:
    """One vector is of another length than the others."""
    found = _listed(message)
    if isinstance(found[0], dict):
        found[0]["embedding"] = found[0]["embedding"][:7]
    else:
        found[0] = found[0][:7]
    yield message


@form(of="inputs", outcome="decode")
def nan_vector(message: Message, part: Part) -> Iterable[Any]:
    """NaN where a number should be: what half precision gives when it overflows."""
    yield _with_word(message, b"NaN")


@form(of="inputs", outcome="decode")
def null_vector(message: Message, part: Part) -> Iterable[Any]:
    """null where a number should be, as writers of strict JSON put it."""
    _first_vector(message)[-1] = None
    yield message


@form(of="inputs", outcome="decode")
def malformed_number(message: Message, part: Part) -> Iterable[Any]:
    """A number with two points."""
    yield _with_word(message, b"1.2.3")


@form(of="inputs", outcome="stream_error")
def error_with_200(message: Message, part: Part) -> Iterable[Any]:
    """An error in a body of status 200."""
    yield {"error": {"message": "the input is too long", "type": "invalid_request_error", "code": 400}}


@form(of="inputs", told=False)
def inputs_uncounted(message: Message, part: Part) -> Iterable[Any]:
    """No count of tokens."""
    if isinstance(message, dict):
        for name in ("usage", "meta"):
            message.pop(name, None)
    yield message


@form(of="inputs")
def indices_backwards(message: Message, part: Part) -> Iterable[Any]:
    """The last first; their indices are right."""
    _listed(message).reverse()
    yield message


@form(of="inputs", outcome="decode")
def stranger_index(message: Message, part: Part) -> Iterable[Any]:
    """A result of an input that was not sent."""
    _listed(message)[0]["index"] = 1_000_000
    yield message


@form(of="inputs", outcome="decode")
def same_index(message: Message, part: Part) -> Iterable[Any]:
    """All of the same input."""
    for one in _listed(message):
        one["index"] = 0
    yield message


@form(of="inputs", outcome="decode")
def nan_score(message: Message, part: Part) -> Iterable[Any]:
    """A document's score is NaN."""
    first = _listed(message)[0]
    first["relevance_score" if "relevance_score" in first else "score"] = 123454321
    yield orjson.dumps(message).replace(b"123454321", b"NaN")


@form(of="inputs")
def total_alone(message: Message, part: Part) -> Iterable[Any]:
    """The total of tokens and no other count, as Voyage tells it."""
    if isinstance(message, dict) and "usage" in message:
        message["usage"] = {"total_tokens": message["usage"]["total_tokens"]}
    yield message
