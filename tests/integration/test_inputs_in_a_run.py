"""Embeddings and rankings over sockets: what is recorded and published against the server's truth, through every way
in; and OpenAI's SDK against the emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from fmload.emulator.truth import Truth
from tests import load_rig
from tests.load_rig import Run, Server, emulator, fmload_run

pytestmark = pytest.mark.usefixtures("aws_credentials")
NEAR_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one
WAYS: dict[str, dict[str, Any]] = {
    "openai": {"protocol": "embeddings", "model": "m"},
    "base64": {"protocol": "embeddings", "model": "m", "parameters": {"encoding_format": "base64"}},
    "cohere": {"protocol": "embeddings", "model": "m", "api": "cohere"},
    "tei": {"protocol": "embeddings", "api": "tei"},
    "sagemaker": {"protocol": "sagemaker", "payload_format": "tei_embed", "region": "us-east-1", "emulated": "x"},
    "bedrock": {"protocol": "bedrock", "model": "cohere.embed-english-v3", "region": "us-east-1", "emulated": "x"},
    "short": {"protocol": "embeddings", "model": "m", "headers": {"X-Emulator-Dialect": "vector-missing"}},
}
RANKED: dict[str, dict[str, Any]] = {
    "rerank": {"protocol": "rerank", "model": "m"},
    "tei-rerank": {"protocol": "rerank", "api": "tei"},
    "bedrock-rerank": {"protocol": "bedrock", "model": "amazon.rerank-v1:0", "region": "us-east-1", "emulated": "x"},
}


def measured(folder: Path, ways: dict[str, dict[str, Any]], **prompts: Any) -> tuple[Run, list[Truth]]:
    return load_rig.measured(
        folder, ways, {"source": "synthetic", "input_tokens": {"min": 5, "max": 30}, "count": 60, **prompts},
        {"concurrency": [2], "window": "2s", "drain": "5s"}, "--profile", "encoder", "--dimension", "16")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Truth]]:
    ways = {name: {"price": {"hourly": 3.6}, "dimension": 16, **keys} for name, keys in WAYS.items()}
    return measured(tmp_path_factory.mktemp("embedded"), ways, batch=6)


def test_every_request_is_recorded_with_its_inputs_and_the_instant_of_its_answer(
        embedded: tuple[Run, list[Truth]]) -> None:
    run, truths = embedded
    pairs = run.beside(truths)
    assert {record.endpoint for record, _ in pairs} == set(WAYS)
    for record, truth in pairs:
        wanted = "decode" if record.endpoint == "short" else "ok"
        assert (record.outcome, record.inputs, truth.inputs) == (wanted, 6, 6), record
        assert (record.input_tokens, record.output_tokens, truth.output_tokens) == (truth.input_tokens, None, 0)
        assert record.prompt_tokens == truth.input_tokens
        assert record.first_token_ns is None and not record.chunk_ns
        assert record.last_token_ns is not None
        assert record.last_token_ns >= truth.token_ns[0] - NEAR_NS  # not before the server wrote it


def test_what_is_published_is_what_the_server_answered(embedded: tuple[Run, list[Truth]]) -> None:
    run, _ = embedded
    found = run.rows()
    for name in set(WAYS) - {"short"}:
        ok = [record for record in run.records() if record.endpoint == name and record.outcome == "ok"]
        assert 0 < float(found[name]["inputs_per_s"]) * float(found[name]["window_s"]) <= 6 * len(ok)
        assert float(found[name]["inputs_mean"]) == 6
        assert found[name]["ttft_p50_s"] == found[name]["output_tokens_per_s"] == ""
        price = 3.6 / 3600 / float(found[name]["inputs_per_s"]) * 1e6
        assert float(found[name]["price_per_1m_inputs"]) == pytest.approx(price)
    assert float(found["short"]["error_rate"]) == 1
    assert float(found["short"]["inputs_per_s"]) == 0


def test_rankings_are_measured_in_documents(tmp_path: Path) -> None:
    run, truths = measured(tmp_path, RANKED, batch=5, query_tokens=8)
    pairs = run.beside(truths)
    assert {record.endpoint for record, _ in pairs} == set(RANKED)
    assert {(record.outcome, record.inputs) for record, _ in pairs} == {("ok", 5)}
    for record, truth in pairs:
        own = record.prompt_tokens or 0
        assert record.input_tokens == truth.input_tokens
        assert truth.input_tokens >= own + 4 * 8  # the query is read with each of the five, and counted once here


def test_prompts_that_cannot_be_asked_end_the_run_before_its_load(tmp_path: Path) -> None:
    with emulator(tmp_path, "--profile", "instant") as server:
        path = tmp_path / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "wrong", "endpoints": [{"name": "e", "protocol": "rerank", "model": "m", "url": server.url}],
            "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 9, "batch": 3, "count": 20}],
            "load": {"concurrency": [1], "window": "1s"}}))
        with fmload_run(tmp_path, path) as run:
            assert run.wait() != 0
        assert "a ranking needs a query and documents" in run.output()
        assert run.output().count("a ranking needs a query") < 5
        assert "Traceback" not in run.output()
        assert server.requests() == []


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with emulator(tmp_path, "--profile", "instant", "--dimension", "24") as server:
        yield server


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openais_sdk_takes_the_emulators_embeddings(served: Server, encoding: Any) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="any")
    found = client.embeddings.create(model="m", input=["red", "blue", "red"], encoding_format=encoding, dimensions=12)
    assert [one.index for one in found.data] == [0, 1, 2]
    assert found.data[0].embedding == found.data[2].embedding != found.data[1].embedding
    assert found.usage.prompt_tokens == 3
    if encoding == "float":
        assert {len(one.embedding) for one in found.data} == {12}


def test_openais_sdk_takes_the_emulators_refusal(served: Server) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0)
    with pytest.raises(openai.BadRequestError, match="none of them empty"):
        client.embeddings.create(model="m", input=["red", ""])
