"""Keeps Locust's master listening: whatever comes on its port, the greenlet that reads messages lives on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from locust.exception import RPCError, RPCReceiveError
from locust.rpc import zmqrpc

from fmload.base.errors import first_line

logger = logging.getLogger(__name__)

Dropped = Callable[[str], None]  # what was wrong with a message


def keep_listening(runner: Any, dropped: Dropped) -> None:
    """Locust's own listener ends at the first message that it cannot read or handle, and the run with it. Here such a
    message is dropped, and told to `dropped`. To be called before the listener first waits: in the `init` event."""
    receive, handle = zmqrpc.BaseSocket.recv_from_client, runner.handle_message

    def receive_sound(server: Any) -> tuple[str, Any]:
        while True:
            try:
                sender, message = receive(server)  # type: ignore[no-untyped-call]
                if isinstance(message.type, str) and isinstance(message.node_id, str):
                    return sender, message
                dropped(f"a message without a type or a sender from {sender}")
            except RPCReceiveError as error:
                if error.addr in runner.clients:
                    raise  # Locust has that worker connect anew
                dropped(first_line(error))
            except RPCError:
                raise
            except Exception as error:  # whatever msgpack says of garbage
                dropped(f"{type(error).__name__}: {first_line(error)}")
            gevent.sleep(0)  # a flood of garbage leaves the others their turn

    def handle_or_drop(sender: str, message: Any) -> None:
        try:
            handle(sender, message)
        except Exception as error:
            if sender in runner.clients:
                logger.exception("a message of worker %s could not be handled", sender)
            dropped(f"'{message.type}' from {sender}: {type(error).__name__}: {first_line(error)}")

    zmqrpc.Server.recv_from_client = receive_sound  # type: ignore[method-assign]
    runner.handle_message = handle_or_drop
