"""A worker of nobody's: it speaks Locust's and fmload's messages to a master, without the run's token."""

from __future__ import annotations

import time
from typing import Any

import msgpack
import zmq

MAY_HEAR = {"ack", "fmload_challenge", "fmload_refused", "quit"}  # by who has not shown the token


class Rogue:
    """One connection under the name `identity`; it may speak in the name of another. `kinds`: what it was sent."""

    def __init__(self, port: str, identity: bytes = b"rogue_0123456789") -> None:
        self.name = identity
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, self.name)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self.kinds: set[str] = set()

    def say(self, kind: str, data: Any, of: str | None = None) -> None:
        """Send a message, in the name of a worker `of` or in its own."""
        self._socket.send(msgpack.packb((kind, data, of or self.name.decode())))

    def listen(self, seconds: float) -> None:
        """Take down the kinds of what comes."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if self._socket.poll(left_s * 1000):
                self.kinds.add(msgpack.unpackb(self._socket.recv())[0])

    def ask_in(self) -> None:
        """Greet as a worker does, and show a token that is none."""
        self.say("client_ready", "2.47.0")
        self.listen(0.5)
        self.say("fmload_hello", {})
        self.listen(0.5)
        self.say("fmload_proof", {"proof": "0" * 64})

    def forge(self, run_id: str, records: list[bytes], of: str | None = None) -> None:
        """What a worker says in the course of a run, the records last; then that it goes."""
        for kind in ("fmload_ready", "stats", "spawning_complete", "heartbeat", "exception"):
            self.say(kind, {"run_id": run_id, "state": "ready"}, of)
        self.say("fmload_records", {"run_id": run_id, "first": 0, "records": records}, of)
        self.say("fmload_flushed", {"run_id": run_id, "count": 0}, of)
        self.say("client_stopped", None, of)
        self.say("quit", None, of)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()
