"""Odd answers to requests for images. Each is one function, of a whole answer or of the events of a stream."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from fmload.emulator.odd import Message, Part, form
from fmload.media import pictures


def _listed(message: Message) -> list[Any]:
    """The images of an answer in one piece; none of another message."""
    return next((message[name] for name in ("data", "images", "artifacts") if name in message), [])


def _replaced(message: Message, image: Any) -> Message:
    """With another image in the place of the first, or of the one that an event brings."""
    if "b64_json" in message:
        return {**message, "b64_json": image(message["b64_json"])}
    for place, entry in enumerate(_listed(message)[:1]):
        if isinstance(entry, dict):
            name = next(name for name in ("b64_json", "base64") if name in entry)
            entry[name] = image(entry[name])
        else:
            _listed(message)[place] = image(entry)
    return message


@form(of="images", outcome="decode")
def image_missing(message: Message, part: Part) -> Iterable[Any]:
    """One less than were asked for, and no word about it."""
    if part.moment == "whole":
        _listed(message).pop()
    yield message


@form(of="images", outcome="decode")
def image_twice(message: Message, part: Part) -> Iterable[Any]:
    """One more than were asked for."""
    if part.moment == "whole":
        _listed(message).append(_listed(message)[0])
    yield message


@form(of="images", outcome="empty")
def no_images(message: Message, part: Part) -> Iterable[Any]:
    """None at all."""
    if part.moment == "whole":
        _listed(message).clear()
        yield message


@form(of="images", outcome="decode")
def image_cut_off(message: Message, part: Part) -> Iterable[Any]:
    """The first half of an image."""
    yield _replaced(message, lambda text: text[:len(text) // 8 * 4])


@form(of="images", outcome="decode")
def no_image_at_all(message: Message, part: Part) -> Iterable[Any]:
    """A page of HTML where an image should be."""
    yield _replaced(message, lambda text: base64.b64encode(b"<html><body>busy</body></html>").decode())


@form(of="images", outcome="decode")
def no_base64(message: Message, part: Part) -> Iterable[Any]:
    """A text that is no base64."""
    yield _replaced(message, lambda text: "an image, as it were")


@form(of="images", outcome="decode")
def smaller_image(message: Message, part: Part) -> Iterable[Any]:
    """An image of 16 x 16 pixels."""
    small = base64.b64encode(pictures.image(16, 16, "png", "noise", "small")).decode()
    yield _replaced(message, lambda text: small)


@form(of="images", outcome="blocked")
def images_blocked(message: Message, part: Part) -> Iterable[Any]:
    """A filter kept images back, as each service says it in an answer of status 200."""
    if "finish_reasons" in message:
        yield {**message, "images": [], "finish_reasons": ["Filter reason: output image"]}
    elif "artifacts" in message:
        yield {**message, "artifacts": [{**one, "finishReason": "CONTENT_FILTERED"} for one in message["artifacts"]]}
    elif "images" in message:
        yield {"images": message["images"][:1], "error": "Some of the generated images were blocked by our filters."}
    else:
        yield {"type": "error", "error": {"code": "moderation_blocked", "type": "image_generation_user_error",
                                          "message": "Your request was rejected by the safety system."}}


@form(of="images", outcome="stream_error")
def image_error_with_200(message: Message, part: Part) -> Iterable[Any]:
    """An error in an answer of status 200."""
    yield {"error": {"message": "out of memory", "type": "server_error", "code": 500}}


@form(of="images", told=False)
def images_uncounted(message: Message, part: Part) -> Iterable[Any]:
    """No count of tokens."""
    message.pop("usage", None)
    yield message


@form(of="images", outcome="truncated")
def never_completed(message: Message, part: Part) -> Iterable[Any]:
    """A stream that ends after its partial images, with no word about the whole one."""
    if str(message.get("type")).endswith("partial_image"):
        yield message
