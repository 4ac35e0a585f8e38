"""Images, sound and video in requests of every protocol, and the tokens that they count: by what their headers say.

An image is one token for each 28 × 28 pixels (as Qwen2-VL counts them), sound 32 a second and video 258 a second (as
Gemini counts them). What is sent by its address counts as an image of 512 × 512, or as one second.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fmload.emulator.http import Unfit
from fmload.media.headers import Header, header_of

_TILE, _BY_ADDRESS = 28, (512, 512)
_PER_S = {"audio": 32, "video": 258}
_KINDS = ("image", "audio", "video")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a request holds beside its texts."""

    images: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    video_tokens: int = 0
    bytes: int = 0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.image_tokens + self.audio_tokens + self.video_tokens


def seen_in(messages: Any) -> Seen:
    """Of the messages of any protocol. Raises Unfit for what is no image, sound or video."""
    counts, images, size = dict.fromkeys(_KINDS, 0), 0, 0
    for kind, text in _found(messages):
        header, length = _header(kind, text)
        counts[kind] += _tokens(header)
        images += kind == "image"
        size += length
    return Seen(images, counts["image"], counts["audio"], counts["video"], size)


def _tokens(header: Header) -> int:
    if header.kind == "image":
        width, height = header.size or _BY_ADDRESS
        return math.ceil(width / _TILE) * math.ceil(height / _TILE)
    return math.ceil(_PER_S[header.kind] * (header.seconds or 1.0))


def _header(kind: str, text: str) -> tuple[Header, int]:
    """Its header, and how long the file is; of an address, one that says nothing."""
    if text.startswith(("http://", "https://", "gs://", "s3://")):
        return Header(kind, ""), 0  # type: ignore[arg-type]
    if text.startswith("data:"):
        text = text.partition(";base64,")[2]
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unfit(f"Invalid base64 of {kind} content: {error}") from error
    header = header_of(data)
    if header is None or header.kind != kind:
        raise Unfit(f"{kind} content of {len(data)} bytes could not be decoded")
    return header, len(data)


def _found(value: Any, depth: int = 8) -> Iterator[tuple[str, str]]:
    """(kind, data or address) of everything that is no text, in the form of whatever protocol; what lies deeper than
    any of them goes is not looked at."""
    if not depth:
        return
    if isinstance(value, list):
        for one in value:
            yield from _found(one, depth - 1)
    elif isinstance(value, Mapping):
        own = _of_part(value)
        if own is not None:
            yield own
            return
        yield from (("image", str(one)) for one in value.get("images") or () if isinstance(one, str))  # Ollama
        for name in ("content", "parts", "toolResult", "output"):
            yield from _found(value.get(name), depth - 1)


def _of_part(part: Mapping[str, Any]) -> tuple[str, str] | None:
    match part:
        case {"type": "image_url" | "video_url" as name}:
            return name.removesuffix("_url"), _address(part.get(name))
        case {"type": "input_image"}:
            return "image", _address(part.get("image_url"))
        case {"type": "input_audio", "input_audio": {"data": data}}:
            return "audio", str(data)
        case {"type": "image", "source": {"data": data}} | {"type": "image", "source": {"url": data}}:
            return "image", str(data)
        case {"inlineData": inside} | {"inline_data": inside} if isinstance(inside, Mapping):
            return _inline(inside)
    for kind in _KINDS:  # Converse, and Nova's own form
        inside = part.get(kind)
        if isinstance(inside, Mapping) and isinstance(source := inside.get("source"), Mapping) and "bytes" in source:
            return kind, str(source["bytes"])
    return None


def _inline(inside: Mapping[str, Any]) -> tuple[str, str] | None:
    """Google's: names in either way of writing, data in either alphabet of base64, as its own client mixes them."""
    kind = str(inside.get("mimeType") or inside.get("mime_type")).partition("/")[0]
    text = str(inside.get("data")).replace("-", "+").replace("_", "/")
    return (kind, text) if kind in _KINDS else None


def _address(value: Any) -> str:
    return str(value.get("url") if isinstance(value, Mapping) else value)


def details(seen: Seen) -> dict[str, int]:
    """The tokens by kind, as OpenAI's usage has them; none where a request is text alone."""
    told = {"image_tokens": seen.image_tokens, "audio_tokens": seen.audio_tokens, "video_tokens": seen.video_tokens}
    return {name: count for name, count in told.items() if count}
