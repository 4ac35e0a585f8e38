"""llama.cpp's own server with embeddings and rankings: what we record against what it answers to a plain request."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fmload.model.prompt import Prompt
from fmload.model.reading import Reading
from fmload.model.record import Record
from fmload.wire.exchange import Timeouts
from fmload.wire.http1 import Http1Wire
from fmload.worker.measure import measure
from tests.integration import random_llama
from tests.spoken import spoken

WIDTH = 64
TEXTS = ["a few words", "more words than that", "red"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "random.gguf"
    random_llama.write(path, hidden=WIDTH, layers=2)
    return path


def serving(model: Path, pooling: str) -> Iterator[str]:
    """The base URL of a server of vectors (mean) or of rankings (rank)."""
    with (model.parent / f"{pooling}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("serve_llama.py")), str(model), "--pooling", pooling],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            assert url, (model.parent / f"{pooling}.log").read_text(errors="replace")
            yield url
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def embedder(model: Path) -> Iterator[str]:
    yield from serving(model, "mean")


@pytest.fixture(scope="module")
def ranker(model: Path) -> Iterator[str]:
    yield from serving(model, "rank")


def ask(protocol: str, url: str, prompt: Prompt, **keys: Any) -> tuple[Record, Reading]:
    endpoint, wire = spoken(protocol, url, **keys), Http1Wire(Timeouts(first_token_s=60))
    found = measure(endpoint, prompt, wire, endpoint.addresses()[0], request_id="r", worker="w", stage=0,
                    scheduled_ns=0)
    wire.close()
    return found


def plainly(url: str, body: dict[str, Any]) -> Any:
    sent = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=60) as answer:
        return json.load(answer)


@pytest.mark.parametrize("parameters", [{}, {"encoding_format": "base64"}])
def test_its_vectors_and_tokens_are_counted_as_it_sends_them(embedder: str, parameters: dict[str, Any]) -> None:
    record, reading = ask("embeddings", embedder, Prompt("p", "s", inputs=TEXTS), dimension=WIDTH,
                          parameters=parameters)
    whole = plainly(f"{embedder}/embeddings", {"model": "m", "input": TEXTS})
    assert (record.outcome, record.error, record.inputs) == ("ok", None, 3)
    assert reading.batch is not None
    assert reading.batch.held == len(whole["data"]) == 3
    assert list(reading.batch.dimensions) == [len(one["embedding"]) for one in whole["data"]] == [WIDTH] * 3
    assert record.input_tokens == whole["usage"]["prompt_tokens"]
    assert record.stamp == "kernel"
    assert record.first_token_ns is None
    assert record.send_ns < record.last_token_ns <= record.end_ns  # type: ignore[operator]


def test_a_length_that_it_does_not_have_is_a_failure(embedder: str) -> None:
    record, _ = ask("embeddings", embedder, Prompt("p", "s", text="red"), dimension=WIDTH + 1)
    assert (record.outcome, record.error) == ("decode", "vectors of 64 numbers; 65 were asked for")


def test_its_rankings_hold_every_document(ranker: str) -> None:
    record, reading = ask("rerank", ranker, Prompt("p", "s", text="a colour?", inputs=TEXTS))
    whole = plainly(f"{ranker}/rerank", {"model": "m", "query": "a colour?", "documents": TEXTS})
    assert (record.outcome, record.error, record.inputs) == ("ok", None, 3)
    assert reading.batch is not None
    assert sorted(reading.batch.indices) == sorted(one["index"] for one in whole["results"]) == [0, 1, 2]
    assert record.input_tokens == whole["usage"]["prompt_tokens"]


def test_the_best_two_are_two(ranker: str) -> None:
    record, reading = ask("rerank", ranker, Prompt("p", "s", text="x", inputs=TEXTS), parameters={"top_n": 2})
    assert (record.outcome, record.inputs) == ("ok", 3)
    assert reading.batch is not None and reading.batch.held == 2


def test_a_server_without_rankings_says_so(embedder: str) -> None:
    record, _ = ask("rerank", embedder, Prompt("p", "s", text="x", inputs=TEXTS))
    assert (record.outcome, record.status) == ("http_5xx", 501)
    assert "does not support reranking" in (record.error or "")
