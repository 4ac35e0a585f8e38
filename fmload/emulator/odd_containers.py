"""Odd forms of SageMaker's containers: TGI's lines and bare text. Each is one function of a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fmload.emulator.odd import Message, Part, form

_CRAB = "🦀".encode()


@form(of="container", told=False)
def bare_text(message: Message, part: Part) -> Iterable[Any]:
    """Text without any form, with a character that two writes share."""
    said = part.text.encode()
    half, part.kept["half"] = part.kept.get("half", False), not part.kept.get("half", False)
    if half:
        yield _CRAB[2:] + said
    else:
        yield said if part.last else said + _CRAB[:2]


@form(of="container", outcome="stream_error")
def generation_error(message: Message, part: Part) -> Iterable[Any]:
    """An error line in place of the last token, as TGI writes it."""
    yield {"error": "Request failed during generation: out of memory", "error_type": "generation"} if part.last else (
        message)


@form(of="container")
def special_end_mark(message: Message, part: Part) -> Iterable[Any]:
    """The last token is the end mark: it is counted, and no text."""
    if part.last and "token" in message:
        message["token"] |= {"text": "</s>", "special": True}
    yield message


@form(of="container", told=False)
def details_left_out(message: Message, part: Part) -> Iterable[Any]:
    """No `details`, and so no counts and no finish reason: the whole text ends the stream."""
    message["details"] = None
    yield message
