"""Who receives: the thread of the native reader, or watchers of the hub in Python."""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import Literal

from fmload.base.errors import FmloadError
from fmload.wire.connection import AnyConnection, Connection
from fmload.wire.exchange import ReaderChoice
from fmload.wire.native import WHY_NOT, NativeConnection
from fmload.wire.tls import TlsSession

ReaderName = Literal["native", "python"]
MakeConnection = Callable[[_socket.socket, TlsSession | None, bool], AnyConnection]
REMEDY = ("it is built while fmload is installed from its source on Linux with a C compiler (apt-get install gcc) and "
          "Python's headers; reader: auto takes the one in Python without it")


def reader_of(choice: ReaderChoice) -> ReaderName:
    """The reader that this choice means here: `auto` is the native one where it is installed. Raises FmloadError for
    `native` where it is not."""
    if choice == "native" and WHY_NOT:
        raise FmloadError(f"the native reader is not installed here: {WHY_NOT}", hint=REMEDY)
    if choice == "auto":
        return "python" if WHY_NOT else "native"
    return choice


def connection_of(name: ReaderName) -> MakeConnection:
    """What makes a connection of a plain socket, a TLS session over it, and whether the kernel stamps."""
    return NativeConnection if name == "native" else Connection


def told(choice: ReaderChoice = "auto") -> str:
    """One line about the reader that this choice means here. Raises FmloadError as `reader_of`."""
    name = reader_of(choice)
    if name == "native":
        return "reader: native (a thread of its own receives and stamps; under TLS the event loop decrypts)"
    why = f"; the native one is not installed: {REMEDY}" if WHY_NOT else ""
    return f"reader: python (the event loop receives and stamps{why})"
