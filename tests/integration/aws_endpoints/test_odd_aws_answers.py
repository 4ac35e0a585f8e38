"""The whole product against the odd answers of SageMaker and Bedrock: each published figure beside the server's truth.

Some runs with many endpoints side by side; odd requests have a run of their own, against the emulator's rules.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from fmload.emulator.odd import Form
from fmload.plugins import FORMS
from tests.load_rig import emulator, fmload_run
from tests.published_forms import TOKENS, Published, agree, measured

CLAUDE, LLAMA = "anthropic.claude-haiku-4-5-20251001-v1:0", "us.meta.llama4-scout-17b-instruct-v1:0"
MISTRAL = "mistral.mistral-7b-instruct-v0:2"
PLAIN = Form(lambda message, part: [message])
SHARED = {"region": "us-east-1", "emulated": "steady"}
AT_ONCE = 16  # endpoints of a run: each is a client of boto3, which takes its time to make


class Case(NamedTuple):
    """An endpoint, in which form the emulator answers it, and the tokens of an answer (None: whatever was counted)."""

    keys: dict[str, Any]
    form: str | None = None
    tokens: float | None = TOKENS
    fault: str | None = None
    outcome: str = "ok"
    words: str = ""


def invoke(model: str, form: str | None = None, tokens: float | None = TOKENS, **keys: Any) -> Case:
    return Case({"protocol": "bedrock", "api": "invoke", "model": model, **keys}, form, tokens)


def container(form: str | None = None, tokens: float | None = TOKENS, **keys: Any) -> Case:
    return Case({"protocol": "sagemaker", "endpoint_name": "emulated", **keys}, form, tokens)


def struck(fault: str, outcome: str, words: str, **keys: Any) -> Case:
    """A request that the service refuses, or an exception within its stream."""
    known = {"protocol": "bedrock", "model": "amazon.nova-lite-v1:0"}
    return Case({**known, **keys}, fault=fault, outcome=outcome, words=words)


TEMPLATE = {"payload_format": "template", "template": {"messages": "$messages", "max_tokens": "$max_tokens",
                                                       "stream": "$stream"},
            "answer_path": "choices.0.delta.content"}
BARE = {"payload_format": "template", "answer_path": "$",
        "template": {"inputs": "$prompt", "parameters": {"max_new_tokens": "$max_tokens"}, "stream": "$stream"}}
TO_SAGEMAKER = {"protocol": "sagemaker", "endpoint_name": "emulated", "payload_format": "openai"}

OF_BEDROCK = {
    **{f"family-{name}": invoke(model) for name, model in {
        "claude": CLAUDE, "llama4": LLAMA, "nova": "us.amazon.nova-lite-v1:0", "titan": "amazon.titan-text-express-v1",
        "command": "cohere.command-r-v1:0", "command-text": "cohere.command-text-v14", "mistral": MISTRAL,
        "gpt-oss": "openai.gpt-oss-20b-1:0", "deepseek-r1": "us.deepseek.r1-v1:0", "deepseek-v3": "deepseek.v3-v1:0",
        "qwen": "qwen.qwen3-32b-v1:0", "jamba": "ai21.jamba-1-5-large-v1:0", "kimi": "moonshot.kimi-k2-thinking",
        "glm": "zai.glm-4.6", "minimax": "minimax.minimax-m2", "nemotron": "nvidia.nemotron-nano-9b-v2",
        "writer": "us.writer.palmyra-x5-v1:0",
        "imported": "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123"}.items()},
    **{f"whole-{name}": invoke(model, stream=False) for name, model in {
        "claude": CLAUDE, "llama4": LLAMA, "titan": "amazon.titan-text-express-v1", "command": "cohere.command-r-v1:0",
        "gpt-oss": "openai.gpt-oss-20b-1:0", "mistral": MISTRAL}.items()},
    "mistral-in-openais-form": invoke("mistral.mistral-large-2407-v1:0", "usage-with-last-text", family="openai"),
    "last-chunk-without-choices": invoke("mistral.mistral-large-2407-v1:0", "metrics-alone", family="openai"),
    "llama-without-text": invoke(LLAMA, "first-token-without-text"),
    "guardrail": invoke(MISTRAL, "invocation-guardrail"),
    "guardrail-whole": invoke(MISTRAL, "invocation-guardrail", stream=False),
    "no-metrics": invoke(MISTRAL, "no-invocation-metrics"),
    "metrics-alone": invoke(MISTRAL, "metrics-alone"),
    "refusal": invoke(CLAUDE, "claude-refusal"), "thinking": invoke(CLAUDE, "claude-thinking"),
    "tool-use": invoke(CLAUDE, "claude-tool-use"), "counts-again": invoke(CLAUDE, "claude-counts-again"),
    "odd-headers": invoke(MISTRAL, "headers-that-count-nothing", None, stream=False),
    "openai-path": Case({"protocol": "openai", "model": "m", "url": "/openai/v1", "auth": "bedrock"}, "float-counts"),
    "timed-out": struck("ModelTimeoutException", "timeout_total", "ModelTimeout"),
    **{f"exception-{name}": struck(f"{name}:after=3", outcome, name) for name, outcome in {
        "internalServerException": "stream_error", "modelStreamErrorException": "stream_error",
        "validationException": "stream_error", "throttlingException": "throttled",
        "modelTimeoutException": "stream_error", "serviceUnavailableException": "stream_error"}.items()},
    "exception-of-an-invocation": struck("throttlingException:after=3", "throttled", "throttling", api="invoke",
                                         model=MISTRAL),
}
OF_SAGEMAKER = {
    "jumpstart-whole": container(None, payload_format="jumpstart", stream=False),
    "jumpstart": container(None, payload_format="jumpstart"), "tgi": container(None, payload_format="tgi"),
    "djl": container(None, payload_format="djl"), "whole": container(None, payload_format="openai", stream=False),
    "bare-text": container("bare-text", None, **BARE),
    "template-error-event": container("error-event", **TEMPLATE),
    "template-error-line": container("error-line", **TEMPLATE),
    "template-error-detail": container("error-detail", **TEMPLATE),
    "template-usage": container("usage-with-last-text", **TEMPLATE),
    "generation-error": container("generation-error", payload_format="tgi"),
    "special-end-mark": container("special-end-mark", payload_format="tgi"),
    "details-left-out": container("details-left-out", payload_format="tgi"),
    "openai-path": Case({"protocol": "openai", "model": "m", "url": "/endpoints/emulated/openai/v1",
                         "auth": "sagemaker"}, "usage-in-choice"),
    "time-limit": struck("ModelError:original=0", "timeout_total", "time limit", **TO_SAGEMAKER),
    "models-own-429": struck("ModelError:original=429", "throttled", "ModelError", **TO_SAGEMAKER),
    "exception": struck("error:after=3", "stream_error", "ModelStreamError", **TO_SAGEMAKER),
}


def endpoint(name: str, case: Case) -> dict[str, Any]:
    headers = {"X-Emulator-Dialect": case.form, "X-Emulator-Fault": case.fault}
    keys = {"name": name, "headers": {key: value for key, value in headers.items() if value}, **SHARED, **case.keys}
    return {key: value for key, value in keys.items() if value != {}}


@pytest.fixture(scope="module")
def bedrock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    cases = list(OF_BEDROCK.items())
    found: dict[str, Published] = {}
    for at in range(0, len(cases), AT_ONCE):
        endpoints = [endpoint(*case) for case in cases[at:at + AT_ONCE]]
        found |= measured(tmp_path_factory.mktemp("bedrock"), endpoints)
    return found


@pytest.fixture(scope="module")
def sagemaker(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    folder = tmp_path_factory.mktemp("sagemaker")
    found = measured(folder, [endpoint(*case) for case in OF_SAGEMAKER.items()], "--shape", "part_bytes=37",
                     keep_answers=True)
    rows = pq.read_table(folder / "out" / "answers.parquet").to_pylist()
    assert not any("\ufffd" in str(row) for row in rows) and any("🦀" in str(row) for row in rows)  # whole characters
    return found


def judged(one: Published, case: Case) -> None:
    if case.fault is not None:
        assert one.records and {record.outcome for record in one.records} == {case.outcome}
        assert all(case.words in (record.error or "") for record in one.records)
        assert int(one.row["errors"]) == len(one.records) and one.row["ttft_mean_s"] == ""
        return
    form: Form = FORMS.load(case.form) if case.form else PLAIN
    if case.form == "bare-text":  # more text than the emulator's own tokens: neither counts nor TPOT can be the truth's
        one.row.update(tpot_mean_s="", itl_mean_s="")
    agree(one, form, case.tokens if case.form is None or form.told else None, case.keys.get("stream", True))
    if "template-error" in one.row["endpoint"]:
        assert all("out of memory" in (record.error or "") for record in one.records)


@pytest.mark.alone
@pytest.mark.parametrize("name", OF_BEDROCK)
def test_what_is_published_of_an_answer_of_bedrocks_is_the_truth(name: str, bedrock: dict[str, Published]) -> None:
    judged(bedrock[name], OF_BEDROCK[name])


@pytest.mark.alone
@pytest.mark.parametrize("name", OF_SAGEMAKER)
def test_what_is_published_of_an_answer_of_a_container_is_the_truth(name: str, sagemaker: dict[str, Published]) -> None:
    judged(sagemaker[name], OF_SAGEMAKER[name])


PDF = base64.b64encode(b"%PDF").decode()
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
def jpeg() -> bytes:
    """A small picture."""
    kept = io.BytesIO()
    Image.new("RGB", (16, 16)).save(kept, "JPEG")
    return kept.getvalue()


ODD_CHATS: list[list[dict[str, Any]]] = [
    [{"role": "system", "content": [{"type": "text", "text": "brief", "cache_control": {"type": "ephemeral"}}]},
     {"role": "user", "content": [{"type": "text", "text": "a"}, {"cachePoint": {"type": "default"}}]}],
    [{"role": "user", "content": [{"type": "text", "text": "Read"}, {"type": "file", "file": {
        "filename": "a_report.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}}]}],
    [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": None, "tool_calls": [CALL]},
     {"role": "tool", "tool_call_id": "c1", "content": ""}, {"role": "user", "content": "Thanks"}],
    [{"role": "system", "content": " "}, {"role": "user", "content": "a"}, {"role": "user", "content": "b"},
     {"role": "assistant", "content": "\n"}, {"role": "user", "content": [{"type": "text", "text": ""},
                                                                         {"type": "text", "text": "c"}]}],
    [{"role": "user", "content": [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {
        "url": f"data:image/jpg;base64,{base64.b64encode(jpeg()).decode()}"}}]}],
]


def test_chats_of_every_form_are_taken_by_a_converse_that_refuses_what_bedrock_does(tmp_path: Path) -> None:
    """cachePoint, a document, tool turns, blank texts, roles twice in a row, image/jpg: one of each, all counted."""
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in ODD_CHATS))
    with emulator(tmp_path, "--ttft", "60ms", "--gap", "25ms") as server:
        path = tmp_path / "run.yml"
        path.write_text(yaml.safe_dump({
            "name": "chats",
            "prompts": [{"name": "p", "source": "jsonl", "files": ["chats.jsonl"], "output_tokens": 4}],
            "endpoints": [{"name": "c", "protocol": "bedrock", "model": "amazon.nova-lite-v1:0", "url": server.url,
                           "parameters": {"tools": [TOOL]}, **SHARED}],
            "load": {"concurrency": [1], "requests": {"exactly": len(ODD_CHATS)},
                     "workers": 1}}))
        with fmload_run(tmp_path, path) as run:
            assert run.wait() in (0, 4), run.output()  # 4: times of a busy machine, by the audit
        truths = server.requests()
    records = run.records()
    assert [(record.outcome, record.output_tokens) for record in records] == [("ok", 4)] * len(ODD_CHATS)
    assert {truth.status for truth in truths} == {200}
    assert {record.input_tokens for record in records} == {truth.input_tokens for truth in truths}
