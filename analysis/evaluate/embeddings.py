"""Cosine similarity of embeddings, by any server of OpenAI's embeddings API (TEI, vLLM, llama.cpp, Ollama, OpenAI)."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from gevent import sleep
from numpy.typing import NDArray
from pydantic import Field

from analysis.evaluate.retrying import PASSING, wait_s
from fmload.config.model import Strict
from fmload.endpoints.failures import http_failure
from fmload.errors import FmloadError
from fmload.measure import redact
from fmload.wire.exchange import Address, Exchange, HttpRequest
from fmload.wire.http1 import Http1Wire

BATCH = 32
Vector = NDArray[np.float64]


class EmbeddingSpec(Strict):
    """Where texts are embedded."""

    url: str = Field(description="base URL, for example http://10.0.0.5:8080/v1")
    model: str = Field(description="as the server calls it")
    api_key_env: str | None = Field(None, description="environment variable that holds the API key")


class Embeddings:
    """The vectors of the texts of an evaluation; `cosine` is a score like the others once they are fetched."""

    def __init__(self, spec: EmbeddingSpec, attempts: int, backoff_s: float) -> None:
        self._spec = spec
        self._attempts = attempts
        self._backoff_s = backoff_s
        self._vectors: dict[str, Vector] = {}

    def fetch(self, texts: Iterable[str]) -> None:
        """Embed what is not yet, each text once. Raises FmloadError when the server will not."""
        missing = [text for text in dict.fromkeys(texts) if text.strip() and text not in self._vectors]
        wire = Http1Wire()
        try:
            for start in range(0, len(missing), BATCH):
                batch = missing[start:start + BATCH]
                self._vectors.update(zip(batch, self._embed(wire, batch), strict=True))
        finally:
            wire.close()

    def cosine(self, answer: str, reference: str) -> float:
        """The cosine of the angle between both texts' vectors, from −1 to 1; 0 where a text is blank."""
        first, second = self._vectors.get(answer), self._vectors.get(reference)
        if first is None or second is None:
            return 0.0
        lengths = math.sqrt(float(first @ first) * float(second @ second))
        return float(first @ second) / lengths if lengths else 0.0

    def _embed(self, wire: Http1Wire, texts: Sequence[str]) -> list[Vector]:
        address, request = _request(self._spec, texts)
        for attempt in itertools.count(1):
            exchange = wire.exchange(address, request, lambda body: False)
            failure = exchange.failure or http_failure(exchange)
            if failure is None:
                return _vectors(exchange, len(texts))
            if failure.outcome not in PASSING or attempt == self._attempts:
                raise FmloadError(f"embedding {self._spec.model}: {redact(failure.message)}",
                                  hint="verdicts are kept; mend `embedding` in the judges file, or leave it out")
            sleep(wait_s(attempt, self._backoff_s, exchange.headers))
        raise AssertionError("the last attempt returns")


def _request(spec: EmbeddingSpec, texts: Sequence[str]) -> tuple[Address, HttpRequest]:
    parts = urlsplit(spec.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FmloadError(f"embedding: '{spec.url}' is not a URL", hint="write http://host:port/v1")
    tls = parts.scheme == "https"
    headers = {"Content-Type": "application/json"}
    if spec.api_key_env:
        key = os.environ.get(spec.api_key_env, "").strip()
        if not key:
            raise FmloadError(f"embedding: the environment variable {spec.api_key_env} is not set")
        headers["Authorization"] = f"Bearer {key}"
    body = orjson.dumps({"model": spec.model, "input": list(texts), "encoding_format": "float"})
    return (Address(parts.hostname, parts.port or (443 if tls else 80), tls),
            HttpRequest("POST", f"{parts.path.rstrip('/') or '/v1'}/embeddings", headers, body))


def _vectors(exchange: Exchange, count: int) -> list[Vector]:
    try:
        data: list[dict[str, Any]] = orjson.loads(exchange.body)["data"]
        vectors = [np.asarray(entry["embedding"], dtype=float) for entry in sorted(data, key=lambda one: one["index"])]
    except (ValueError, KeyError, TypeError) as error:
        raise FmloadError(f"embedding: the server's reply holds no vectors: {error!r}") from error
    if len(vectors) != count or any(vector.ndim != 1 for vector in vectors):
        raise FmloadError(f"embedding: {len(vectors)} vectors came back for {count} texts")
    return vectors
