"""Transcription and speech over sockets: what is recorded and published against the server's truth, through every way
in; and OpenAI's SDK against the emulator."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fmload.audio import noise
from fmload.emulator.truth import Truth
from fmload.model.audio import Audio
from fmload.model.record import Record
from tests import load_rig
from tests.load_rig import Run, Server, emulator

if TYPE_CHECKING:
    import openai

pytestmark = pytest.mark.usefixtures("aws_credentials")
NEAR_NS = 1_000_000  # the kernel's stamps are of another clock, and put on this one
PIECE_S = 0.12
AWS = {"protocol": "sagemaker", "region": "us-east-1", "emulated": "x"}
HEARD: dict[str, dict[str, Any]] = {
    "streamed": {"protocol": "transcription", "model": "m"},
    "whole": {"protocol": "transcription", "model": "m", "stream": False,
              "parameters": {"response_format": "verbose_json"}},
    "text": {"protocol": "transcription", "model": "m", "stream": False, "parameters": {"response_format": "text"},
             "task": "translate", "price": {"per_audio_minute": 0.006}},
    "vllm": {"protocol": "transcription", "model": "m", "headers": {"X-Emulator-Dialect": "transcription-chunks"}},
    "half": {"protocol": "transcription", "model": "m", "headers": {"X-Emulator-Dialect": "half-heard"}},
    "sagemaker": {**AWS, "payload_format": "raw_audio"},
}
SPOKEN: dict[str, dict[str, Any]] = {
    "wav": {"protocol": "speech", "model": "m"},
    "pcm": {"protocol": "speech", "model": "m", "parameters": {"response_format": "pcm"},
            "price": {"per_1m_characters": 15}},
    "mp3": {"protocol": "speech", "model": "m", "parameters": {"response_format": "mp3"}},
    "events": {"protocol": "speech", "model": "m", "parameters": {"stream_format": "sse"}},
    "broken": {"protocol": "speech", "model": "m", "headers": {"X-Emulator-Dialect": "error-in-sound"}},
    "sagemaker": {**AWS, "payload_format": "openai_speech"},
}


def measured(folder: Path, ways: dict[str, dict[str, Any]], prompts: dict[str, Any],
             *options: str) -> tuple[Run, list[Truth]]:
    priced = {name: {"price": {"hourly": 3.6}, **keys} for name, keys in ways.items()}
    load = {"concurrency": [1], "window": "3s", "drain": "5s"}
    return load_rig.measured(folder, priced, {"count": 40, **prompts}, load, "--ttft", "30ms", *options,
                             keep_answers=True)


def pairs(found: tuple[Run, list[Truth]]) -> list[tuple[Record, Truth]]:
    run, truths = found
    return run.beside(truths)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Truth]]:
    return measured(tmp_path_factory.mktemp("heard"), HEARD,
                    {"source": "tones", "seconds": {"min": "2s", "max": "4s"}}, "--gap", "5ms")


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[Truth]]:
    return measured(tmp_path_factory.mktemp("spoken"), SPOKEN, {"source": "synthetic", "input_tokens": 8},
                    "--gap", "30ms")


def test_every_transcription_is_recorded_with_its_sound_and_the_instants_of_its_text(
        heard: tuple[Run, list[Truth]]) -> None:
    assert {record.endpoint for record, _ in pairs(heard)} == set(HEARD)
    for record, truth in pairs(heard):
        if record.outcome == "censored":
            continue
        assert record.outcome == ("decode" if record.endpoint == "half" else "ok"), record
        assert record.audio_in_s == pytest.approx(truth.audio_s) and 2 <= truth.audio_s <= 4  # type: ignore[operator]
        assert record.first_token_ns is None and not record.chunk_ns and record.stalls is None
        assert record.last_token_ns is not None and record.last_token_ns >= truth.token_ns[-1] - NEAR_NS
        if record.endpoint in ("streamed", "vllm"):
            assert record.first_output_ns is not None
            assert record.first_output_ns >= truth.token_ns[0] - NEAR_NS
            assert record.output_tokens == truth.output_tokens
        elif record.endpoint != "half":
            assert record.first_output_ns is None


def test_what_is_published_of_transcriptions_is_what_was_heard(heard: tuple[Run, list[Truth]]) -> None:
    run, _ = heard
    found = run.rows()
    for name in set(HEARD) - {"half"}:
        ok = [record for record in run.records() if record.endpoint == name and record.outcome == "ok"]
        rate = float(found[name]["audio_per_s"])
        assert 0 < rate * float(found[name]["window_s"]) <= sum(record.audio_in_s or 0 for record in ok) + 1e-6
        assert found[name]["ttft_p50_s"] == found[name]["output_tokens_per_s"] == found[name]["stutter_share"] == ""
        price = 0.006 * 60 if name == "text" else 3.6 / rate
        assert float(found[name]["price_per_audio_hour"]) == pytest.approx(price)
        assert (found[name]["first_text_p50_s"] == "") == (name not in ("streamed", "vllm"))
        assert float(found[name]["real_time_factor_mean"]) < 1
    assert float(found["half"]["error_rate"]) == 1 and float(found["half"]["audio_per_s"]) == 0
    assert "made up and holds no speech" in run.results.report_md.read_text()


def test_every_speech_is_recorded_with_its_sound_and_the_instant_of_its_first(
        spoken: tuple[Run, list[Truth]]) -> None:
    assert {record.endpoint for record, _ in pairs(spoken)} == set(SPOKEN)
    for record, truth in pairs(spoken):
        if record.outcome == "censored":
            continue
        assert record.outcome == ("stream_error" if record.endpoint == "broken" else "ok"), record
        assert record.characters == truth.characters and record.first_token_ns is None and not record.chunk_ns
        assert record.first_output_ns is not None and record.first_output_ns >= truth.token_ns[0] - NEAR_NS
        if record.endpoint != "broken":
            assert record.audio_out_s == pytest.approx(sum(truth.token_counts) * PIECE_S)
            assert record.audio_out_s == pytest.approx(truth.audio_s)
            assert record.last_token_ns is not None and record.last_token_ns >= truth.token_ns[-1] - NEAR_NS


def test_what_is_published_of_speech_is_what_was_said(spoken: tuple[Run, list[Truth]]) -> None:
    run, _ = spoken
    found = run.rows()
    for name in set(SPOKEN) - {"broken"}:
        assert float(found[name]["audio_per_s"]) > 0 and float(found[name]["characters_per_s"]) > 0
        assert found[name]["ttft_p50_s"] == found[name]["itl_p50_s"] == found[name]["output_tokens_per_s"] == ""
        assert float(found[name]["first_audio_p50_s"]) >= 0.03
    by_the_character = float(found["pcm"]["price_per_1m_characters"])
    assert by_the_character == pytest.approx(15)
    assert float(found["wav"]["price_per_1m_characters"]) == pytest.approx(
        0.001 / float(found["wav"]["characters_per_s"]) * 1e6)
    assert float(found["broken"]["error_rate"]) == 1


def test_sound_that_is_made_slower_than_it_plays_would_stutter(tmp_path: Path) -> None:
    run, _ = measured(tmp_path, {"slow": SPOKEN["pcm"]}, {"source": "synthetic", "input_tokens": 3}, "--gap", "150ms")
    ok = [record for record in run.records() if record.outcome == "ok"]
    assert ok and all((record.stalls or 0) > 0 and (record.stalled_ns or 0) > 0 for record in ok)
    [row] = run.rows().values()
    assert float(row["stutter_share"]) == 1 and float(row["real_time_factor_mean"]) > 1


def test_recordings_with_what_is_said_are_judged_by_their_words(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.wav").write_bytes(noise.wav_of(Audio(1.0, seed=name, samples=16000)))
        (folder / f"{name}.txt").write_text("some words")
    run, truths = measured(tmp_path, {"streamed": HEARD["streamed"]},
                           {"source": "recordings", "folder": str(folder), "count": 2}, "--gap", "5ms")
    assert {record.audio_in_s for record in run.records()} == {1.0} and truths
    assert {record.outcome for record in run.records()} <= {"ok", "censored"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    with emulator(tmp_path, "--profile", "instant") as server:
        yield server


def client_of(server: Server) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)


def test_openais_sdk_takes_the_emulators_transcripts(served: Server) -> None:
    sound = ("a.wav", noise.wav_of(Audio(4.0, seed="s", samples=64000)))
    made = client_of(served).audio.transcriptions
    whole = made.create(file=sound, model="gpt-4o-transcribe", language="en")
    assert len(whole.text.split()) == 12 and whole.usage is not None and whole.usage.type == "tokens"
    verbose = made.create(file=sound, model="whisper-1", response_format="verbose_json",
                          timestamp_granularities=["segment"])
    assert verbose.duration == 4.0 and verbose.segments and verbose.usage and verbose.usage.seconds == 4
    assert made.create(file=sound, model="whisper-1", response_format="text").strip() == whole.text
    events = list(made.create(file=sound, model="gpt-4o-transcribe", stream=True))
    assert [event.type for event in events] == ["transcript.text.delta"] * 12 + ["transcript.text.done"]
    assert events[-1].type == "transcript.text.done" and events[-1].text == whole.text
    english = client_of(served).audio.translations.create(file=sound, model="whisper-1")
    assert english.text == whole.text


def test_openais_sdk_takes_the_emulators_refusal_of_a_file_without_sound(served: Server) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="Invalid file"):
        client_of(served).audio.transcriptions.create(file=("a.wav", b"no sound"), model="m")


def test_openais_sdk_takes_the_emulators_speech(served: Server) -> None:
    text = "Thirty characters, two seconds"
    made = client_of(served).audio.speech
    with made.with_streaming_response.create(model="m", voice="alloy", input=text, response_format="wav") as answer:
        sound = b"".join(answer.iter_bytes())
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24000, 1, 2)
    assert len(sound) == 44 + round(17 * PIECE_S * 24000) * 2
    assert len(made.create(model="m", voice="alloy", input=text, response_format="pcm").content) == len(sound) - 44
    with made.with_streaming_response.create(model="m", voice="alloy", input=text, response_format="mp3",
                                             stream_format="sse") as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert len(lines) == 18 and "speech.audio.done" in lines[-1]
