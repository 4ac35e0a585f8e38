"""Images made of text, as OpenAI and Bedrock's models answer: in one piece, or streamed with partial images.

An image takes `--image-steps` steps of the engine, whose "tokens" they are; those of one request are made one after the
other. The tokens that are told of an image are one for each 32 × 32 pixels, as its width and height say.
"""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import orjson

from fmload.emulator import openai
from fmload.emulator.dialect import Ask, Usage, Whole
from fmload.emulator.forms import odd_of
from fmload.emulator.http import Request, Unfit
from fmload.emulator.plane import Opened, Plane, key_in
from fmload.emulator.settings import Settings
from fmload.media import pictures

_PATHS = re.compile(r"(?:/openai)?/v1/images/generations$|/openai/deployments/([^/]+)/images/generations$")
_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})").fullmatch
_DEFAULT_SIZE = (1024, 1024)
_MOST_PIXELS = 4096 * 4096
_LEAST_PIXELS, _MOST_IMAGES = 16, 10
_TILE = 32  # pixels of a token's side
_FORMATS = ("png", "jpeg", "webp")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about. `write` makes the whole answer of the images in base64."""

    text: str
    number: int
    size: tuple[int, int]
    write: Callable[[Asked, Mapping[str, Any], list[str], Usage], Whole]
    partial: int = 0
    format: str = "png"

    @property
    def tokens(self) -> int:
        """What is told of one image."""
        return math.ceil(self.size[0] / _TILE) * math.ceil(self.size[1] / _TILE)


@lru_cache(64)
def _made(size: tuple[int, int], format: Any, number: int) -> str:
    """One of a few images of a size, in base64."""
    return base64.b64encode(pictures.image(*size, format, "picture", f"emulated {number}")).decode()


class Painted:
    """Writes one answer: whole, or the events of a stream, which only some steps have."""

    content_type = "text/event-stream; charset=utf-8"
    headers: Mapping[str, str] = {}
    finish_with_last, usage_each = False, True

    def __init__(self, asked: Asked, body: Mapping[str, Any], steps: int, number: int) -> None:
        self._asked, self._body, self._steps, self._number = asked, body, steps, number
        self._done = 0
        self._shown = [max(1, round(steps * (place + 1) / (asked.partial + 1))) for place in range(asked.partial)]

    def opening(self, usage: Usage) -> bytes:
        return b""

    def token(self, text: str, reasoning: bool, finish: str | None, usage: Usage | None) -> bytes:
        told = b""
        for _ in range(max(1, text.count(" "))):
            self._done += 1
            image, step = divmod(self._done - 1, self._steps)
            for place, shown in enumerate(self._shown):
                if step + 1 == shown and shown < self._steps:
                    told += self._event("partial_image", image, partial_image_index=place)
            if step + 1 == self._steps:
                told += self._event("completed", image, usage=_usage_json(self._asked, 1, usage))
        return told

    def closing(self, finish: str | None, usage: Usage) -> bytes:
        return b""

    def trailer(self) -> bytes:
        return b""

    def error(self, aws: str | None, message: str, how: str) -> bytes:
        error = {"type": aws or "image_generation_server_error", "code": aws or "server_error", "message": message}
        return b"event: error\ndata: " + orjson.dumps({"type": "error", "error": error}) + b"\n\n"

    def whole(self, text: str, reasoning: str, finish: str, usage: Usage) -> Whole:
        asked = self._asked
        images = [_made(asked.size, asked.format, self._number + place & 3) for place in range(asked.number)]
        return asked.write(asked, self._body, images, usage)

    def _event(self, kind: str, image: int, **more: Any) -> bytes:
        asked, name = self._asked, f"image_generation.{kind}"
        event = {"type": name, "b64_json": _made(asked.size, asked.format, self._number + image & 3),
                 "created_at": int(time.time()), "size": f"{asked.size[0]}x{asked.size[1]}", "quality": "medium",
                 "background": "opaque", "output_format": asked.format, **more}
        return f"event: {name}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"


def opened(asked: Asked, body: Mapping[str, Any], request: Request, number: int, settings: Settings,
           stream: bool = False) -> Opened:
    """The request of any plane."""
    steps = settings.image_steps
    ask = Ask([asked.text], model=str(body.get("model") or ""), stream=stream, max_tokens=steps * asked.number,
              ignore_eos=True, images=asked.number)
    return Opened(ask, odd_of(request, settings, Painted(asked, body, steps, number)))


# -- OpenAI --


def _open(request: Request, number: int, settings: Settings) -> Opened:
    if request.path.startswith("/openai/"):
        openai.require_credentials(request)
    body = openai.parse_json(request.body)
    found = _PATHS.match(request.path)
    model = found[1] if found and found[1] else str(body.get("model") or "")
    openai.require_model(model, settings)
    stream, partial = bool(body.get("stream")), body.get("partial_images") or 0
    if not isinstance(partial, int) or not 0 <= partial <= 3:
        raise Unfit("partial_images must be between 0 and 3")
    form = body.get("output_format") or "png"
    if form not in _FORMATS:
        raise Unfit(f"output_format must be one of {', '.join(_FORMATS)}")
    asked = Asked(_text(body.get("prompt")), _number(body.get("n"), "n"), _size_of(body.get("size")), _openai, partial,
                  form)
    return opened(asked, {**body, "model": model}, request, number, settings, stream)


def _text(prompt: Any) -> str:
    if not isinstance(prompt, str) or not prompt.strip():
        raise Unfit("prompt must be a text, and not empty")
    return prompt


def _number(value: Any, name: str) -> int:
    number = openai.positive(value, name) or 1
    if number > _MOST_IMAGES:
        raise Unfit(f"{name} must be {_MOST_IMAGES} at most, got {number}")
    return number


def _size_of(value: Any) -> tuple[int, int]:
    if value in (None, "auto"):
        return _DEFAULT_SIZE
    found = _SIZE(value) if isinstance(value, str) else None
    if found is None:
        raise Unfit(f"size must be auto or WIDTHxHEIGHT, got {value!r}")
    return _checked(int(found[1]), int(found[2]))


def _checked(width: int, height: int) -> tuple[int, int]:
    if min(width, height) < _LEAST_PIXELS or width * height > _MOST_PIXELS:
        raise Unfit(f"{width}x{height} is no size of an image that is made here")
    return width, height


def _openai(asked: Asked, body: Mapping[str, Any], images: list[str], usage: Usage) -> Whole:
    by_address = body.get("response_format") == "url"
    data = [{"url": f"https://images.invalid/{place}.{asked.format}"} if by_address else {"b64_json": image}
            for place, image in enumerate(images)]
    return Whole(orjson.dumps({
        "created": int(time.time()), "background": "opaque", "data": data, "output_format": asked.format,
        "quality": "medium", "size": f"{asked.size[0]}x{asked.size[1]}",
        "usage": _usage_json(asked, asked.number, usage)}))


def _usage_json(asked: Asked, number: int, usage: Usage | None) -> dict[str, Any]:
    told_in, out = usage.input_tokens if usage is not None else 0, number * asked.tokens
    return {"input_tokens": told_in, "input_tokens_details": {"text_tokens": told_in, "image_tokens": 0},
            "output_tokens": out, "output_tokens_details": {"image_tokens": out, "text_tokens": 0},
            "total_tokens": told_in + out}


# -- Bedrock --


def asked_of_bedrock(body: Mapping[str, Any]) -> Asked | None:
    """What a body of InvokeModel asks for; None for one that asks for no image. Raises Unfit."""
    if body.get("taskType") == "TEXT_IMAGE":
        config = body.get("imageGenerationConfig") or {}
        size = _checked(config.get("width") or 1024, config.get("height") or 1024)
        text = _text((body.get("textToImageParams") or {}).get("text"))
        return Asked(text, _number(config.get("numberOfImages"), "numberOfImages"), size, _canvas)
    if "text_prompts" in body:
        size = _checked(body.get("width") or 1024, body.get("height") or 1024)
        return Asked(_text(body["text_prompts"][0]["text"]), 1, size, _stability_xl)
    return None


def asked_of_stability(body: Mapping[str, Any]) -> Asked:
    """Stable Image's models, whose bodies look like those of texts."""
    form = body.get("output_format") or "png"
    return replace(Asked(_text(body.get("prompt")), 1, _DEFAULT_SIZE, _stability), format=form)


def _canvas(asked: Asked, body: Mapping[str, Any], images: list[str], usage: Usage) -> Whole:
    return Whole(orjson.dumps({"images": images, "error": None}))


def _stability_xl(asked: Asked, body: Mapping[str, Any], images: list[str], usage: Usage) -> Whole:
    return Whole(orjson.dumps({"result": "success", "artifacts": [
        {"seed": 7, "base64": image, "finishReason": "SUCCESS"} for image in images]}))


def _stability(asked: Asked, body: Mapping[str, Any], images: list[str], usage: Usage) -> Whole:
    return Whole(orjson.dumps({"seeds": [7] * len(images), "finish_reasons": [None] * len(images), "images": images}))


PLANE = Plane("images", lambda path: _PATHS.match(path) is not None, _open, openai.refusal, key_in("api-key"),
              ping=b": keep-alive\n\n")
