"""Embeddings and rankings, as OpenAI, Cohere, Jina, TEI, SageMaker's containers and Bedrock's models answer them.

The work of a request is one prefill of all its tokens; there is nothing to decode. A text's vector is always the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import orjson

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Refusal, Request, Unfit, json_refusal
from fmload.emulator.plane import Opened, Plane, bearer_key
from fmload.emulator.settings import Settings

_PATHS = re.compile(r"(?:/v1/embeddings|/openai/deployments/[^/]+/embeddings|/embed|/(?:v1/)?rerank)$")
_COHERES_PATHS = re.compile(r"(?:/v[12]/embed|/v2/rerank)$")
_POOL = 64  # vectors of each length: as many as tell texts apart, and quick to write
_OWN_LENGTH = ("dimensions", "output_dimension", "output_dimensionality")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about: its texts, and the query of a ranking."""

    texts: list[str]
    write: Callable[[Asked, Mapping[str, Any], int, Usage], Whole]
    query: str | None = None


class Answered:
    """Writes one whole answer. What a stream would need never comes up."""

    content_type = "application/json"
    headers: Mapping[str, str] = {}
    finish_with_last = usage_each = False

    def __init__(self, asked: Asked, body: Mapping[str, Any], dimension: int) -> None:
        self._asked, self._body = asked, body
        self._dimension = next((body[name] for name in _OWN_LENGTH if name in body), dimension)

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        return b""

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return b""

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        return orjson.dumps({"error": {"message": message, "type": aws or "internal_error", "code": 500}})

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        return self._asked.write(self._asked, self._body, self._dimension, usage)


def opened(asked: Asked, body: Mapping[str, Any], request: Request, settings: Settings) -> Opened:
    """The request of any plane. A ranking reads its query with every document. Raises Unfit."""
    if unknown := set(body.get("embedding_types") or ()) - _TYPES.keys():
        raise Unfit(f"embedding_types: {', '.join(sorted(map(str, unknown)))}: not one of {', '.join(_TYPES)}")
    texts = asked.texts if asked.query is None else [f"{asked.query}\n{text}" for text in asked.texts]
    ask = Ask(texts, model=str(body.get("model") or ""), max_tokens=1, inputs=len(asked.texts))
    return Opened(ask, odd_of(request, settings, Answered(asked, body, settings.dimension)))


def asked_of(body: Mapping[str, Any], path: str = "") -> Asked | None:
    """What a body asks for, told from its keys; None for one that asks for text. Raises Unfit."""
    if "query" in body:
        own = "texts" in body
        texts = _texts([_document(one) for one in body["texts" if own else "documents"]], "documents")
        return Asked(texts, _tei_scores if own else _scores, str(body["query"]))
    if "input" in body and "messages" not in body:
        return Asked(_texts(body["input"], "input"), _openai)
    if "texts" in body:
        return Asked(_texts(body["texts"], "texts"), _cohere_v1 if path == "/v1/embed" else _cohere)
    if "text_inputs" in body:
        return Asked(_texts(body["text_inputs"], "text_inputs"), _jumpstart)
    if "inputText" in body and "textGenerationConfig" not in body:
        return Asked(_texts(body["inputText"], "inputText"), _titan)
    if "inputs" in body and (isinstance(body["inputs"], list) or path == "/embed"):
        return Asked(_texts(body["inputs"], "inputs"), _tei)
    return None


def _texts(value: Any, name: str) -> list[str]:
    """One text or several. Raises Unfit."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise Unfit(f"{name} must be a text or a list of texts, none of them empty")
    return texts


def _document(value: Any) -> Any:
    return value.get("text") if isinstance(value, dict) else value


# -- vectors --


# Unit vectors in each of the types that Cohere has names for. `binary` and `ubinary` hold the signs, eight in a number.
_TYPES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "float": lambda made: made,
    "base64": lambda made: made,
    "int8": lambda made: np.rint(127 * made).astype(np.int8),
    "uint8": lambda made: np.rint(127 * made + 128).astype(np.uint8),
    "ubinary": lambda made: np.packbits(made > 0, axis=1),
    "binary": lambda made: (np.packbits(made > 0, axis=1).astype(np.int16) - 128).astype(np.int8),
}


@lru_cache(16)
def _pool(dimension: int, kind: str) -> list[bytes]:
    """Vectors of a type as JSON; those in base64 hold 32-bit floats."""
    made = np.random.default_rng(dimension).standard_normal((_POOL, dimension)).astype(np.float32)
    made = _TYPES[kind](made / np.linalg.norm(made, axis=1, keepdims=True))
    if kind == "base64":
        return [b'"%b"' % base64.b64encode(one.tobytes()) for one in made]
    return [orjson.dumps(one, option=orjson.OPT_SERIALIZE_NUMPY) for one in made]


def _place(text: str) -> int:
    return crc32(text.encode("utf-8", "replace")) % _POOL


def _vectors(asked: Asked, dimension: int, kind: str = "float") -> list[orjson.Fragment]:
    written = _pool(dimension, kind)
    return [orjson.Fragment(written[_place(text)]) for text in asked.texts]


def _openai(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    vectors = _vectors(asked, dimension, "base64" if body.get("encoding_format") == "base64" else "float")
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    told = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return Whole(orjson.dumps({"object": "list", "data": data, "model": body.get("model") or "", "usage": told}))


def _cohere(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    found = {kind: _vectors(asked, dimension, kind) for kind in body.get("embedding_types") or ["float"]}
    return Whole(orjson.dumps({"id": "emulated", "texts": asked.texts, "embeddings": found, "meta": _meta(usage, 2),
                               "response_type": "embeddings_by_type"}))


def _cohere_v1(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    if body.get("embedding_types"):
        return _cohere(asked, body, dimension, usage)
    return Whole(orjson.dumps({"id": "emulated", "texts": asked.texts, "embeddings": _vectors(asked, dimension),
                               "meta": _meta(usage, 1), "response_type": "embeddings_floats"}))


def _meta(usage: Usage, version: int) -> dict[str, Any]:
    return {"api_version": {"version": str(version)}, "billed_units": {"input_tokens": usage.input_tokens}}


def _tei(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    return Whole(orjson.dumps(_vectors(asked, dimension)), headers=_tei_headers(usage))


def _tei_headers(usage: Usage) -> dict[str, str]:
    return {"x-compute-type": "cpu", "x-compute-tokens": str(usage.input_tokens),
            "x-total-time": str(usage.latency_ms), "x-compute-characters": str(4 * usage.input_tokens)}


def _jumpstart(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    return Whole(orjson.dumps({"embedding": _vectors(asked, dimension)}))


def _titan(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    [vector] = _vectors(asked, dimension)
    return Whole(orjson.dumps({"embedding": vector, "embeddingsByType": {"float": vector},
                               "inputTextTokenCount": usage.input_tokens}))


# -- rankings --


def _ranked(asked: Asked, body: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Documents by their score, the best first, as many as are asked for."""
    scores = [(crc32(f"{asked.query}\n{text}".encode("utf-8", "replace")) % 100_000) / 100_000 for text in asked.texts]
    order = sorted(enumerate(scores), key=lambda one: -one[1])
    limit = body.get("top_n") or body.get("top_k")
    return order[:limit] if limit else order


def _scores(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    results: list[dict[str, Any]] = [{"index": index, "relevance_score": score}
                                     for index, score in _ranked(asked, body)]
    if body.get("return_documents"):
        results = [{**one, "document": {"text": asked.texts[one["index"]]}} for one in results]
    told = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": -(-len(asked.texts) // 100)}}
    return Whole(orjson.dumps({"id": "emulated", "model": body.get("model") or "", "results": results, "usage": told,
                               "meta": meta}))


def _tei_scores(asked: Asked, body: Mapping[str, Any], dimension: int, usage: Usage) -> Whole:
    return Whole(orjson.dumps([{"index": index, "score": score} for index, score in _ranked(asked, body)]),
                 headers=_tei_headers(usage))


def _open(request: Request, number: int, settings: Settings) -> Opened:
    body = openai.parse_json(request.body)
    asked = asked_of(body, request.path)
    if asked is None:
        raise Unfit("the body has neither texts to embed nor documents to rank")
    openai.require_model(str(body.get("model") or ""), settings)
    return opened(asked, body, request, settings)


PLANE = Plane("inputs", lambda path: _PATHS.match(path) is not None, _open, openai.refusal, bearer_key)


def _coheres_refusal(status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None,
                     outcome: str = "rejected") -> Refusal:
    """An error in Cohere's shape."""
    return json_refusal(status, {"id": "emulated", "message": message}, headers, outcome)


COHERE = Plane("cohere", lambda path: _COHERES_PATHS.match(path) is not None, _open, _coheres_refusal, bearer_key)
