"""The emulator's transcripts and speech: every form is read by the readers, odd ones as they should."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fmload.audio import noise, wav
from fmload.emulator import multipart, transcription
from fmload.emulator import speech as spoken_by
from fmload.emulator.dialect import Usage
from fmload.emulator.http import Request, Unfit
from fmload.emulator.profiles import PROFILES
from fmload.emulator.settings import Settings
from fmload.endpoints import speech_answer, transcript_answer
from fmload.endpoints.multipart import Multipart
from fmload.endpoints.speech_answer import Asked
from fmload.model.audio import Audio
from fmload.model.reading import ExpectedSpeech, ExpectedTranscript, Reading
from fmload.plugins import FORMS
from fmload.wire.exchange import Exchange
from fmload.worker.measure import outcome
from tests.odd_sound import OF_SOUND, OF_STREAMS, OF_WAV, OF_WHOLE

SECONDS = 4.0
SOUND = noise.wav_of(Audio(SECONDS, seed="s", samples=64000))
SETTINGS = Settings(PROFILES["instant"])
TEXT = "Sixty characters of a text are four seconds when it is read."


def asked(odd: str | None, **fields: Any) -> Any:
    form = Multipart()
    headers = {"content-type": form.content_type, **({"x-emulator-dialect": odd} if odd else {})}
    body = form.body({"model": "m", **fields}, "file", "a.wav", "audio/wav", SOUND)
    return transcription.PLANE.open(Request("POST", "/v1/audio/transcriptions", headers, body, 0), 0, SETTINGS)


def speaks(odd: str | None, **keys: Any) -> Any:
    body = orjson.dumps({"model": "m", "voice": "alloy", "input": TEXT, "response_format": "wav", **keys})
    headers = {"x-emulator-dialect": odd} if odd else {}
    return spoken_by.PLANE.open(Request("POST", "/v1/audio/speech", headers, body, 0), 0, SETTINGS)


def answered(opened: Any) -> Exchange:
    """All of its answer, streamed where it asks for that."""
    dialect, usage = opened.dialect, Usage(opened.ask.input_tokens or 9, opened.ask.max_tokens)
    texts = [" word"] * opened.ask.max_tokens
    if not opened.ask.stream:
        whole = dialect.whole("".join(texts), "", "stop", usage)
        return Exchange("a", status=200, body=whole.body, complete=True, headers={"content-type": whole.content_type})
    parts = [dialect.opening(usage), *(dialect.token(text, False, None, usage) for text in texts),
             dialect.closing("stop", usage), dialect.trailer()]
    return Exchange("a", status=200, body=b"".join(parts), complete=True,
                    headers={"content-type": dialect.content_type})


def transcript(odd: str | None = None, speech: bool = True, **fields: Any) -> tuple[Reading, str]:
    exchange = answered(asked(odd, **fields))
    reading = transcript_answer.read(exchange)
    failure = outcome(exchange, reading, ExpectedTranscript(SECONDS, speech))
    return reading, failure.outcome if failure else "ok"


def heard(odd: str | None = None, **keys: Any) -> tuple[Reading, str]:
    exchange = answered(speaks(odd, **keys))
    reading = speech_answer.read(exchange, Asked(keys.get("response_format", "wav")))
    failure = outcome(exchange, reading, ExpectedSpeech(len(TEXT)))
    return reading, failure.outcome if failure else "ok"


@pytest.mark.parametrize("form", ["json", "text", "srt", "vtt", "verbose_json"])
def test_every_form_of_a_transcript_is_read_to_its_words(form: str) -> None:
    reading, ended = transcript(response_format=form)
    assert (ended, reading.said("answer").split()) == ("ok", ["word"] * 12)


def test_a_streamed_transcript_is_read_to_its_words_and_counts() -> None:
    reading, ended = transcript(stream=True)
    assert (ended, reading.said("answer").split()) == ("ok", ["word"] * 12)
    assert (reading.input_tokens, reading.output_tokens) == (200, 12)


@pytest.mark.parametrize("keys", [{}, {"response_format": "pcm"}, {"response_format": "mp3"},
                                  {"stream_format": "sse"}, {"response_format": "pcm", "stream_format": "sse"}])
def test_every_form_of_speech_plays_as_long_as_the_text_takes(keys: dict[str, str]) -> None:
    reading, ended = heard(**keys)
    assert ended == "ok" and reading.speech is not None
    assert reading.speech.seconds == pytest.approx(34 * 0.12)  # of 4 s, in whole pieces


@pytest.mark.parametrize("odd", OF_STREAMS)
def test_every_odd_stream_of_a_transcript_is_read_as_it_should(odd: str) -> None:
    assert transcript(odd, speech=False, stream=True)[1] == FORMS.load(odd).outcome


@pytest.mark.parametrize("odd", OF_WHOLE)
def test_every_odd_whole_transcript_is_read_as_it_should(odd: str) -> None:
    assert transcript(odd, speech=False)[1] == FORMS.load(odd).outcome


def test_an_empty_transcript_of_speech_is_a_failure() -> None:
    assert transcript("empty-transcript")[1] == transcript("empty-transcript", stream=True)[1] == "empty"


@pytest.mark.parametrize("odd", OF_WAV)
def test_every_odd_form_of_speech_is_read_as_it_should(odd: str) -> None:
    reading, ended = heard(odd)
    assert ended == FORMS.load(odd).outcome
    if ended == "ok":
        assert reading.speech is not None and reading.speech.seconds == pytest.approx(34 * 0.12)


def test_all_odd_forms_of_sound_are_known() -> None:
    assert {name for name in FORMS.names() if FORMS.load(name).of in ("transcript", "speech")} == set(OF_SOUND)


@pytest.mark.parametrize("keys", [{"input": ""}, {"input": 5}, {"voice": None}, {"response_format": "midi"}])
def test_a_text_that_cannot_be_spoken_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        speaks(None, **keys)


@pytest.mark.parametrize(("content", "kind"), [
    (b"", "multipart/form-data; boundary=x"), (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
    (b"{}", "application/json"), (b"--x--\r\n", "multipart/form-data")])
def test_a_body_that_is_no_form_is_refused(content: bytes, kind: str) -> None:
    with pytest.raises(Unfit):
        multipart.read(Request("POST", "/v1/audio/transcriptions", {"content-type": kind}, content, 0))


@pytest.mark.parametrize("content", [b"", b"not sound", wav.header(0, 16000), SOUND[:30]])
def test_a_file_without_sound_is_refused(content: bytes) -> None:
    form = Multipart()
    body = form.body({"model": "m"}, "file", "a.wav", "audio/wav", content)
    with pytest.raises(Unfit, match="Invalid file"):
        transcription.PLANE.open(Request("POST", "/v1/audio/transcriptions",
                                         {"content-type": form.content_type}, body, 0), 0, SETTINGS)
