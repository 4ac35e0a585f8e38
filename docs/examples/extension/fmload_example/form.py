"""An odd form for the emulator: the server greets before every answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fmload.emulator.odd import Message, Part, form


@form()
def greeting(message: Message, part: Part) -> Iterable[Any]:
    """A comment before the first message."""
    if part.moment == "opening":
        yield b": good morning\n\n"
    yield message
