"""Limits of the HTTP servers by which a run is watched: whoever holds their connections open, or sends without end,
takes neither descriptors nor memory from the run."""

from __future__ import annotations

from gevent.pywsgi import WSGIHandler, WSGIServer

MOST_CONNECTIONS = 200  # at a time; further ones wait until one ends
QUIET_S = 30.0  # without a byte, after which a connection is closed
MOST_BODY_BYTES = 1 << 20


class _Limited(WSGIHandler):  # type: ignore[misc]
    def handle(self) -> None:
        self.socket.settimeout(QUIET_S)
        super().handle()


def limit(server: WSGIServer) -> None:
    """Hold a server to the limits; it may be listening already."""
    server.handler_class = _Limited
    server.set_spawn(MOST_CONNECTIONS)
