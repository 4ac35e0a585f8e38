"""Embeds by any server of OpenAI's embeddings API (TEI, vLLM, llama.cpp, Ollama, OpenAI)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson
from gevent import sleep

from fmload.base.errors import FmloadError
from fmload.base.redaction import redacted
from fmload.endpoints.failures import http_failure
from fmload.wire.exchange import Address, Exchange, HttpRequest
from fmload.wire.http1 import Http1Wire
from fmload_analysis.evaluate.embeddings import EmbeddingSpec, Vector
from fmload_analysis.evaluate.retrying import PASSING, wait_s

BATCH = 32


class EmbeddingServer:
    """One server; a failure that may pass is tried again."""

    def __init__(self, spec: EmbeddingSpec, attempts: int, backoff_s: float) -> None:
        self._spec = spec
        self._attempts = attempts
        self._backoff_s = backoff_s

    def __call__(self, texts: Sequence[str]) -> list[Vector]:
        """A vector a text. Raises FmloadError when the server will not."""
        wire = Http1Wire()
        try:
            return [vector for start in range(0, len(texts), BATCH)
                    for vector in self._embed(wire, texts[start:start + BATCH])]
        finally:
            wire.close()

    def _embed(self, wire: Http1Wire, texts: Sequence[str]) -> list[Vector]:
        address, request = _request(self._spec, texts)
        for attempt in itertools.count(1):
            exchange = wire.exchange(address, request, lambda body: False)
            failure = exchange.failure or http_failure(exchange)
            if failure is None:
                return _vectors(exchange, len(texts))
            if failure.outcome not in PASSING or attempt == self._attempts:
                raise FmloadError(f"embedding {self._spec.model}: {redacted(failure.message)}",
                                  hint="mend `embedding` in the judges file, or leave it out")
            sleep(wait_s(attempt, self._backoff_s, exchange.headers))
        raise AssertionError("the last attempt returns")


def _request(spec: EmbeddingSpec, texts: Sequence[str]) -> tuple[Address, HttpRequest]:
    parts = urlsplit(spec.url or "")
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
