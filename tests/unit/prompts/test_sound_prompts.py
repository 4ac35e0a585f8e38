"""Prompts of sound: made up by the seed, or recordings with their lengths and what is said in them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from fmload.audio import noise, wav
from fmload.base.errors import FmloadError
from fmload.config import parse
from fmload.model.audio import Audio
from fmload.model.prompt import Prompt
from fmload.prompts import prepare, read


def made(into: Path, **keys: Any) -> list[Prompt]:
    seed = keys.pop("seed", 0)
    values = {"name": "r", "endpoints": [{"name": "e", "protocol": "transcription", "url": "http://h"}],
              "prompts": [{"name": "s", **keys}], "load": {"concurrency": [1]}, "seed": seed}
    return read(prepare(parse(json.dumps(values), "x.yml", Path("/")), into)["s"])


def recording(path: Path, seconds: float = 2.0, rate: int = 16000) -> Path:
    path.write_bytes(noise.wav_of(Audio(seconds, seed="s", samples=round(seconds * rate), rate=rate)))
    return path


def tones(folder: Path, **keys: Any) -> list[Audio]:
    return [Audio.of(prompt.audio or {}) for prompt in made(folder, source="tones", count=40, **keys)]


def test_lengths_of_made_up_sound_are_drawn_and_no_bytes_are_kept(tmp_path: Path) -> None:
    found = tones(tmp_path, seconds={"mean": "5s", "stddev": "1s", "min": "2s", "max": "6s"})
    assert all(2 <= one.seconds <= 6 for one in found) and len({one.seconds for one in found}) > 30
    assert all(one.seconds == one.samples / 16000 and not one.speech for one in found)
    assert len({(one.begin, one.samples) for one in found}) == 40
    assert (tmp_path / "s.jsonl").stat().st_size < 40 * 300
    for one in found[:3]:
        played = wav.read(noise.wav_of(one))
        assert played is not None and played.seconds == one.seconds


def test_the_same_seed_makes_the_same_sound_and_another_another(tmp_path: Path) -> None:
    first = tones(tmp_path, seconds="3s", sample_rate=8000)
    assert first == tones(tmp_path, seconds="3s", sample_rate=8000)
    other = tones(tmp_path, seconds="3s", sample_rate=8000, seed=1)
    assert noise.wav_of(first[0]) != noise.wav_of(other[0])


@pytest.mark.parametrize(("seconds", "wrong"), [
    (5, "has no unit"), ("3h", "must be at most 7200"), ({"min": "1s"}, "needs"), ("0s", "must be above 0"),
    ({"mean": "3 parsecs"}, "not a duration"), ({"min": "3s", "max": "2s"}, "3s is above max, 2s"),
    ({"min": "1s", "max": "2s", "stddev": "1s"}, "goes with 'mean'")])
def test_a_length_that_cannot_be_is_refused_with_its_key(tmp_path: Path, seconds: Any, wrong: str) -> None:
    with pytest.raises(FmloadError, match=wrong) as error:
        tones(tmp_path, seconds=seconds)
    assert "seconds" in str(error.value)


def test_a_resolved_file_is_read_again(tmp_path: Path) -> None:
    keys = {"kind": "uniform", "min": "1s", "max": "4s", "stddev": "0s"}
    assert all(1 <= one.seconds <= 4 for one in tones(tmp_path, seconds=keys))


def test_a_folder_of_recordings_has_their_lengths_and_what_lies_beside_them(tmp_path: Path) -> None:
    recording(tmp_path / "b.wav", 1.5)
    recording(tmp_path / "a.wav", 2.0)
    (tmp_path / "a.txt").write_text("what is said\n")
    (tmp_path / "notes.md").write_text("no recording")
    first, second = made(tmp_path / "out", source="recordings", folder=str(tmp_path))
    assert [Audio.of(one.audio or {}).seconds for one in (first, second)] == [2.0, 1.5]
    assert (first.reference, second.reference) == ("what is said", None)
    assert Audio.of(first.audio or {}).speech and first.input_tokens is None


def manifest(folder: Path, *rows: Any) -> str:
    path = folder / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_a_manifest_states_what_a_file_does_not_tell(tmp_path: Path) -> None:
    recording(tmp_path / "a.wav")
    (tmp_path / "b.m4a").write_bytes(bytes(100))
    path = manifest(tmp_path, {"audio_filepath": "a.wav", "text": "x", "duration": 2.01},
                    {"audio_filepath": "b.m4a", "duration": 7.5, "language": "de"})
    first, second = made(tmp_path / "out", source="recordings", manifest=path)
    assert [Audio.of(one.audio or {}).seconds for one in (first, second)] == [2.0, 7.5]  # the header, before the word
    assert second.parameters == {"language": "de"}


@pytest.mark.parametrize(("rows", "wrong"), [
    ([{"audio_filepath": "a.wav", "duration": 20.0}], "line 1: plays 2 s, and 20 s are stated"),
    ([{"audio_filepath": "b.m4a"}], "does not tell how long it plays"),
    ([{"audio_filepath": "gone.wav"}], "No such file"), ([{"text": "x"}], "line 1: names no file"),
    ([{"audio_filepath": "a.wav", "duration": -1}], "duration: must be seconds"), ([], "no recording there")])
def test_a_manifest_that_is_wrong_is_refused_with_its_line(tmp_path: Path, rows: list[Any], wrong: str) -> None:
    recording(tmp_path / "a.wav")
    (tmp_path / "b.m4a").write_bytes(bytes(100))
    with pytest.raises(FmloadError, match=wrong):
        made(tmp_path / "out", source="recordings", manifest=manifest(tmp_path, *rows))


@pytest.mark.parametrize(("change", "wrong"), [
    (lambda data: data[:44], "0 of the 64000 bytes"), (lambda data: data[:1000], "of the 64000 bytes of sound"),
    (lambda data: data[:24] + struct.pack("<I", 0) + data[28:], "0 samples a second"),
    (lambda data: data[:40] + bytes(4), "no sound in it"), (lambda data: b"", "no sound in it")])
def test_a_recording_that_lies_of_its_length_or_has_none_is_refused(tmp_path: Path, change: Any, wrong: str) -> None:
    path = recording(tmp_path / "a.wav")
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(FmloadError, match=wrong) as error:
        made(tmp_path / "out", source="recordings", folder=str(tmp_path))
    assert "a.wav" in str(error.value)


def test_a_set_is_a_folder_or_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="one of the two"):
        made(tmp_path, source="recordings")
