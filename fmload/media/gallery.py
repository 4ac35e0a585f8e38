"""Images, sound and video that prompts have recipes of: each is made, or read, once before the load, and held as the
part of a message that is sent.

A recipe is a plain mapping, small enough to travel: `kind` (image, audio, video) with what it is made of, or the `path`
of a file, or the `url` that is sent in its place.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from fmload.audio import noise
from fmload.base.base64_text import decoded
from fmload.base.errors import FmloadError
from fmload.media import films, pictures
from fmload.media.headers import Header, header_of
from fmload.model.audio import Audio
from fmload.model.prompt import Carried, Prompt

Recipe = Mapping[str, Any]
Part = dict[str, Any]


class Held(NamedTuple):
    """One of them, ready to be sent: the part of a message in OpenAI's form, what it says of itself, and its bytes."""

    part: Part
    header: Header
    size: int


class Gallery:
    """What one process holds, by recipe."""

    def __init__(self) -> None:
        self._held: dict[bytes, Held] = {}

    def of(self, recipe: Recipe) -> Held:
        """It, made when it is first asked for. Raises FmloadError for a file that is gone, or has changed its kind."""
        key = orjson.dumps(recipe, option=orjson.OPT_SORT_KEYS)
        if key not in self._held:
            self._held[key] = _named(recipe) if "url" in recipe else _sent(recipe)
        return self._held[key]

    def dressed(self, prompt: Prompt) -> Prompt:
        """The prompt with its media in its first message of a user, behind the text, and what they come to."""
        if not prompt.media:
            return prompt
        held = [self.of(recipe) for recipe in prompt.media]
        messages = [dict(message) for message in prompt.as_messages()]
        place = next((place for place, one in enumerate(messages) if one.get("role") == "user"), None)
        if place is None:
            raise FmloadError(f"prompt '{prompt.id}' of set '{prompt.prompt_set}' has no message of a user, in which "
                              "its media could stand", hint="leave out media")
        content = messages[place].get("content") or ""
        parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
        messages[place]["content"] = [*parts, *(one.part for one in held)]
        return replace(prompt, messages=messages, media=[], carried=_together([(one.header, one.size) for one in held]))


def noticed(prompt: Prompt) -> Prompt:
    """A prompt whose messages hold images, sound or video of their own, with what they come to; others as they are."""
    found = [seen for message in prompt.messages or () for part in _parts(message) if (seen := _seen(part)) is not None]
    return replace(prompt, carried=_together(found)) if found and prompt.carried is None else prompt


def made(recipe: Recipe) -> bytes:
    """The file that a recipe is of. Raises FmloadError for one that cannot be had."""
    if "path" in recipe:
        try:
            return Path(recipe["path"]).read_bytes()
        except OSError as error:
            raise FmloadError(f"{recipe['path']}: {error.strerror}",
                              hint="files lie at the same path on the host of every worker") from error
    if recipe["kind"] == "image":
        return pictures.image(recipe["width"], recipe["height"], recipe["format"], recipe["content"], recipe["seed"])
    if recipe["kind"] == "audio":
        return noise.wav_of(Audio(**recipe["audio"]))
    return films.video(recipe["width"], recipe["height"], recipe["seconds"], recipe["fps"], recipe["seed"])


def _sent(recipe: Recipe) -> Held:
    data = made(recipe)
    header = header_of(data)
    if header is None or header.kind != recipe["kind"]:
        raise FmloadError(f"{recipe.get('path', 'what was made')}: no {recipe['kind']} of a known format",
                          hint="PNG, JPEG, GIF, WebP; WAV, MP3, FLAC, Ogg, M4A; MP4, MOV, WebM, MKV")
    text = base64.b64encode(data).decode()
    return Held(_part(header, text), header, len(data))


def _part(header: Header, text: str) -> Part:
    if header.kind == "audio":
        return {"type": "input_audio", "input_audio": {"data": text, "format": header.format}}
    url = {"url": f"data:{header.mime};base64,{text}"}
    return {"type": "image_url", "image_url": url} if header.kind == "image" else {"type": "video_url",
                                                                                  "video_url": url}


def _named(recipe: Recipe) -> Held:
    """What is sent by its address counts no bytes."""
    size = recipe.get("size")
    header = Header(recipe["kind"], recipe["format"], tuple(size) if size else None, recipe.get("seconds"))
    name = f"{recipe['kind']}_url"
    return Held({"type": name, name: {"url": recipe["url"]}}, header, 0)


def _together(found: Sequence[tuple[Header, int]]) -> Carried:
    """What they come to; pixels of images and seconds only where those of all are known."""
    images = [header.size for header, _ in found if header.kind == "image"]
    lasting = [header.seconds for header, _ in found if header.kind != "image"]
    known = [size for size in images if size is not None]
    seconds = [each for each in lasting if each is not None]
    return Carried(len(images), sum(width * height for width, height in known) if len(known) == len(images) else None,
                   sum(seconds) if seconds and len(seconds) == len(lasting) else None, sum(size for _, size in found))


# -- parts that a prompt came with --

_KINDS = {"image_url": "images", "input_audio": "audio", "video_url": "video"}


def kinds_in(prompt: Prompt) -> set[str]:
    """The kinds of media in a prompt's messages, as `media` of a run file names them."""
    return {kind for message in prompt.messages or () for part in _parts(message)
            if isinstance(part, Mapping) and (kind := _KINDS.get(str(part.get("type"))))}


def _parts(message: Mapping[str, Any]) -> Sequence[Any]:
    content = message.get("content")
    return content if isinstance(content, list) else ()


def _seen(part: Any) -> tuple[Header, int] | None:
    """What a part says of itself; None for one of text."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "input_audio" and isinstance(inside := part.get(kind), Mapping):
        return _of_text("audio", str(inside.get("data") or ""))
    if kind in ("image_url", "video_url"):
        inside = part.get(kind)
        url = inside.get("url") if isinstance(inside, Mapping) else inside
        head, _, text = str(url).partition(";base64,")
        return _of_text(kind.removesuffix("_url"), text if head.startswith("data:") else "")
    return None


def _of_text(kind: Any, text: str) -> tuple[Header, int]:
    try:
        data = decoded(text)
    except ValueError:
        data = b""
    return header_of(data) or Header(kind, ""), len(data)
