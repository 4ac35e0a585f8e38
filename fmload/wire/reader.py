"""Who receives: the thread of the native reader, or watchers of the hub in Python."""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import Literal, cast

from fmload.base.errors import FmloadError
from fmload.wire.connection import AnyConnection, Connection
from fmload.wire.native import WHY_NOT, NativeConnection
from fmload.wire.tls import TlsSession

ReaderChoice = Literal["auto", "native", "python"]
ReaderName = Literal["native", "python"]
MakeConnection = Callable[[_socket.socket, TlsSession | None, bool], AnyConnection]


def reader_of(choice: ReaderChoice) -> ReaderName:
    """The reader that this choice means here: `auto` is the native one where it is installed. Raises FmloadError for
    `native` where it is not."""
    if choice == "native" and WHY_NOT:
        raise FmloadError(f"the native reader is not installed here: {WHY_NOT}", hint=REMEDY)
    return cast(ReaderName, choice) if choice != "auto" else "python" if WHY_NOT else "native"


def connection_of(name: ReaderName) -> MakeConnection:
    """What makes a connection of a plain socket, a TLS session over it, and whether the kernel stamps."""
    return NativeConnection if name == "native" else Connection


REMEDY = ("it is built while fmload is installed from its source on Linux with a C compiler (apt-get install gcc) and "
          "Python's headers; reader: auto takes the one in Python without it")


def told() -> str:
    """One line about which reader `auto` takes here."""
    return ("reader: native" if not WHY_NOT else
            f"reader: python; the native one is not installed ({WHY_NOT}). {REMEDY[0].upper()}{REMEDY[1:]}")
