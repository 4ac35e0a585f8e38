"""Transcription and speech: what is sent, and what answers of servers say, play and hide."""

from __future__ import annotations

import base64
import email.parser
import struct
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.audio import wav
from fmload.base.errors import FmloadError
from fmload.endpoints import speech_answer, transcript_answer
from fmload.endpoints.multipart import Multipart
from fmload.endpoints.sounds import Sounds
from fmload.endpoints.speech_answer import Asked
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.model.reading import ExpectedSpeech, ExpectedTranscript, Reading
from fmload.model.record import Record
from fmload.wire.exchange import Exchange, ReadMark
from fmload.worker import sound
from fmload.worker.measure import outcome
from fmload.worker.wanted import mismatch
from tests.spoken import spoken

TONE = Audio(2.0, seed="s", samples=32000)
HEARD = ExpectedTranscript(10.0, speech=True)
MS = 1_000_000


def exchange(body: bytes, kind: str = "application/json", complete: bool = True) -> Exchange:
    return Exchange("a", status=200, send_ns=0, body=body, complete=complete, headers={"content-type": kind},
                    marks=[ReadMark(len(body), 5, 0, True)] if body else [])


def told(reading: Reading, wanted: Any, found: Exchange) -> str:
    failure = outcome(found, reading, wanted)
    return f"{failure.outcome}: {failure.message}" if failure else "ok"


def transcript(body: Any, kind: str = "application/json", wanted: Any = HEARD, complete: bool = True) -> str:
    found = exchange(body if isinstance(body, bytes) else orjson.dumps(body), kind, complete)
    reading = transcript_answer.read(found)
    ended = told(reading, wanted, found)
    return reading.said("answer").strip() if ended == "ok" else ended


def events(*messages: Any) -> bytes:
    return b"".join(b"data: " + (one if isinstance(one, bytes) else orjson.dumps(one)) + b"\n\n" for one in messages)


# -- requests --


def form_of(protocol: str, prompt: Prompt, **keys: Any) -> tuple[str, dict[str, list[bytes]], str]:
    endpoint: Any = spoken(protocol, **keys)
    request = endpoint.request(prompt, "r", endpoint.addresses()[0])
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    parts = email.parser.BytesParser().parsebytes(head + request.body).get_payload()
    fields: dict[str, list[bytes]] = {}
    for part in parts:
        name = str(part.get_param("name", header="content-disposition"))
        fields.setdefault(name, []).append(part.get_payload(decode=True))
    return request.target, fields, str(parts[-1].get_filename())


def test_a_transcription_is_a_form_with_the_sound_last() -> None:
    target, fields, filename = form_of(
        "transcription", Prompt("p", "s", text="", audio=TONE.recipe(), parameters={"language": "de"}),
        parameters={"temperature": 0, "timestamp_granularities": ["word", "segment"], "prompt": None,
                    "language": "en"})
    assert (target, filename) == ("/v1/audio/transcriptions", "audio.wav")
    assert list(fields)[-1] == "file" and wav.read(fields.pop("file")[0]).seconds == 2.0  # type: ignore[union-attr]
    assert fields == {"model": [b"m"], "temperature": [b"0"], "language": [b"de"], "stream": [b"true"],
                      "timestamp_granularities[]": [b"word", b"segment"]}


def test_a_translation_and_a_whole_answer_are_asked_for_as_such() -> None:
    target, fields, _ = form_of("transcription", Prompt("p", "s", text="", audio=TONE.recipe()), task="translate",
                                stream=False)
    assert target == "/v1/audio/translations" and "stream" not in fields


def test_what_would_end_a_part_of_a_form_is_escaped() -> None:
    form = Multipart()
    body = form.body({'a"\r\nX: y': "v\r\n--"}, "file", 'f"\r\n.wav', "audio/wav", b"--fmload\r\n\x00")
    assert b'name="a%22%0D%0AX: y"' in body and b'filename="f%22%0D%0A.wav"' in body
    assert body.count(form.content_type.partition("=")[2].encode()) == 3


def test_speech_is_asked_for_with_a_voice_as_wav_unless_told() -> None:
    endpoint: Any = spoken("speech", voice="ash", parameters={"speed": 1.5})
    request = endpoint.request(Prompt("p", "s", text="hello"), "r", endpoint.addresses()[0])
    assert request.target == "/v1/audio/speech"
    assert orjson.loads(request.body) == {"model": "m", "voice": "ash", "speed": 1.5, "response_format": "wav",
                                          "input": "hello"}


def test_prompts_of_another_kind_are_refused_before_the_load() -> None:
    hears: Any = spoken("transcription")
    with pytest.raises(FmloadError, match="needs sound"):
        hears.check(Prompt("p", "s", text="hello"))
    speaks: Any = spoken("speech")
    with pytest.raises(FmloadError, match="one text a request"):
        speaks.check(Prompt("p", "s", text="", audio=TONE.recipe()))


def test_recordings_are_held_once_and_no_more_than_there_is_room_for(tmp_path: Any) -> None:
    paths = [tmp_path / name for name in ("a.wav", "b.wav")]
    for path in paths:
        path.write_bytes(bytes(600))
    held = Sounds(most=1000)
    for _ in range(3):
        assert held.of(Audio(1.0, path=str(paths[0]))) == bytes(600)
    assert held.held_bytes == 600
    with pytest.raises(FmloadError, match="recordings in one worker"):
        held.ready(Audio(1.0, path=str(paths[1])))
    with pytest.raises(FmloadError, match="same path on the host"):
        held.ready(Audio(1.0, path=str(tmp_path / "gone.wav")))


def test_a_recording_that_is_another_than_when_the_prompts_were_made_is_refused(tmp_path: Any) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav.header(64000, 16000) + bytes(64000))
    Sounds().ready(Audio(2.0, path=str(path)))
    with pytest.raises(FmloadError, match="plays 2 s here, and 20 s where the prompts were made"):
        Sounds().ready(Audio(20.0, path=str(path)))
    path.write_bytes(wav.header(64000, 16000) + bytes(100))
    with pytest.raises(FmloadError, match="100 of the 64000 bytes"):
        Sounds().ready(Audio(2.0, path=str(path)))


# -- transcripts --


OPENAI = ({"type": "transcript.text.delta", "delta": "Hello"}, {"type": "transcript.text.delta", "delta": " there."},
          {"type": "transcript.text.done", "text": "Hello there.",
           "usage": {"type": "tokens", "input_tokens": 14, "output_tokens": 45, "total_tokens": 59}})
VLLM = ({"object": "transcription.chunk", "choices": [{"delta": {"content": "Hello"}, "finish_reason": None}]},
        {"object": "transcription.chunk", "choices": [{"delta": {"content": " there."}, "finish_reason": "stop"}]},
        {"object": "transcription.chunk", "choices": [],
         "usage": {"prompt_tokens": 4, "completion_tokens": 9, "total_tokens": 13}}, b"[DONE]")


MISTRAL = ({"type": "transcription.language", "audio_language": "en"},
           {"type": "transcription.text.delta", "text": "Hello"},
           {"type": "transcription.text.delta", "text": " there."},
           {"type": "transcription.done", "text": "Hello there.", "usage": {
               "prompt_audio_seconds": 10, "prompt_tokens": 14, "completion_tokens": 45, "total_tokens": 59}})


@pytest.mark.parametrize(("body", "tokens"), [
    (events(*OPENAI), 45), (events(*VLLM), 9), (events({"text": "Hello"}, {"text": " there."}), None),
    (events(b"Hello", b" there."), None),
    (events({"type": "transcript.text.segment", "text": "Hello there.", "start": 0, "end": 1},
            {"type": "transcript.text.done", "text": "Hello there."}), None),
    (events({"type": "transcript.text.done", "text": "Hello there."}), None),
    (events({"type": "transcript.text.delta", "delta": "Halo"}, OPENAI[2]), 45),  # corrected at the end
    (events(*MISTRAL), 45),
    (b"data: WEBVTT\n\n00:00.000 --> 00:01.000\nHello there.\n\n", None),
    (b"data: 1\ndata: 00:00:00,000 --> 00:00:01,000\ndata: Hello there.\n\n", None),
    (events({"type": "something.new", "x": 1}, *OPENAI), 45)])
def test_streams_of_every_server_are_read(body: bytes, tokens: int | None) -> None:
    found = exchange(body, "text/event-stream")
    reading = transcript_answer.read(found)
    assert (told(reading, HEARD, found), reading.said("answer")) == ("ok", "Hello there.")
    assert (reading.output_tokens, reading.tokens_source) == (tokens, "server" if tokens else None)
    assert reading.transcript is not None and reading.transcript.characters == 12


@pytest.mark.parametrize(("body", "kind", "text"), [
    ({"text": " Hello there."}, "application/json", "Hello there."),
    ({"text": ["Hello there."]}, "application/json", "Hello there."),  # JumpStart
    ([{"text": "Hello there."}], "application/json", "Hello there."),
    ({"text": "Hello there.", "duration": "10.02", "segments": []}, "application/json", "Hello there."),
    (b"Hello there.\n", "text/plain; charset=utf-8", "Hello there."),
    (b'{"text": "Hello there."}', "text/plain", "Hello there."),  # JSON where a text was asked for
    (b"[laughs] Hello there.", "text/plain", "[laughs] Hello there."),
    (b"Hello there.", "", "Hello there."),
    (b"data: Hello there.", "text/plain", "data: Hello there."),
    (b"1\n00:00:00,000 --> 00:00:09,000\nHello there.\n\n", "text/plain", "Hello there."),
    (b" Hello there.\n", "text/html; charset=utf-8", "Hello there."),  # whisper.cpp calls its texts so
    (b"[BLANK_AUDIO]\n", "text/html; charset=utf-8", "[BLANK_AUDIO]"), (b"[Music]", "", "[Music]"),
    (b"42\n", "text/plain", "42"),  # a number that was said is no number of a cue
    (b"WEBVTT\n\n00:00.000 --> 00:09.000\nHello there.\n", "text/vtt", "Hello there.")])
def test_whole_answers_of_every_form_are_read(body: Any, kind: str, text: str) -> None:
    assert transcript(body, kind) == text


@pytest.mark.parametrize(("body", "kind", "wrong"), [
    ({"error": {"message": "no model"}}, "application/json", "stream_error: no model"),
    ({"detail": "busy"}, "application/json", "stream_error: busy"),
    ({"words": []}, "application/json", "decode: the response holds no `text`"),
    (b"<html>Sign in</html>", "text/html", "decode: a page of HTML"),
    (b"<!doctype html><p>", "", "decode: a page of HTML"), (b"\xff\xfe", "text/plain", "decode"),
    (b'{"text": "Hel', "application/json", "decode"), (b"null", "application/json", "decode"),
    (b"", "application/json", "decode"), ({"text": {"a": 1}}, "application/json", "decode"),
    ({"text": ""}, "application/json", "empty: the transcript is empty"),
    ({"text": "  \n"}, "application/json", "empty"), (b"", "text/plain", "empty"),
    ({"text": "Hello", "usage": {"type": "duration", "seconds": 3}}, "application/json",
     "decode: the server heard 3 s of sound; 10 s were sent"),
    ({"text": "Hello", "duration": 4.0}, "application/json", "decode: the server heard 4 s"),
    (events(VLLM[0], {"choices": [{"delta": {"content": ""}, "finish_reason": "abort"}]}, b"[DONE]"),
     "text/event-stream", "stream_error: the server broke the answer off: abort"),
    (events({**MISTRAL[3], "usage": {"prompt_audio_seconds": 3}}), "text/event-stream", "decode: the server heard 3 s"),
    (events(*MISTRAL[:3]), "text/event-stream", "truncated"), (b"data: {not\n\n", "text/event-stream", "decode"),
    (events(*OPENAI[:2]), "text/event-stream", "truncated"), (events(*VLLM[:1]), "text/event-stream", "truncated"),
    (events(OPENAI[0], {"error": {"message": "out of memory"}}), "text/event-stream", "stream_error: out of memory"),
    (b"event: error\ndata: {\"message\": \"gone\"}\n\n", "text/event-stream", "stream_error: gone"),
    (events({"type": "transcript.text.delta", "delta": 5}), "text/event-stream", "decode"),
    (b"", "text/event-stream", "empty"), (b": ping\n\n", "text/event-stream", "empty")])
def test_what_is_no_transcript_of_the_sound_is_a_failure(body: Any, kind: str, wrong: str) -> None:
    assert transcript(body, kind).startswith(wrong)


def test_a_stream_of_subtitles_has_the_text_that_they_have_in_one_piece() -> None:
    cues = (b"1\n00:00:00,000 --> 00:00:01,000\nHello\n\n\n\n", b"2\n00:00:01,000 --> 00:00:02,000\n there.\n\n\n\n")
    streamed = b"".join(b"data: " + cue for cue in cues)  # speaches: before the first line of a cue alone
    assert transcript(streamed, "text/event-stream") == "Hello\nthere."
    assert transcript(b"".join(cues), "application/x-subrip") == "Hello\n there."
    failed = streamed + events({"error": {"message": "gone"}})
    assert transcript(failed, "text/event-stream") == "stream_error: gone"


@pytest.mark.parametrize("text", ["[Music] Hello", '"No," he said.', "[1] one", '["a"]', "42"])
def test_a_text_in_a_stream_may_begin_like_json(text: str) -> None:
    assert transcript(events(text.encode()), "text/event-stream") == text


def test_an_empty_transcript_is_right_of_sound_without_speech() -> None:
    assert transcript({"text": ""}, wanted=ExpectedTranscript(10.0, speech=False)) == ""


def test_a_transcript_that_the_connection_cut_is_truncated() -> None:
    assert transcript(b'{"text": "Hello', complete=False).startswith("truncated")
    assert transcript(events(*VLLM), "text/event-stream", complete=False).startswith("truncated")


def test_rounded_seconds_are_no_less_heard() -> None:
    assert transcript({"text": "Hi", "usage": {"type": "duration", "seconds": 10}}) == "Hi"
    assert mismatch(Reading(transcript=transcript_answer.read(exchange(
        orjson.dumps({"text": "a", "duration": 1}))).transcript), ExpectedTranscript(1.9, True)) is None
    assert transcript({"text": "Hi", "duration": 9.05}) == "Hi"
    assert transcript({"text": "Hi", "duration": 8.7}).startswith("decode")


def test_the_first_text_is_where_it_came_and_a_whole_answer_has_none() -> None:
    body = events(*OPENAI)
    first = len(events(OPENAI[0]))
    marks = [ReadMark(first, 100, 0, True), ReadMark(len(events(*OPENAI[:2])), 200, 0, True),
             ReadMark(len(body), 300, 0, True)]
    found = exchange(body, "text/event-stream")
    found.marks = marks
    record = Record("r", "w", 0, "e", "s", "p", 0, send_ns=0, audio_in_s=10.0)
    sound.note(record, transcript_answer.read(found), found)
    assert (record.first_output_ns, record.last_token_ns, record.first_token_ns) == (100, 200, None)
    assert (record.characters, len(record.chunk_ns)) == (12, 0)
    whole = Record("r", "w", 0, "e", "s", "p", 0, send_ns=0, audio_in_s=10.0)
    answer = exchange(b'{"text": "Hello there."}')
    sound.note(whole, transcript_answer.read(answer), answer)
    assert (whole.first_output_ns, whole.last_token_ns) == (None, 5)


@given(st.binary(max_size=200), st.sampled_from(["application/json", "text/event-stream", "text/plain", ""]))
def test_reading_sound_and_transcripts_never_raises(data: bytes, kind: str) -> None:
    for begin in (b"", b"data: ", b'{"text":', b"RIFF\x00\x00\x00\x00WAVE", b'data: {"type": "speech.audio.delta",'):
        transcript_answer.read(exchange(begin + data, kind))
        transcript_answer.has_text(begin + data)
        for form in ("wav", "pcm", "mp3", "opus"):
            speech_answer.read(exchange(begin + data, kind), Asked(form))
            speech_answer.has_sound(begin + data, Asked(form))


# -- speech --


PCM = bytes(range(1, 201)) * 240  # 48,000 bytes: a second at 24 kHz
WAV = wav.header(len(PCM), 24000) + PCM


def speech(body: bytes, kind: str, form: str, complete: bool = True) -> tuple[Reading, str]:
    found = exchange(body, kind, complete)
    reading = speech_answer.read(found, Asked(form))
    return reading, told(reading, ExpectedSpeech(20), found)


def deltas(*parts: bytes, done: bool = True) -> bytes:
    each = [{"type": "speech.audio.delta", "audio": base64.b64encode(part).decode()} for part in parts]
    last = {"type": "speech.audio.done", "usage": {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}}
    return events(*each, *([last] if done else []))


@pytest.mark.parametrize(("body", "kind", "form"), [
    (PCM, "audio/pcm", "pcm"), (PCM, "application/octet-stream", "pcm"), (PCM, "", "pcm"),
    (WAV, "audio/wav", "wav"), (WAV, "application/octet-stream", "wav"), (WAV, "audio/pcm", "pcm"),
    (wav.header(0xFFFFFFFF, 24000) + PCM, "audio/wav", "wav"), (WAV, "audio/mpeg", "mp3"),
    (deltas(PCM[:101], PCM[101:]), "text/event-stream", "pcm"), (deltas(WAV), "", "wav"),
    (deltas(WAV[:20], WAV[20:]), "text/event-stream", "wav"),
    (orjson.dumps({"audio": base64.b64encode(WAV).decode()}), "application/json", "wav")])
def test_sound_of_every_form_is_a_second(body: bytes, kind: str, form: str) -> None:
    reading, ended = speech(body, kind, form)
    assert ended == "ok" and reading.speech is not None and reading.speech.seconds == 1.0


@pytest.mark.parametrize(("body", "kind", "form", "wrong"), [
    (b'{"error": {"message": "no such voice"}}', "application/json", "wav", "stream_error: an error where sound"),
    (b'{"error": {"message": "no such voice"}}', "audio/pcm", "pcm", "stream_error"),
    (b'{"detail": "busy"}', "", "pcm", "stream_error"), (b"<html>", "text/html", "pcm", "decode: text/html where"),
    (b"<!DOCTYPE html>", "", "mp3", "decode"), (b"", "audio/wav", "wav", "empty"), (b"", "audio/pcm", "pcm", "empty"),
    (WAV[:44], "audio/wav", "wav", "truncated"), (wav.header(0, 24000), "audio/wav", "wav", "empty"),
    (WAV[:-100], "audio/wav", "wav", "truncated: the sound ended early"),
    (PCM, "audio/wav", "wav", "decode: no sound of a known form"),
    (WAV[:24] + struct.pack("<I", 5) + WAV[28:], "audio/wav", "wav", "decode"),
    (WAV[:44] + PCM + b'{"error": "CUDA out of memory"}', "audio/wav", "wav", "stream_error: an error inside"),
    (deltas(PCM, done=False), "text/event-stream", "pcm", "truncated: the response ended without"),
    (events({"type": "speech.audio.delta", "audio": "?!"}), "text/event-stream", "pcm", "decode"),
    (events({"type": "error", "error": {"message": "busy"}}), "text/event-stream", "pcm", "stream_error: busy"),
    (b'{"audio": "not base64!"}', "application/json", "wav", "decode: the sound in the response is no base64"),
    (deltas(), "text/event-stream", "wav", "empty"), (b"\x00", "audio/pcm", "pcm", "empty")])
def test_what_is_no_sound_is_a_failure(body: bytes, kind: str, form: str, wrong: str) -> None:
    assert speech(body, kind, form)[1].startswith(wrong)


def test_a_body_that_the_connection_cut_is_truncated_and_keeps_what_came() -> None:
    reading, ended = speech(WAV[:24044], "audio/wav", "wav", complete=False)
    assert ended.startswith("truncated") and reading.speech is not None and reading.speech.seconds == 0.5


def test_a_form_that_was_not_asked_for_is_told_and_bytes_that_do_not_play_are() -> None:
    assert speech(WAV, "audio/wav", "mp3")[0].remark == "mp3 was asked for, and wav came"
    extra = speech(wav.header(24000, 24000) + PCM, "audio/wav", "wav")[0]
    assert extra.speech is not None and extra.speech.seconds == 0.5
    assert extra.remark is not None and extra.remark.startswith("24000 bytes after the end")


def test_pcm_may_begin_with_any_sample() -> None:
    for begin in (b"\xff\xfb", b"\xff\xf1", b"{\x00", b"<\x00"):
        reading, ended = speech(begin + PCM, "audio/pcm", "pcm")
        assert ended == "ok" and reading.speech is not None
        assert (reading.detail["form"], reading.speech.first_end) == ("pcm", 2)


def recorded(body: bytes, kind: str, form: str, reads: list[tuple[int, float]]) -> Record:
    found = exchange(body, kind)
    found.marks = [ReadMark(end, round(ms * MS), 0, True) for end, ms in reads]
    record = Record("r", "w", 0, "e", "s", "p", 0, send_ns=0, characters=20)
    sound.note(record, speech_answer.read(found, Asked(form)), found)
    return record


def test_the_first_audio_is_sound_and_not_the_header_that_came_before() -> None:
    record = recorded(WAV, "audio/wav", "wav", [(44, 50), (44 + 24000, 400), (len(WAV), 700)])
    assert (record.first_output_ns, record.last_token_ns, record.first_token_ns) == (400 * MS, 700 * MS, None)
    assert (record.audio_out_s, record.stalls, record.stalled_ns) == (1.0, 0, 0)


def test_playback_that_runs_dry_is_counted_with_the_time_that_it_stood_still() -> None:
    record = recorded(WAV, "audio/wav", "wav", [(44 + 12000, 100), (44 + 24000, 400), (len(WAV), 600)])
    assert (record.stalls, record.stalled_ns) == (1, 50 * MS)  # 250 ms of sound came at 100 ms, more at 400


def test_events_with_sound_are_timed_by_the_event() -> None:
    body = deltas(PCM[:24000], PCM[24000:])
    first = len(deltas(PCM[:24000], done=False))
    record = recorded(body, "text/event-stream", "pcm", [(first, 100), (len(body), 700)])
    assert (record.first_output_ns, record.stalls, record.stalled_ns) == (100 * MS, 1, 100 * MS)


def test_a_form_that_does_not_tell_has_neither_seconds_nor_stalls() -> None:
    record = recorded(b"fLaC" + bytes(100), "audio/flac", "flac", [(50, 10), (104, 20)])
    assert (record.audio_out_s, record.stalls, record.first_output_ns) == (None, None, 10 * MS)


def test_a_header_alone_carries_no_first_token() -> None:
    assert not speech_answer.has_sound(WAV[:45], Asked("wav")) and speech_answer.has_sound(WAV[:46], Asked("wav"))
    assert not speech_answer.has_sound(b'{"error": 1}', Asked("pcm"))
    assert not transcript_answer.has_text(b": ping\n\n") and transcript_answer.has_text(events(OPENAI[0]))


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcm;rate=16000", "application/octet-stream", ""])
def test_words_are_no_sound_whatever_their_type_says(kind: str) -> None:
    exchange = Exchange("", status=200, headers={"content-type": kind}, body=b"Internal error: out of memory",
                        complete=True)
    reading = speech_answer.read(exchange, Asked("pcm"))
    assert reading.speech is None and reading.failure is not None
    assert (reading.failure.outcome, reading.failure.message) == (
        "decode", "a text where sound should be: Internal error: out of memory")
    loud = replace(exchange, body=b"Internal" + bytes(range(256)))
    assert speech_answer.read(loud, Asked("pcm")).failure is None
