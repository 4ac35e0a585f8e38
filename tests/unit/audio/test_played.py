"""How long bytes of sound play: WAV against the standard library's own, MP3, AAC, Ogg, and headers that lie."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmload.audio import framed, lengths, noise, wav
from fmload.audio.played import NotSound, Short, pcm
from fmload.model.audio import Audio


def written(channels: int = 1, width: int = 2, rate: int = 16000, frames: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((channels, width, rate, 0, "NONE", ""))
        out.writeframes(bytes(frames * channels * width))
    return file.getvalue()


def seconds(data: bytes) -> float | None:
    found = wav.read(data)
    return found.seconds if found else None


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("rate", [8000, 44100])
def test_any_wav_plays_its_frames_by_its_rate(channels: int, width: int, rate: int) -> None:
    found = wav.read(written(channels, width, rate, 4410))
    assert found is not None and found.seconds == 4410 / rate
    assert found.first == 44 + channels * width and found.last == 44 + 4410 * channels * width
    assert found.seconds_at is not None
    assert [found.seconds_at(44), found.seconds_at(43 + channels * width), found.seconds_at(found.first)] == [
        0, 0, 1 / rate]


@pytest.mark.parametrize("length", [0, 0xFFFF_FFFF, 0xFFFF_FFFF - 36, 0x7FFF_FFFF, 0x7FFF_0000])
def test_a_length_that_was_not_known_is_that_of_the_file(length: int) -> None:
    whole = written()
    assert seconds(whole[:40] + struct.pack("<I", length) + whole[44:]) == 0.5


def test_a_header_that_promises_more_than_came_is_told() -> None:
    with pytest.raises(Short, match="8000 of the 16000 bytes"):
        wav.read(written()[:44 + 8000])
    found = wav.read(written()[:44 + 8000], whole=False)
    assert found is not None and found.seconds == 0.25


def test_several_wavs_one_after_another_play_on() -> None:
    found = wav.read(written() + written(rate=8000))
    assert found is not None and found.seconds == 1.5
    assert found.seconds_at is not None and found.seconds_at(16044 + 44 + 8000) == 1.0  # the second header is no sound


def test_time_grows_with_the_size_of_many_wavs_and_no_faster() -> None:
    many = wav.read((wav.header(20, 8000) + bytes(20)) * 20_000)
    assert many is not None and many.seconds == pytest.approx(20_000 * 10 / 8000) and many.seconds_at is not None
    assert [many.seconds_at(64 * place) for place in range(20_000)] == sorted(
        many.seconds_at(64 * place) for place in range(20_000))  # would take minutes if each asked all before it


def test_tags_after_the_sound_do_not_play_and_other_bytes_are_told() -> None:
    tags = b"LIST" + struct.pack("<I", 4) + b"INFO"
    found = wav.read(written() + tags)
    assert found is not None and (found.seconds, found.unplayed) == (0.5, 0)
    found = wav.read(written() + b"\x01\x02" * 500)
    assert found is not None and (found.seconds, found.unplayed) == (0.5, 1000)


def test_a_wav_without_a_sample_plays_nothing() -> None:
    assert wav.read(written(frames=0)) is None
    assert wav.read(written()[:44][:40] + b"\xff\xff\xff\xff") is None


@pytest.mark.parametrize(("at", "value"), [(22, 0), (24, 0), (32, 7), (34, 12), (22, 5000)])
def test_a_header_that_contradicts_itself_is_none(at: int, value: int) -> None:
    broken = bytearray(written())
    struct.pack_into("<H", broken, at, value)
    with pytest.raises(NotSound):
        wav.read(bytes(broken))


def test_compressed_sound_in_a_wav_does_not_tell_its_length() -> None:
    packed = bytearray(written())
    struct.pack_into("<H", packed, 20, 0x11)  # ADPCM
    found = wav.read(bytes(packed))
    assert found is not None and found.seconds is None


def mp3(frames: int) -> bytes:
    return (b"\xff\xf3\x84\xc0" + bytes(188)) * frames


def test_frames_of_mp3_are_added_up_and_tags_are_not() -> None:
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x00" + bytes(128)
    info = b"\xff\xf3\x84\xc0" + bytes(9) + b"Info" + bytes(175)
    found = framed.read_mp3(tag + info + mp3(10) + b"TAG" + bytes(125))
    assert found is not None and found.seconds == pytest.approx(0.24)
    assert found.first == len(tag) + 192 + 192
    assert found.seconds_at is not None and found.seconds_at(found.first - 1) == 0


def test_an_mp3_that_ends_inside_a_frame_plays_the_whole_ones() -> None:
    found = framed.read_mp3(mp3(10) + mp3(1)[:100])
    assert found is not None and found.seconds == pytest.approx(0.24)


def test_what_is_hardly_frames_does_not_tell_its_length() -> None:
    found = framed.read_mp3(bytes(range(256)) * 40)
    assert found is not None and found.seconds is None and found.seconds_at is None


def test_frames_of_aac_are_added_up() -> None:
    frame = bytes([0xFF, 0xF1, 6 << 2, 0x40, 100 >> 3, (100 & 7) << 5, 0]) + bytes(93)
    found = framed.read_adts(frame * 5)
    assert found is not None and found.seconds == pytest.approx(5 * 1024 / 24000)


def page(granule: int, body: bytes) -> bytes:
    return b"OggS" + bytes(2) + struct.pack("<q", granule) + bytes(12) + bytes([1, len(body)]) + body


def test_pages_of_ogg_tell_how_long_they_play() -> None:
    head = page(0, b"OpusHead\x01\x01" + struct.pack("<H", 312) + bytes(7)) + page(0, b"OpusTags")
    found = framed.read_ogg(head + page(48312, bytes(100)) + page(96312, bytes(100)))
    assert found is not None and found.seconds == 2.0 and found.first == len(head) + 28 + 100
    assert found.seconds_at is not None and found.seconds_at(found.first) == 1.0


def test_pcm_is_by_the_rate_that_is_known() -> None:
    found = pcm(48001, 24000, 1)
    assert found is not None and (found.seconds, found.first, found.last) == (1.0, 2, 48000)
    assert pcm(1, 24000, 1) is None


@given(st.binary(max_size=300), st.integers(0, 60))
def test_nothing_but_not_sound_is_raised_whatever_the_bytes_are(data: bytes, cut: int) -> None:
    for begin in (b"", written()[:cut], b"OggS", b"ID3", b"\xff\xfb\x90\x00", b"\xff\xf1P\x80", b"fLaC" + bytes(40)):
        try:
            lengths.read(begin + data)
            framed.read_mp3(begin + data)
            framed.read_adts(begin + data)
            framed.read_ogg(begin + data)
            wav.read(begin + data, whole=False)
        except NotSound:
            pass


def test_made_up_sound_is_a_wav_of_exactly_so_many_samples_and_the_same_again() -> None:
    asked = Audio(3.5, seed="s", begin=100, samples=56000)
    made = noise.wav_of(asked)
    with wave.open(io.BytesIO(made)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (
            1, 2, 16000, 56000)
    assert noise.wav_of(asked) == made
    assert noise.wav_of(Audio(3.5, seed="s", begin=101, samples=56000)) != made


def test_made_up_sound_longer_than_the_store_goes_round() -> None:
    samples = (noise.STORE_S + 7) * 16000
    made = noise.wav_of(Audio(samples / 16000, seed="s", begin=noise.STORE_S * 16000 - 10, samples=samples))
    assert seconds(made) == noise.STORE_S + 7
