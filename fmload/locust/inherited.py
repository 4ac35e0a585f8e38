"""A value of the running greenlet, which the greenlets that it starts begin with. (gevent's own context variables begin
empty in each.)"""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import gevent

T = TypeVar("T")


class Inherited(Generic[T]):
    """`get` looks from the running greenlet up to those that started it, and remembers what it finds."""

    def __init__(self, default: T) -> None:
        self._default = default
        self._values: WeakKeyDictionary[Any, T] = WeakKeyDictionary()

    def set(self, value: T) -> T:
        """Returns the value before, for the time after."""
        before = self.get()
        self._values[gevent.getcurrent()] = value
        return before

    def get(self) -> T:
        """The value of the running greenlet, or of the nearest that started it."""
        running = greenlet = gevent.getcurrent()
        while greenlet is not None:
            if greenlet in self._values:
                found = self._values[running] = self._values[greenlet]
                return found
            greenlet = getattr(greenlet, "spawning_greenlet", lambda: None)()
        return self._default
