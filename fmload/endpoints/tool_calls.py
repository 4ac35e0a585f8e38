"""The tool calls of an answer, put together from the pieces in which servers send them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import orjson

from fmload.model.reading import ToolCall


class ToolCalls:
    """Calls in the making: `begin` one with what is known of it at first, `add` to its arguments."""

    def __init__(self) -> None:
        self._ids: dict[Hashable, str] = {}
        self._names: dict[Hashable, str] = {}
        self._arguments: dict[Hashable, str] = {}

    def begin(self, key: Hashable, call_id: Any = None, name: Any = None) -> None:
        """A call, or more of one: `key` tells the calls of an answer apart."""
        self._arguments.setdefault(key, "")
        if call_id:
            self._ids.setdefault(key, str(call_id))
        if name:
            self._names.setdefault(key, str(name))

    def add(self, key: Hashable, arguments: Any) -> None:
        """More of a call's arguments: a piece of JSON text, or all of them as an object."""
        if arguments not in (None, ""):
            text = arguments if isinstance(arguments, str) else orjson.dumps(arguments, default=str).decode()
            self._arguments[key] = self._arguments.get(key, "") + text

    def add_openai(self, choice: int, delta: Any) -> None:
        """The pieces in a delta, or a message, of OpenAI's form. A call without an index is known by its id, and goes
        on in the pieces after it."""
        calls = delta.get("tool_calls") if isinstance(delta, Mapping) else None
        for place, call in enumerate(calls if isinstance(calls, list) else [calls] if calls else ()):
            if not isinstance(call, Mapping):
                continue
            index = call.get("index")
            key = (choice, index if isinstance(index, int) else call.get("id") or self._last(choice, place))
            inside = call.get("function") or call.get("custom")
            function = inside if isinstance(inside, Mapping) else {}
            self.begin(key, call.get("id"), function.get("name"))
            self.add(key, function.get("arguments") or function.get("input"))

    def _last(self, choice: int, place: int) -> Hashable:
        known = [key[1] for key in self._arguments if isinstance(key, tuple) and key[0] == choice]
        return known[-1] if known else place

    def all(self) -> list[ToolCall]:
        """The calls in their order; those that nobody named are none."""
        return [ToolCall(self._ids.get(key) or f"call_{number}", self._names[key], arguments)
                for number, (key, arguments) in enumerate(self._arguments.items()) if key in self._names]
