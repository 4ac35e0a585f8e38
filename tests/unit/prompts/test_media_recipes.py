"""`media` of a prompt set: how many, which, how large; within memory; and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from fmload.base.errors import FmloadError
from fmload.config.dumping import values
from fmload.config.schema import RunFile
from fmload.media import pictures
from fmload.model.prompt import Prompt
from fmload.prompts.media import attached, remarks

OPENAI = {"name": "e", "protocol": "openai", "url": "http://h", "model": "m"}


def run(media: Any, endpoint: dict[str, Any] | None = None, load: dict[str, Any] | None = None,
        **prompts: Any) -> RunFile:
    return RunFile.model_validate({
        "name": "r", "endpoints": [endpoint or OPENAI], "load": load or {"concurrency": [1]},
        "prompts": [{"name": "p", "source": "synthetic", "input_tokens": 9, "media": media, **prompts}]})


def made(media: Any, number: int = 6, seed: str = "7/p", **keys: Any) -> list[Prompt]:
    file = run(media, **keys)
    return attached([Prompt("", "p", text=f"t{place}") for place in range(number)], file.prompts[0], seed, file)


SMALL = {"width": {"min": 16, "max": 64}, "height": 32}


def test_every_prompt_has_its_own_by_the_seed() -> None:
    first, again, other = (made({"images": {"count": {"min": 1, "max": 3}, **SMALL}}, seed=seed)
                           for seed in ("1", "1", "2"))
    assert first == again != other
    recipes = [recipe for prompt in first for recipe in prompt.media]
    assert len({recipe["seed"] for recipe in recipes}) == len(recipes)
    assert {len(prompt.media) for prompt in first} <= {1, 2, 3}
    assert all(16 <= recipe["width"] <= 64 and recipe["height"] == 32 for recipe in recipes)


def test_memory_bounds_how_many_are_different_and_it_is_told() -> None:
    noise = {"images": {"width": 512, "height": 512, "format": "png", "content": "noise"}, "memory": "5MiB"}
    prompts = made(noise, 20)
    assert len({prompt.media[0]["seed"] for prompt in prompts}) == 4  # of 0.75 MiB each, a third more in base64
    (told,) = remarks(prompts)
    assert "20 images" in told
    assert "4 of them are different" in told
    shared = made(noise, 20, load={"concurrency": [4], "workers": 2})
    assert len({prompt.media[0]["seed"] for prompt in shared}) == 2  # each of two workers holds them


def test_no_more_are_made_than_are_asked_for() -> None:
    assert len({prompt.media[0]["seed"] for prompt in made({"images": SMALL, "distinct": 3}, 10)}) == 3
    assert "different" not in remarks(made({"images": SMALL}, 10))[0]
    assert remarks([Prompt("", "p", text="x")]) == []


def test_the_turns_of_a_conversation_have_the_same() -> None:
    file = run({"images": SMALL})
    turns = [Prompt("", "p", messages=[], conversation=name, turn=turn) for name in "ab" for turn in range(2)]
    first, second, third, _ = attached(turns, file.prompts[0], "7", file)
    assert first.media == second.media != third.media


def test_sound_and_video_stand_beside_images() -> None:
    prompts = made({"images": SMALL, "audio": {"seconds": "500ms"},
                    "video": {"seconds": "1s", "width": 33, "fps": 2}}, 2)
    kinds = [[recipe["kind"] for recipe in prompt.media] for prompt in prompts]
    assert kinds == [["image", "audio", "video"]] * 2
    video = prompts[0].media[2]
    assert (video["width"], video["seconds"]) == (34, 1.0)
    assert prompts[0].media[1]["audio"]["seconds"] == 0.5


def test_files_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(pictures.image(20, 10, "png", "noise", name))
    prompts = made({"images": {"files": [str(tmp_path / "*.png")], "count": 2}}, 3)
    assert {recipe["path"] for prompt in prompts for recipe in prompt.media} == {
        str(tmp_path / f"{name}.png") for name in "abc"}
    by_address = made({"images": {"files": [str(tmp_path / "*.png")], "url": "https://h/x/"}}, 1)[0].media[0]
    assert by_address["url"].startswith("https://h/x/")
    assert tuple(by_address["size"]) == (20, 10)


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(pictures.image(20, 10, "png", "noise", "a"))
    (tmp_path / "b.txt").write_text("hello")
    with pytest.raises(FmloadError, match="of no known format"):
        made({"images": {"files": [str(tmp_path / "b.txt")]}}, 1)
    with pytest.raises(FmloadError, match=r"image \(png\), where audio is wanted"):
        made({"audio": {"files": [str(tmp_path / "a.png")]}}, 1)


@pytest.mark.parametrize(("media", "keys", "words"), [
    ({}, {}, "says nothing"), ({"images": {"url": "https://h/"}}, {}, "needs files"),
    ({"images": {"files": ["a"], "width": 3}}, {}, "goes with what is made"),
    ({"images": {"width": 99999}}, {}, "16,384 are the most"), ({"images": {}, "memory": "1KiB"}, {}, "memory"),
    ({"images": {}}, {"batch": 3}, "one text a request"),
    ({"images": {}}, {"endpoint": {**OPENAI, "api": "completions"}}, "no place for images"),
    ({"audio": {}}, {"endpoint": {"name": "e", "protocol": "anthropic", "url": "http://h"}},
     "no place for audio in its requests \\(it has images\\)"),
    ({"video": {}}, {"endpoint": {"name": "e", "protocol": "ollama", "url": "http://h"}}, "no place for video"),
    ({"images": {}}, {"endpoint": {"name": "e", "protocol": "images", "url": "http://h"}}, "no place for images"),
    ({"images": {}}, {"endpoint": {"name": "e", "protocol": "tgi", "url": "http://h"}}, "no place for images"),
    ({"video": {}}, {"endpoint": {"name": "e", "protocol": "bedrock", "model": "anthropic.claude-3", "api": "invoke"}},
     "no place for video"),
    ({"images": {}}, {"endpoint": {"name": "e", "protocol": "sagemaker", "payload_format": "tgi"}},
     "no place for images"),
])
def test_what_cannot_be_sent_is_told_when_the_run_file_is_read(media: Any, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        run(media, **keys)


@pytest.mark.parametrize("endpoint", [
    OPENAI, {"name": "e", "protocol": "gemini", "url": "http://h", "model": "m"},
    {"name": "e", "protocol": "bedrock", "model": "amazon.nova-pro-v1:0"}, {"name": "e", "protocol": "sagemaker"}])
def test_what_can_be_sent_is_taken(endpoint: dict[str, Any]) -> None:
    assert run({"images": {}, "audio": {}, "video": {}}, endpoint).prompts[0].media is not None


def test_a_dumped_run_file_reads_again() -> None:
    file = run({"images": {"count": 2}, "memory": "64MiB"})
    again = RunFile.model_validate(values(file))
    assert again.prompts[0].media == file.prompts[0].media
