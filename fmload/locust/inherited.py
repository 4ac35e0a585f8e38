"""A value of the running greenlet, which the greenlets that it starts begin with. (gevent's own context variables begin
empty in each.)"""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

import gevent
from gevent import Greenlet

T = TypeVar("T")


class Inherited(Generic[T]):
    """A greenlet has the value that the one which started it had at that moment, until it sets its own."""

    def __init__(self, default: T) -> None:
        self._default = default
        self._values: WeakKeyDictionary[Any, T] = WeakKeyDictionary()
        Greenlet.add_spawn_callback(self._inherit)

    def set(self, value: T) -> T:
        """Returns the value before, for the time after."""
        before = self.get()
        self._values[gevent.getcurrent()] = value
        return before

    def get(self) -> T:
        """The value of the running greenlet."""
        return self._values.get(gevent.getcurrent(), self._default)

    def _inherit(self, started: Any) -> None:
        if (value := self.get()) is not self._default:
            self._values[started] = value
