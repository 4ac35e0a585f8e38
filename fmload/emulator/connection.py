"""One client's connection: bytes in, requests one after the other, bytes out."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from typing import Protocol

from fmload.emulator import http, openai
from fmload.emulator.answer import EmulatedAnswer
from fmload.emulator.http import Refusal, Request
from fmload.emulator.loop import Loop
from fmload.emulator.poller import WRITE
from fmload.emulator.sockets import Channel

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time left: close() sends RST


class Handler(Protocol):
    """Who answers requests. `headers` go on every answer; `close_each` ends the connection after each."""

    headers: Mapping[str, str]
    close_each: bool

    def handle(self, connection: Connection, request: Request) -> None: ...

    def finish(self, answer: EmulatedAnswer) -> None: ...


class Connection:
    """The `Line` of its answers. A request is looked at when the answer before it is over."""

    def __init__(self, loop: Loop, handler: Handler, sock: socket.socket, channel: Channel) -> None:
        self._loop, self._handler, self.socket, self._channel = loop, handler, sock, channel
        self.headers = handler.headers
        self._reader = http.RequestReader()
        self.answer: EmulatedAnswer | None = None
        self._open = True
        self._closing = self._blocked = self._serving = False
        loop.add(self)

    # --- what an answer needs ---

    def send(self, data: bytes) -> None:
        """Sends now what the kernel takes, and the rest when it can."""
        if not self._open or not data:
            return
        try:
            if not self._channel.send(data):
                self._watch_writes(True)
        except (OSError, ssl.SSLError):
            self.drop()

    def at(self, due_ns: int, call: Callable[[], None]) -> None:
        """Calls back at `due_ns`."""
        self._loop.at(due_ns, call)

    def finished(self, answer: EmulatedAnswer, keep_alive: bool, reset: bool = False) -> None:
        """The answer is over: on to the next request, or the end of the connection."""
        self._handler.finish(answer)
        self.answer = None
        if reset and self._open:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.drop()
        elif not keep_alive:
            self._close_when_sent()
        elif not self._serving:
            self._serve()

    def reply(self, refusal: Refusal) -> None:
        """A whole response at once."""
        headers = {"Content-Type": refusal.content_type, **self.headers, **refusal.headers,
                   "Content-Length": str(len(refusal.body))}
        self.send(http.head(refusal.status, headers) + refusal.body)
        if self._handler.close_each:
            self._close_when_sent()

    # --- what the loop needs ---

    def on_event(self, events: int) -> None:
        """The socket is ready."""
        try:
            if events & WRITE and self._channel.flush():
                self._watch_writes(False)
                if self._closing:
                    self.drop()
            if events & ~WRITE and self._open:
                self._read()
        except (OSError, ssl.SSLError):
            self.drop()

    def drop(self) -> None:
        """Closes the connection; an answer under way ends as disconnected."""
        if not self._open:
            return
        self._open = False
        self._loop.remove(self)
        self.socket.close()
        if self.answer is not None:
            answer, self.answer = self.answer, None
            answer.disconnected()
            self._handler.finish(answer)

    def _read(self) -> None:
        received = self._channel.receive()
        if received is None:
            return
        data, at_ns = received
        if not data:
            self.drop()
            return
        self._reader.feed(data, at_ns)
        self._serve()

    def _serve(self) -> None:
        """Answers whole requests, one after the other."""
        self._serving = True
        try:
            while self._open and not self._closing and self.answer is None:
                request = self._reader.next()
                if self._reader.continue_due:
                    self._reader.continue_due = False
                    self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                if request is None:
                    return
                self._handler.handle(self, request)
        except http.BadRequest as error:
            self.reply(openai.refusal(400, str(error)))
            self._close_when_sent()
        finally:
            self._serving = False

    def _watch_writes(self, wanted: bool) -> None:
        if self._open and wanted != self._blocked:
            self._blocked = wanted
            self._loop.watch(self, wanted)

    def _close_when_sent(self) -> None:
        self._closing = True
        if self._open and not self._blocked:
            self.drop()
