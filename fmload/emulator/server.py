"""One emulated endpoint, from its first to its last moment: listening, disasters, the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import tempfile
import time
from pathlib import Path

from fmload.base.errors import FmloadError
from fmload.emulator.connection import Connection
from fmload.emulator.engine import SECOND_NS
from fmload.emulator.loop import Loop
from fmload.emulator.service import Service
from fmload.emulator.settings import Settings
from fmload.emulator.sockets import Channel, PlainChannel, TlsChannel, listener
from fmload.emulator.tls import make_certificate, server_context
from fmload.emulator.words import of_tokenizer


class Server:
    """`listen`, then `run` until `stop`. `ca_file` is what clients of the TLS option trust."""

    def __init__(self, settings: Settings) -> None:
        self.ca_file: Path | None = None
        self._settings = settings
        self._loop = Loop()
        self._service = Service(settings, of_tokenizer(settings.tokenizer))
        self._tls: ssl.SSLContext | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def listen(self) -> str:
        """Starts listening and returns the URL. Raises FmloadError when the address is taken."""
        settings = self._settings
        if settings.tls:
            self._folder = tempfile.TemporaryDirectory(prefix="fmload-emulator-")
            self.ca_file = make_certificate(Path(self._folder.name), list(settings.tls_hosts))
            self._tls = server_context(self.ca_file)
        try:
            listening = listener(settings.host, settings.port)
        except OSError as error:
            raise FmloadError(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}",
                              hint="choose another --port; 0 takes a free one") from error
        self._loop.listen(listening, self._accept)
        self._schedule_disasters()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"{'https' if settings.tls else 'http'}://{host}:{listening.getsockname()[1]}"
        if settings.ready_file is not None:
            _write_ready(settings.ready_file, url, self.ca_file)
        return url

    def run(self) -> None:
        """Serves until told to stop; what is in flight then is logged as disconnected."""
        try:
            self._loop.run(self._service.due_ns, self._service.step)
        finally:
            self._loop.close()
            self._service.close()
            if self._folder is not None:
                self._folder.cleanup()

    def stop(self) -> None:
        """Ends `run`; may be called from a signal handler."""
        self._loop.stop()

    def _accept(self, sock: socket.socket) -> None:
        channel: Channel = TlsChannel(sock, self._tls) if self._tls else PlainChannel(sock)
        Connection(self._loop, self._service, sock, channel)

    def _schedule_disasters(self) -> None:
        settings, now_ns = self._settings, time.monotonic_ns()
        for at_s, call in ((settings.stall_at_s, lambda: self._service.stall(settings.stall_for_s)),
                           (settings.refuse_at_s, self._loop.stop_listening),
                           (settings.die_at_s, lambda: os.kill(os.getpid(), signal.SIGKILL))):
            if at_s is not None:
                self._loop.at(now_ns + round(at_s * SECOND_NS), call)


def _write_ready(path: Path, url: str, ca_file: Path | None) -> None:
    """Whole or not at all: a reader that sees the file sees all of it."""
    content = json.dumps({"url": url, "pid": os.getpid(), "ca_file": str(ca_file) if ca_file else None})
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(content)
    temporary.rename(path)
