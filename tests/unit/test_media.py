"""Images, sound and video: what files say of themselves, those that are made, and the parts of messages they become."""

from __future__ import annotations

import base64
import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fmload.base.errors import FmloadError
from fmload.config.schema import EndpointSpec
from fmload.emulator.media import seen_in
from fmload.media import films, pictures
from fmload.media.gallery import Gallery, noticed
from fmload.media.headers import Header, header_of, is_cut
from fmload.model.audio import Audio
from fmload.model.prompt import Carried, Prompt
from fmload.worker.dispatcher import _check_media

A_PNG: dict[str, Any] = {"kind": "image", "format": "png", "content": "noise", "width": 40, "height": 20, "seed": "a"}
A_SOUND: dict[str, Any] = {"kind": "audio", "audio": Audio(0.25, seed="a", samples=4000).recipe()}


def by_pillow(format: str, **options: Any) -> bytes:
    into = io.BytesIO()
    Image.new("RGB", (37, 21), (10, 90, 200)).save(into, format, **options)
    return into.getvalue()


@pytest.mark.parametrize(("data", "format"), [
    (by_pillow("PNG"), "png"), (by_pillow("JPEG"), "jpeg"), (by_pillow("JPEG", progressive=True), "jpeg"),
    (by_pillow("JPEG", comment=b"x" * 5000), "jpeg"), (by_pillow("GIF"), "gif"), (by_pillow("WEBP"), "webp"),
    (by_pillow("WEBP", lossless=True), "webp"), (by_pillow("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"), "webp"),
])
def test_an_image_says_its_format_and_size(data: bytes, format: str) -> None:
    assert header_of(data) == Header("image", format, (37, 21))


def test_an_image_without_its_end_is_cut() -> None:
    for format in ("png", "jpeg"):
        data = pictures.image(64, 64, format, "noise", "a")  # type: ignore[arg-type]
        assert not is_cut(data, format)
        assert is_cut(data[:len(data) // 2], format)


BEGINNINGS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"GIF8", b"RIFF\0\0\0\0WAVE",
              b"\0\0\0\x10ftypmp42", b"ID3\4\0\0\0\0\0\0", b"\xff\xfb", b"fLaC", b"OggS", b"\x1aE\xdf\xa3"]


@given(st.binary(max_size=120), st.sampled_from(BEGINNINGS))
def test_whatever_bytes_follow_a_beginning_nothing_is_raised(rest: bytes, begin: bytes) -> None:
    header_of(begin + rest)


def test_a_size_of_nothing_is_no_size() -> None:
    data = by_pillow("PNG")
    found = header_of(data[:16] + struct.pack(">II", 0, 0) + data[24:])
    assert found == Header("image", "png", None)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("content", ["picture", "noise"])
def test_a_made_image_is_what_was_asked_for(format: Any, content: Any) -> None:
    data = pictures.image(70, 33, format, content, "seed")
    assert header_of(data) == Header("image", format, (70, 33))
    assert Image.open(io.BytesIO(data)).convert("RGB").size == (70, 33)
    assert pictures.image(70, 33, format, content, "seed") == data
    assert pictures.image(70, 33, format, content, "other") != data


def test_noise_is_as_large_as_its_pixels_and_a_picture_is_not() -> None:
    noise, picture = (len(pictures.image(256, 256, "png", content, "a")) for content in ("noise", "picture"))  # type: ignore[arg-type]
    assert noise > 3 * 256 * 256
    assert picture < 0.8 * noise


def test_a_png_has_the_pixels_that_it_was_made_of() -> None:
    made = pictures.pixels(33, 17, "picture", "a")
    assert (pictures.np.asarray(Image.open(io.BytesIO(pictures.png(made)))) == made).all()


def test_a_made_video_has_its_size_and_length() -> None:
    found = header_of(films.video(64, 31, 1.5, 4, "a"))
    assert found is not None
    assert (found.kind, found.format, found.size) == ("video", "mp4", (64, 32))
    assert found.seconds == pytest.approx(1.5, abs=0.3)


# -- prompts --


def dressed(*media: dict[str, Any], **keys: Any) -> Prompt:
    return Gallery().dressed(Prompt("p", "s", media=list(media), **(keys or {"text": "look"})))


def test_a_prompt_is_dressed_behind_its_text() -> None:
    found = dressed(A_PNG, A_SOUND)
    assert found.messages is not None
    text, image, sound = found.messages[0]["content"]
    assert text == {"type": "text", "text": "look"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert sound["input_audio"]["format"] == "wav"
    data = base64.b64decode(image["image_url"]["url"].partition(",")[2])
    size = len(data) + len(base64.b64decode(sound["input_audio"]["data"]))
    assert (found.carried, found.media) == (Carried(1, 800, 0.25, size), [])
    assert header_of(data) == Header("image", "png", (40, 20))


def test_the_first_question_of_a_chat_bears_the_media() -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "one"},
            {"role": "assistant", "content": "a"}, {"role": "user", "content": "two"}]
    found = dressed(A_PNG, messages=chat)
    assert found.messages is not None
    assert [isinstance(one["content"], list) for one in found.messages] == [False, True, False, False]
    assert chat[1] == {"role": "user", "content": "one"}  # what was there before is as it was


def test_one_recipe_is_made_once_and_its_text_is_held_once() -> None:
    gallery = Gallery()
    first, second = (gallery.dressed(Prompt(name, "s", text="x", media=[A_PNG])) for name in "ab")
    assert first.messages is not None and second.messages is not None
    assert first.messages[0]["content"][1] is second.messages[0]["content"][1]


def test_a_file_that_is_gone_is_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="No such file") as told:
        dressed({"kind": "image", "path": str(tmp_path / "gone.png"), "bytes": 1})
    assert "every worker" in (told.value.hint or "")
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(FmloadError, match="no image of a known format"):
        dressed({"kind": "image", "path": str(tmp_path / "text.png"), "bytes": 1})


def test_what_is_named_by_its_address_counts_no_bytes() -> None:
    found = dressed({"kind": "image", "url": "https://h/a.png", "format": "png", "size": [8, 4], "seconds": None})
    assert found.messages is not None
    assert found.messages[0]["content"][1] == {"type": "image_url", "image_url": {"url": "https://h/a.png"}}
    assert found.carried == Carried(1, 32, None, 0)


def test_images_that_a_prompt_came_with_are_noticed() -> None:
    own = dressed(A_PNG)
    own.carried = None
    assert noticed(own).carried == dressed(A_PNG).carried
    assert noticed(Prompt("p", "s", text="x")).carried is None
    by_address: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": "https://h/a.png"}]}]
    assert noticed(Prompt("p", "s", messages=by_address)).carried == Carried(1, None, None, 0)


@pytest.mark.parametrize("written", [lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
                                     lambda data: base64.encodebytes(data).decode()])
def test_an_image_that_a_prompt_came_with_counts_its_bytes_however_its_base64_is_written(
        written: Callable[[bytes], str]) -> None:
    data = by_pillow("PNG")
    url = f"data:image/png;base64,{written(data)}"
    own: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    assert noticed(Prompt("p", "s", messages=own)).carried == Carried(1, 37 * 21, None, len(data))


@pytest.mark.parametrize(("protocol", "media", "told"), [
    ("openai", [A_PNG, A_SOUND], ""), ("anthropic", [A_PNG], ""), ("anthropic", [A_PNG, A_SOUND], "no place for audio"),
    ("images", [A_PNG], "no place for images"), ("tgi", [A_PNG], "no place for images"),
])
def test_a_prompt_whose_media_would_be_left_out_is_refused_before_the_load(protocol: str, media: list[dict[str, Any]],
                                                                           told: str) -> None:
    spec = EndpointSpec.model_validate({"name": "e", "protocol": protocol, "url": "http://h"})
    if not told:
        _check_media(spec, dressed(*media))
        return
    with pytest.raises(FmloadError, match=told):
        _check_media(spec, dressed(*media))


def test_a_request_that_is_nested_without_end_is_looked_at_no_further() -> None:
    nested: Any = "x"
    for _ in range(900):
        nested = {"content": [nested]}
    assert seen_in([nested]).tokens == 0
