"""Images, sound and video in prompts, and images made, over sockets: records and summary against the server's truth;
and the providers' SDKs against the emulator."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from fmload.audio import noise
from fmload.emulator.truth import Truth
from fmload.media import pictures
from fmload.model.audio import Audio
from tests import load_rig
from tests.load_rig import Run, Server, emulator, wait_until

pytestmark = pytest.mark.usefixtures("aws_credentials")
NEAR_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one
AWS = {"region": "us-east-1", "emulated": "x"}
SEEING: dict[str, dict[str, Any]] = {
    "openai": {"protocol": "openai", "model": "m"}, "responses": {"protocol": "responses", "model": "m"},
    "anthropic": {"protocol": "anthropic", "model": "m"}, "gemini": {"protocol": "gemini", "model": "m"},
    "ollama": {"protocol": "ollama", "model": "m"},
    "converse": {"protocol": "bedrock", "model": "amazon.nova-lite-v1:0", **AWS},
    "sagemaker": {"protocol": "sagemaker", "payload_format": "openai", **AWS},
}
PAINTING: dict[str, dict[str, Any]] = {
    "whole": {"protocol": "images", "parameters": {"n": 2, "size": "64x64"}, "price": {"per_image": 0.04}},
    "streamed": {"protocol": "images", "stream": True, "parameters": {"partial_images": 1, "size": "64x64"},
                 "price": {"hourly": 36}},
    "canvas": {"protocol": "bedrock", "model": "amazon.nova-canvas-v1:0", "parameters": {"n": 2, "size": "64x64"},
               **AWS},
    "stable": {"protocol": "bedrock", "model": "stability.stable-image-core-v1:1", **AWS},
    "short": {"protocol": "images", "parameters": {"n": 2, "size": "64x64"}, "headers": {
        "X-Emulator-Dialect": "image-missing"}},
}


def measured(folder: Path, ways: dict[str, dict[str, Any]], options: tuple[str, ...],
             **prompts: Any) -> tuple[Run, list[Truth]]:
    return load_rig.measured(folder, ways, {"source": "synthetic", "input_tokens": 12, "count": 30, **prompts},
                             {"concurrency": [1], "window": "2s", "drain": "10s"}, *options)


def test_what_a_model_sees_is_what_its_record_says(tmp_path: Path) -> None:
    run, truths = measured(tmp_path, SEEING, ("--profile", "instant"), output_tokens=4,
                           media={"images": {"count": 2, "width": 56, "height": 28, "format": "png"}})
    pairs = run.beside(truths)
    assert {record.endpoint for record, _ in pairs} == set(SEEING)
    for record, truth in pairs:
        assert (record.outcome, record.images_in, record.pixels_in) == ("ok", 2, 2 * 56 * 28), record
        assert (truth.images_in, truth.media_tokens) == (2, 4)
        assert record.input_tokens == truth.input_tokens
        assert record.prompt_tokens is not None and record.prompt_tokens < truth.input_tokens
        assert record.image_tokens == (4 if record.endpoint in ("openai", "gemini", "sagemaker") else None)
        assert record.media_bytes is not None and record.media_bytes > 500
    found = run.rows()
    for name in SEEING:
        assert float(found[name]["images_in_mean"]) == 2
        assert float(found[name]["images_in_per_s"]) > 0
    assert "whose tokens no tokenizer here counts" in run.results.audit_json.read_text()
    assert "Images, sound and video in prompts" in run.results.report_md.read_text()


def test_images_made_are_measured_to_the_truth(tmp_path: Path) -> None:
    run, truths = measured(tmp_path, PAINTING, ("--ttft", "20ms", "--gap", "2ms", "--image-steps", "5"))
    pairs = run.beside(truths)
    assert {record.endpoint for record, _ in pairs} == set(PAINTING)
    for record, truth in pairs:
        wanted = "decode" if record.endpoint == "short" else "ok"
        assert (record.outcome, record.images) == (wanted, truth.images), record
        assert (record.first_token_ns, len(record.chunk_ns)) == (None, 0)
        if record.endpoint == "streamed":
            assert record.first_output_ns is not None
            assert record.first_output_ns >= truth.token_ns[0] - NEAR_NS
            assert truth.token_ns[1] - NEAR_NS <= record.last_token_ns
            assert record.first_output_ns <= record.last_token_ns  # one read may bring both on a busy machine
        elif wanted == "ok":
            assert record.first_output_ns is None
            assert record.last_token_ns >= truth.token_ns[-1] - NEAR_NS
    found = run.rows()
    for name in ("whole", "streamed", "canvas", "stable"):
        assert float(found[name]["images_per_minute"]) > 0
        assert found[name]["ttft_p50_s"] == found[name]["output_tokens_per_s"] == ""
        assert (found[name]["ttfi_p50_s"] != "") == (name == "streamed")
    assert float(found["whole"]["price_per_1k_images"]) == pytest.approx(40)
    assert float(found["streamed"]["price_per_1k_images"]) == pytest.approx(
        36 / 60 * 1000 / float(found["streamed"]["images_per_minute"]))
    assert (float(found["short"]["error_rate"]), float(found["short"]["images_per_minute"])) == (1, 0)
    report = run.results.report_md.read_text()
    assert "Images made" in report
    assert "TTFT p50" not in report and "ITL" not in report


# -- the providers' own clients --

PNG = pictures.image(56, 28, "png", "picture", "sdk")
DATA = base64.b64encode(PNG).decode()
WAV = noise.wav_of(Audio(0.5, seed="a", samples=8000))


@pytest.fixture
def served(tmp_path: Path) -> Any:
    with emulator(tmp_path, "--profile", "instant", "--image-steps", "4") as server:
        yield server


def test_openais_sdk_takes_images_made(served: Server) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="any")
    found = client.images.generate(model="m", prompt="a cat", n=2, size="256x256")
    assert found.data is not None and found.usage is not None
    assert [base64.b64decode(one.b64_json or "")[:4] for one in found.data] == [b"\x89PNG"] * 2
    assert found.usage.output_tokens == 2 * 64
    stream = client.images.generate(model="m", prompt="a cat", stream=True, partial_images=2, size="256x256")
    kinds = [event.type for event in stream]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    with pytest.raises(openai.BadRequestError, match="not empty"):
        client.images.generate(model="m", prompt=" ")


def test_openais_sdk_sends_what_the_emulator_counts(served: Server) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{served.url}/v1", api_key="any")
    parts: Any = [{"type": "text", "text": "what is it?"},
                  {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
                  {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}]
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": parts}], max_tokens=4)
    assert answer.usage is not None and answer.usage.prompt_tokens_details is not None
    details = answer.usage.prompt_tokens_details
    assert (details.image_tokens, details.audio_tokens) == (2, 16)
    seen: Any = [{"role": "user", "content": [{"type": "input_image", "detail": "auto", "image_url":
                                               f"data:image/png;base64,{DATA}"}]}]
    client.responses.create(model="m", input=seen, max_output_tokens=16)
    with pytest.raises(openai.BadRequestError, match="could not be decoded"):
        bad: Any = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}]
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": bad}])
    wait_until(lambda: len(served.requests()) == 3, 10, "the refused request in the server's log")
    assert [(one.images_in, one.media_tokens) for one in served.requests()] == [(1, 18), (1, 2), (0, 0)]


def test_anthropics_and_googles_sdks_send_what_the_emulator_counts(served: Server) -> None:
    import anthropic
    from google import genai
    from google.genai import types

    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
    anthropic.Anthropic(base_url=served.url, api_key="none", max_retries=0).messages.create(
        model="m", max_tokens=4, messages=[{"role": "user", "content": [image, {"type": "text", "text": "hi"}]}])
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=served.url))
    answer = client.models.generate_content(model="m", contents=[
        types.Part.from_bytes(data=PNG, mime_type="image/png"), types.Part.from_bytes(data=WAV, mime_type="audio/wav"),
        "hi"])
    assert answer.usage_metadata is not None
    told = {one.modality: one.token_count for one in answer.usage_metadata.prompt_tokens_details or ()}
    assert (told[types.MediaModality.IMAGE], told[types.MediaModality.AUDIO]) == (2, 16)
    wait_until(lambda: len(served.requests()) == 2, 10, "the requests in the server's log")
    assert [(one.images_in, one.media_tokens) for one in served.requests()] == [(1, 2), (1, 18)]
